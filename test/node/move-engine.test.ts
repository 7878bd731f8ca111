/** A cluster of three real nodes moves from the bundled engine to Corosync and back, under a writer on each node. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const NODES = ['pve1', 'pve2', 'pve3'] as const;
const skip =
  whyNoLab !== false
    ? whyNoLab
    : existsSync('/usr/sbin/corosync')
      ? false
      : "Debian's package corosync is not installed";

/**
 * Makes one file after the other until /root/stop is there, and notes those whose close(2) said that they are written: a
 * file is written when it is closed, and a shell does not look at what close says.
 */
const WRITER = `const fs = require('node:fs');
const [, name] = process.argv;
for (const file of ['/root/stop', '/root/acknowledged']) fs.rmSync(file, { force: true });
for (let number = 1; !fs.existsSync('/root/stop'); number += 1) {
  try {
    const file = fs.openSync('/etc/pve/moved/' + name + '-' + number, 'w');
    try { fs.writeSync(file, name + '-' + number + String.fromCharCode(10)); } finally { fs.closeSync(file); }
    fs.appendFileSync('/root/acknowledged', name + '-' + number + String.fromCharCode(10));
  } catch {}
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
}`;
const startWriter = (node: string): string => `exec /var/lib/ringmaster/runtimes/*/node -e "$WRITER" ${node}`;

describe('a cluster changes its engine', { skip }, () => {
  const lab = new LabNodes();
  /** corosync.conf while Corosync ran. */
  let onCorosync = '';
  const engineOf = (node: string): string => lab.status(node)?.engine ?? 'none';
  const whole = (node: string): boolean => {
    const status = lab.status(node);
    return status?.state.kind === 'operational' && status.quorum.quorate && status.quorum.totalVotes === 3;
  };
  const version = (node: string): number =>
    Number(/config_version: (\d+)/.exec(lab.run(node, 'cat /etc/corosync/corosync.conf'))?.[1]);
  const processes = (node: string): { corosync: boolean; bundled: boolean } => ({
    corosync: lab.on(node, 'pidof corosync').out.trim() !== '',
    bundled: lab.on(node, "pgrep -f 'agent.mjs engin[e]'").out.trim() !== '',
  });

  /** Runs `move` while all nodes write; gives what was said, once every acknowledged file was found on every node. */
  async function underWriters(move: () => Promise<{ code: number | null; out: string; err: string }>) {
    lab.run('pve1', 'rm -rf /etc/pve/moved; mkdir /etc/pve/moved');
    const writers = NODES.map((node) =>
      lab.begin(node, `WRITER='${WRITER.replaceAll("'", `'\\''`)}'; ${startWriter(node)}`),
    );
    const mounts = NODES.map((node) => lab.run(node, 'grep " /etc/pve " /proc/self/mountinfo'));
    await until('there are files', 10_000, () => lab.on('pve1', 'ls /etc/pve/moved | wc -l').out.trim() > '0');
    const result = await move();
    const counts = NODES.map((node) => Number(lab.run(node, 'wc -l < /root/acknowledged')));
    await until('all write again', 40_000, () =>
      NODES.every((node, index) => Number(lab.run(node, 'wc -l < /root/acknowledged')) > (counts[index] ?? 0)),
    );
    for (const node of NODES) lab.run(node, 'touch /root/stop');
    for (const { ended } of writers) await ended;
    assert.deepEqual(
      NODES.map((node) => lab.run(node, 'grep " /etc/pve " /proc/self/mountinfo')),
      mounts,
      'the tree stayed mounted',
    );
    for (const writer of NODES) {
      const acknowledged = lab.run(writer, 'cat /root/acknowledged').trim().split('\n');
      assert.ok(acknowledged.length > 10, `${writer} wrote ${acknowledged.length} files`);
      for (const reader of NODES) {
        let lost: string[] = [];
        const look = (): boolean => {
          const found = new Set(lab.run(reader, 'cat /etc/pve/moved/*').trim().split('\n'));
          lost = acknowledged.filter((file) => !found.has(file));
          return lost.length === 0;
        };
        // What one node acknowledges another may show a moment later.
        await until(`${reader} has what ${writer} wrote`, 3_000, look).catch(() => {
          assert.fail(`acknowledged on ${writer}, missing on ${reader}: ${lost.join(' ')}; of ${acknowledged.length}`);
        });
      }
    }
    return result;
  }
  const moving = (engine: string) => () => lab.begin('pve1', `pvecm move-engine ${engine}`).ended;

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
    assert.equal(engineOf('pve2'), 'totem');
    assert.match(lab.on('pve2', 'pvecm move-engine bundled --dry-run').err, /runs on the bundled engine already/);
  });

  test('to Corosync: nothing that was acknowledged is lost, and its own tools see the ring', async () => {
    const before = version('pve1');
    const { code, out, err } = await underWriters(moving('corosync'));
    assert.equal(code, 0, out + err);
    for (const node of NODES) {
      assert.equal(engineOf(node), 'corosync');
      assert.ok(whole(node));
      assert.deepEqual(processes(node), { corosync: true, bundled: false }, node);
      assert.equal(version(node), before + 1);
      assert.equal(lab.run(node, 'cat /etc/pve/corosync.conf'), lab.run(node, 'cat /etc/corosync/corosync.conf'));
    }
    assert.match(lab.run('pve3', 'corosync-quorumtool -s'), /Quorate: +Yes[\s\S]*Total votes: +3/);
  });

  test('where one node cannot start the new engine, all go back to the old one', async () => {
    onCorosync = lab.run('pve1', 'cat /etc/pve/corosync.conf');
    // A file that the bundled engine reads when it starts, and not before: a folder in its place is refused.
    const state = '/var/lib/corosync/ringmaster-ring-3';
    lab.run('pve3', `mv ${state} /root/ring && mkdir ${state}`);
    const { code, out, err } = await underWriters(moving('bundled'));
    assert.equal(code, 1, out + err);
    assert.match(err, /pve3 .*did not answer|pve3: /);
    for (const node of NODES) {
      await until(`${node} is back`, 60_000, () => engineOf(node) === 'corosync' && whole(node));
      assert.equal(lab.run(node, 'cat /etc/corosync/corosync.conf'), onCorosync);
    }
    lab.run('pve3', `rmdir ${state} && mv /root/ring ${state}`);
  });

  test('back to the bundled engine', async () => {
    const { code, out, err } = await underWriters(moving('bundled'));
    assert.equal(code, 0, out + err);
    for (const node of NODES) {
      assert.equal(engineOf(node), 'totem');
      assert.ok(whole(node));
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
    await until('it is on Corosync, alone', 30_000, () => engineOf('pve3') === 'corosync');
    assert.match(lab.on('pve3', 'echo no > /etc/pve/no').err, /Permission denied/);
    await until('it comes over', 40_000, () => engineOf('pve3') === 'totem' && whole('pve3') && whole('pve1'));
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
