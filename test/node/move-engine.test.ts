/** A cluster of three real nodes moves from the bundled engine to Corosync and back, under a writer on each node. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from './lab-nodes.ts';
import { MovingCluster, NODES, whyNoMove } from './moving.ts';

describe('a cluster changes its engine', { skip: whyNoMove }, () => {
  const lab = new MovingCluster();
  /** corosync.conf while Corosync ran. */
  let onCorosync = '';
  const version = (node: string): number =>
    Number(/config_version: (\d+)/.exec(lab.run(node, 'cat /etc/corosync/corosync.conf'))?.[1]);
  const processes = (node: string): { corosync: boolean; bundled: boolean } => ({
    corosync: lab.on(node, 'pidof corosync').out.trim() !== '',
    bundled: lab.on(node, "pgrep -f 'agent.mjs engin[e]'").out.trim() !== '',
  });

  before(() => {
    lab.good('up', '--free', '0');
  });
  after(() => lab.remove());

  test('says before what it will do', () => {
    const out = lab.run('pve2', 'pvecm move-engine corosync --dry-run');
    assert.match(out, /transport changes from udpu to knet: Corosync encrypts with no other/);
    assert.match(
      out,
      /Writes to the tree pause for about 4 s; it stays mounted and can be read\. Guests are not touched/,
    );
    assert.equal(lab.engineOf('pve2'), 'totem');
    assert.match(lab.on('pve2', 'pvecm move-engine bundled --dry-run').err, /runs on the bundled engine already/);
  });

  test('to Corosync: nothing that was acknowledged is lost, and its own tools see the ring', async () => {
    const before = version('pve1');
    const { code, out, err } = await lab.underWriters(() => lab.move('corosync'));
    assert.equal(code, 0, out + err);
    for (const node of NODES) {
      assert.equal(lab.engineOf(node), 'corosync');
      assert.ok(lab.whole(node));
      assert.deepEqual(processes(node), { corosync: true, bundled: false }, node);
      assert.equal(version(node), before + 1);
      assert.equal(lab.run(node, 'cat /etc/pve/corosync.conf'), lab.run(node, 'cat /etc/corosync/corosync.conf'));
    }
    assert.match(lab.run('pve3', 'corosync-quorumtool -s'), /Quorate: +Yes[\s\S]*Total votes: +3/);
  });

  test('back to the bundled engine', async () => {
    onCorosync = lab.run('pve1', 'cat /etc/pve/corosync.conf');
    const { code, out, err } = await lab.underWriters(() => lab.move('bundled'));
    assert.equal(code, 0, out + err);
    for (const node of NODES) {
      assert.equal(lab.engineOf(node), 'totem');
      assert.ok(lab.whole(node));
      assert.deepEqual(processes(node), { corosync: false, bundled: true }, node);
    }
  });

  test('is refused while a node is away; one that has missed a move asks the others, and comes over', async () => {
    lab.good('kill', 'pve3');
    await until('two are left', 20_000, () => lab.status('pve1')?.quorum.totalVotes === 2);
    const refused = lab.on('pve1', 'pvecm move-engine corosync');
    assert.equal(refused.code, 1);
    assert.match(refused.err, /pve3 is not in the ring and would be left behind/);
    // What a node has whose power came back after its own clock had run out.
    const home = join(lab.directory, 'nodes/pve3');
    writeFileSync(join(home, 'var/lib/ringmaster/engine'), 'corosync\n');
    writeFileSync(join(home, 'etc/corosync/corosync.conf'), onCorosync);
    lab.good('start', 'pve3');
    await until('it is on Corosync, alone', 30_000, () => lab.engineOf('pve3') === 'corosync');
    assert.match(lab.on('pve3', 'echo no > /etc/pve/no').err, /Permission denied/);
    await until(
      'it comes over',
      40_000,
      () => lab.engineOf('pve3') === 'totem' && lab.whole('pve3') && lab.whole('pve1'),
    );
    assert.match(
      lab.run('pve3', 'cat /var/log/ringmaster/events.jsonl'),
      /the cluster runs on the engine totem since this node was away \(pve[12] says so\): it comes over/,
    );
    assert.equal(
      lab.run('pve3', 'cat /etc/corosync/corosync.conf'),
      lab.run('pve1', 'cat /etc/corosync/corosync.conf'),
    );
  });
});
