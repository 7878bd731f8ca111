/** Applies that take a restart, on three real nodes of Corosync: one node after the other, and what if one dies in between. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Applies, CONF, edit, faultsOnEitherEngine, NODES } from './apply-suite.ts';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const skip =
  whyNoLab !== false
    ? whyNoLab
    : existsSync('/usr/sbin/corosync')
      ? false
      : "Debian's package corosync is not installed";

describe('an apply on Corosync', { skip }, () => {
  const lab = new LabNodes();
  const TO_ACTIVE = 's/link_mode: passive/link_mode: active/';
  const cmap = (node: string, key: string): string => lab.on(node, `corosync-cmapctl -g ${key}`).out.trim();
  const engineOf = (node: string): string => lab.on(node, 'pidof corosync').out.trim();
  const votes = (node: string): number => lab.status(node)?.quorum.totalVotes ?? 0;

  before(() => {
    lab.good('up', '--engine', 'corosync', '--free', '0');
  });
  after(() => lab.remove());

  /** What follows need not wait 8 s for each death: Corosync's own token takes that with three nodes (measured). */
  test('that changes timers restarts nothing, and the timers are in effect', () => {
    const engines = NODES.map(engineOf);
    const out = lab.run(
      'pve1',
      `${edit('s/^  version: 2/  version: 2\\n  token: 1600\\n  token_coefficient: 0/')} && pvecm conf apply /root/new.conf --yes`,
    );
    assert.match(out, /loads the file\. Nothing restarts/);
    for (const name of NODES) assert.match(cmap(name, 'runtime.config.totem.token'), /= 1600$/, name);
    assert.deepEqual(NODES.map(engineOf), engines);
  });

  describe('that goes wrong', () => {
    const applies = new Applies(lab);
    before(() => applies.remember());
    faultsOnEitherEngine(lab, applies, { expression: 's/token: 1600/token: 1900/', mark: 'token: 1900' });
  });

  test('of link_mode says before that nodes restart, and restarts one after the other with quorum all the time', async () => {
    const engines = NODES.map(engineOf);
    const { ended } = lab.begin('pve1', `${edit(TO_ACTIVE)} && pvecm conf apply /root/new.conf --yes`);
    let least = 3;
    let over = false;
    void ended.then(() => (over = true));
    while (!over) {
      // Seen from the node whose turn comes last.
      const seen = lab.on('pve1', 'corosync-quorumtool -s').out;
      const total = Number(/Total votes: +(\d)/.exec(seen)?.[1] ?? '3');
      if (/Quorate/.test(seen) && engineOf('pve1') === engines[0]) least = Math.min(least, total);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    const { code, out, err } = await ended;
    assert.equal(code, 0, out + err);
    assert.match(out, /pve2 +restarts its engine, number 2 of 3|pve2 restarts its engine, number 2 of 3/);
    assert.ok(least >= 2, `there were ${least} votes`);
    for (const [index, name] of NODES.entries()) {
      assert.notEqual(engineOf(name), engines[index], `${name} has restarted`);
      assert.match(cmap(name, 'totem.link_mode'), /= active$/);
      assert.equal(votes(name), 3);
    }
  });

  test('during whose rolling restart a node dies goes back, with quorum held; the dead node returns to it', async () => {
    const old = lab.run('pve1', 'cat /etc/pve/corosync.conf');
    const first = engineOf('pve2');
    const back = 's/link_mode: active/link_mode: passive/';
    const { ended } = lab.begin('pve1', `${edit(back)} && pvecm conf apply /root/new.conf --yes`);
    await until('the first node has restarted', 60_000, () => {
      const now = engineOf('pve2');
      return now !== '' && now !== first;
    });
    lab.good('kill', 'pve3');
    const { code, out, err } = await ended;
    assert.equal(code, 1, out + err);
    await until('the two are back', 120_000, () =>
      ['pve1', 'pve2'].every(
        (name) =>
          lab.on(name, `cat ${CONF}`).out === old &&
          lab.on(name, 'cat /etc/pve/corosync.conf').out === old &&
          /= active$/.test(cmap(name, 'totem.link_mode')) &&
          votes(name) === 2 &&
          lab.status(name)?.quorum.quorate === true,
      ),
    );
    lab.good('start', 'pve3');
    await until('the third is back', 120_000, () => votes('pve1') === 3 && lab.on('pve3', `cat ${CONF}`).out === old);
    assert.equal((JSON.parse(lab.run('pve1', 'pvecm conf history --json')) as { open: unknown }).open, null);
  });

  test('that a node was away for is waiting for it when it returns', async () => {
    lab.good('kill', 'pve3');
    await until('two votes', 60_000, () => votes('pve1') === 2);
    lab.run('pve1', `${edit('s/token: 1600/token: 1700/')} && pvecm conf apply /root/new.conf --yes`);
    lab.good('start', 'pve3');
    await until(
      'three with the new file',
      120_000,
      () => votes('pve1') === 3 && /= 1700$/.test(cmap('pve3', 'runtime.config.totem.token')),
    );
  });
});
