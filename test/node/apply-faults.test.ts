/** An apply that goes wrong, on three real nodes of the bundled engine: what apply-suite.ts tests on both, and more. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { apply, Applies, CONF, edit, faultsOnEitherEngine, NODES } from './apply-suite.ts';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

describe('an apply of corosync.conf', { skip: whyNoLab }, () => {
  const lab = new LabNodes();
  const applies = new Applies(lab);
  const TOKEN = 's/^  version: 2/  version: 2\\n  token: 1900/';
  const allIsAsBefore = (withinMs?: number): Promise<void> => applies.allIsAsBefore(withinMs);
  const outcome = (): ReturnType<Applies['outcome']> => applies.outcome();

  before(() => {
    lab.good('up', '--free', '0');
  });
  after(() => lab.remove());
  // Each begins with what the last one left, which is how it was.
  before(() => applies.remember());
  afterEach(() => allIsAsBefore());

  faultsOnEitherEngine(lab, applies, { expression: TOKEN, mark: 'token: 1900' });

  test('whose app is killed at any moment after it began goes back', async () => {
    for (const afterMs of [250, 400, 600]) {
      lab.run(
        'pve2',
        `${edit(TOKEN)}; ${apply('--confirm-within 5')} >/dev/null 2>&1 & p=$!; sleep ${afterMs / 1000}; kill -9 $p; sleep 0.1`,
      );
      await allIsAsBefore(60_000);
    }
  });

  test('that cuts the network off heals without anybody', async () => {
    for (const name of NODES) {
      lab.run(
        name,
        'nft add table inet cut; nft "add chain inet cut in { type filter hook input priority 0; }"; nft add rule inet cut in udp dport 5999 drop',
      );
    }
    try {
      const moved = 's/linknumber: 0/linknumber: 0\\n    mcastport: 5999/';
      const { code, err } = lab.on('pve1', `${edit(moved)} && ${apply('--confirm-within 5')}`);
      assert.equal(code, 1);
      assert.match(err, /ring|answer|quorum|writable/);
      await allIsAsBefore(90_000);
    } finally {
      for (const name of NODES) lab.on(name, 'nft delete table inet cut');
    }
  });

  test('that one node rejects changes nothing anywhere', () => {
    for (const name of ['pve1', 'pve2']) lab.run(name, 'echo 10.99.0.9 faraway >> /etc/hosts');
    const added =
      '/^nodelist {/a\\\n  node {\\\n    name: pve9\\\n    nodeid: 9\\\n    quorum_votes: 1\\\n    ring0_addr: faraway\\\n  }';
    const { code, err } = lab.on('pve1', `${edit(added)}; ${apply('')}`);
    assert.equal(code, 1);
    assert.match(err, /pve3: line \d+: The name "faraway" cannot be resolved on this machine.*Nothing was changed/s);
    assert.equal(outcome()?.outcome, 'refused');
  });

  test('that begins while a node is down, and is taken back, is unknown to that node when it returns', async () => {
    lab.good('kill', 'pve3');
    await until('two votes', 20_000, () => lab.status('pve1')?.quorum.totalVotes === 2);
    const { out } = lab.on('pve1', `${edit(TOKEN)} && ${apply('--confirm-within 5')}`);
    assert.match(out, /pve3 is not in the ring. It takes the file when it returns/);
    await until('it was taken back', 30_000, () => outcome()?.outcome === 'reverted');
    lab.good('start', 'pve3');
  });

  test('whose confirmation is lost with the network goes back', async () => {
    lab.run('pve1', `${edit(TOKEN)} && ${apply('--confirm-within 6')}`);
    lab.good('cut', 'pve1');
    const { code, err } = lab.on('pve1', 'pvecm conf confirm');
    assert.notEqual(code, 0, err);
    await until('the two are back', 40_000, () => lab.on('pve2', `cat ${CONF}`).out === applies.old);
    await until('the one is back', 40_000, () => lab.on('pve1', `cat ${CONF}`).out === applies.old);
    lab.good('heal');
  });

  describe('with a full disk on one node', () => {
    before(() => {
      lab.run(
        'pve2',
        'cp -a /etc/corosync /root/kept && mount -t tmpfs -o size=64k none /etc/corosync && cp -a /root/kept/. /etc/corosync/',
      );
    });
    after(() => {
      lab.run('pve2', 'umount /etc/corosync && rm -r /root/kept');
    });

    test('changes nothing when the disk is full before', () => {
      lab.on('pve2', 'dd if=/dev/zero of=/etc/corosync/full bs=1k 2>/dev/null');
      const { code, err } = lab.on('pve1', `${edit(TOKEN)}; ${apply('')}`);
      lab.run('pve2', 'rm /etc/corosync/full');
      assert.equal(code, 1);
      assert.match(err, /pve2: it cannot be written here: .*ENOSPC.*Nothing was changed/s);
    });

    test('goes back when the disk fills up after', async () => {
      lab.run('pve1', `${edit(TOKEN)} && ${apply('--confirm-within 5')}`);
      lab.on('pve2', 'dd if=/dev/zero of=/etc/corosync/full bs=1k 2>/dev/null');
      await allIsAsBefore();
      lab.run('pve2', 'rm /etc/corosync/full');
    });
  });
});
