/**
 * An apply that goes wrong, on three real nodes of the bundled engine. Whatever happens, and with nobody there to
 * help: in the end the old file is on every disk and in the tree, every engine runs it, and there is quorum.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const NODES = ['pve1', 'pve2', 'pve3'] as const;
interface History {
  readonly open: object | null;
  readonly ended: readonly { readonly outcome: string; readonly reason: string; readonly author: string }[];
}

const CONF = '/etc/corosync/corosync.conf';

describe('an apply of corosync.conf', { skip: whyNoLab }, () => {
  const lab = new LabNodes();
  let old = '';
  let version = 0;

  /** Says what is not as it was before the apply; empty when all is. */
  function astray(): string[] {
    const found: string[] = [];
    for (const name of NODES) {
      const status = lab.status(name);
      if (status?.quorum.quorate !== true || status.quorum.totalVotes !== 3) found.push(`${name}: no quorum of three`);
      else if (status.configVersion !== version) found.push(`${name} runs version ${status.configVersion}`);
      if (lab.on(name, `cat ${CONF}`).out !== old) found.push(`${name}: another file on disk`);
      if (lab.on(name, 'cat /etc/pve/corosync.conf').out !== old) found.push(`${name}: another file in the tree`);
      if (lab.on(name, 'ls /var/lib/ringmaster/apply.json').code === 0)
        found.push(`${name}: the trial is not forgotten`);
    }
    if (JSON.parse(lab.on('pve1', 'pvecm conf history --json').out || '{}').open !== null)
      found.push('an apply is open');
    return found;
  }
  async function allIsAsBefore(withinMs = 60_000): Promise<void> {
    let last: string[] = [];
    await until('the old configuration', withinMs, () => (last = astray()).length === 0).catch((error: Error) => {
      throw new Error(`${error.message}; ${last.join('; ')}`);
    });
  }
  /** The shell command that writes a changed copy of the tree's file to /root/new.conf. */
  const edit = (expression: string): string => `sed '${expression}' /etc/pve/corosync.conf > /root/new.conf`;
  const TOKEN = 's/^  version: 2/  version: 2\\n  token: 1900/';
  const apply = (more: string): string => `pvecm conf apply /root/new.conf --yes ${more}`;
  const outcome = (): History['ended'][number] | undefined =>
    (JSON.parse(lab.run('pve1', 'pvecm conf history --json')) as History).ended[0];

  before(() => {
    lab.good('up', '--free', '0');
  });
  after(() => lab.remove());
  // Each begins with what the last one left, which is how it was.
  before(() => {
    old = lab.run('pve1', 'cat /etc/pve/corosync.conf');
    version = Number(/config_version: (\d+)/.exec(old)?.[1]);
  });
  afterEach(() => allIsAsBefore());

  test('that nobody confirms goes back on every node', async () => {
    lab.run('pve1', `${edit(TOKEN)} && ${apply('--confirm-within 5')}`);
    assert.equal(lab.status('pve2')?.configVersion, version + 1);
    await until('it was taken back', 60_000, () => outcome()?.outcome === 'reverted');
    assert.match(outcome()?.reason ?? '', /nobody confirmed it in time/);
  });

  test('whose app is killed at any moment after it began goes back', async () => {
    for (const afterMs of [250, 400, 600]) {
      lab.run(
        'pve2',
        `${edit(TOKEN)}; ${apply('--confirm-within 5')} >/dev/null 2>&1 & p=$!; sleep ${afterMs / 1000}; kill -9 $p; sleep 0.1`,
      );
      await allIsAsBefore(60_000);
    }
  });

  test('whose app is killed right after the write goes back', async () => {
    lab.run(
      'pve1',
      `${edit(TOKEN)}; ${apply('--confirm-within 5')} >/dev/null 2>&1 & p=$!
       for i in $(seq 2000); do grep -q 'token: 1900' /etc/pve/corosync.conf && break; sleep 0.01; done; kill -9 $p
       grep -q 'token: 1900' /etc/pve/corosync.conf`,
    );
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

  test('during which a node dies, and which is taken back, finds the old file again when that node returns', async () => {
    lab.run('pve1', `${edit(TOKEN)} && ${apply('--confirm-within 5')}`);
    assert.match(lab.run('pve3', `cat ${CONF}`), /token: 1900/);
    lab.good('kill', 'pve3');
    await until('the two are back', 30_000, () => lab.on('pve1', `cat ${CONF}`).out === old);
    // Its time ran out while it was off: it begins with the old file.
    lab.good('start', 'pve3');
    await allIsAsBefore();
    assert.match(lab.run('pve3', 'cat /var/log/ringmaster/events.jsonl'), /ran out while this node was off/);
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
    await until('the two are back', 40_000, () => lab.on('pve2', `cat ${CONF}`).out === old);
    await until('the one is back', 40_000, () => lab.on('pve1', `cat ${CONF}`).out === old);
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

  test('of two that begin at once, one goes on and the other is told of it', async () => {
    lab.run('pve2', edit('s/^  version: 2/  version: 2\\n  join: 60/'));
    lab.run('pve1', edit(TOKEN));
    const both = await Promise.all([
      lab.begin('pve1', apply('--confirm-within 5')).ended,
      lab.begin('pve2', apply('--confirm-within 5')).ended,
    ]);
    assert.deepEqual(both.map(({ code }) => code).sort(), [0, 1], JSON.stringify(both));
    assert.match(both.find(({ code }) => code === 1)?.err ?? '', /root@pve[12] is applying corosync.conf version \d+/);
    await until('it was taken back', 20_000, () => outcome()?.outcome === 'reverted');
  });

  test('is taken back by anybody on any node', () => {
    lab.run('pve1', `${edit(TOKEN)} && ${apply('--confirm-within 60')}`);
    assert.match(lab.run('pve3', 'pvecm conf revert'), /runs again on every node/);
    assert.match(outcome()?.reason ?? '', /root@pve3 took it back/);
  });
});
