/** What the tests of moves share: who writes meanwhile, and what has to hold afterwards. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { LabNodes, until, whyNoLab, type Outcome } from './lab-nodes.ts';

export const NODES = ['pve1', 'pve2', 'pve3'] as const;

/** False, or why no cluster can move here. */
export const whyNoMove =
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

export class MovingCluster extends LabNodes {
  engineOf(node: string): string {
    return this.status(node)?.engine ?? 'none';
  }

  /** It has all three votes and takes part. */
  whole(node: string): boolean {
    const status = this.status(node);
    return status?.state.kind === 'operational' && status.quorum.quorate && status.quorum.totalVotes === 3;
  }

  move(engine: 'corosync' | 'bundled'): Promise<Outcome> {
    return this.begin('pve1', `pvecm move-engine ${engine}`).ended;
  }

  /** Runs `move` while all nodes write; gives what was said, once every acknowledged file was found on every node. */
  async underWriters(move: () => Promise<Outcome>): Promise<Outcome> {
    this.run('pve1', 'rm -rf /etc/pve/moved; mkdir /etc/pve/moved');
    const writers = NODES.map((node) =>
      this.begin(node, `WRITER='${WRITER.replaceAll("'", `'\\''`)}'; ${startWriter(node)}`),
    );
    const mounts = NODES.map((node) => this.run(node, 'grep " /etc/pve " /proc/self/mountinfo'));
    await until('there are files', 10_000, () => this.on('pve1', 'ls /etc/pve/moved | wc -l').out.trim() > '0');
    const result = await move();
    const counts = NODES.map((node) => Number(this.run(node, 'wc -l < /root/acknowledged')));
    await until('all write again', 40_000, () =>
      NODES.every((node, index) => Number(this.run(node, 'wc -l < /root/acknowledged')) > (counts[index] ?? 0)),
    );
    for (const node of NODES) this.run(node, 'touch /root/stop');
    for (const { ended } of writers) await ended;
    assert.deepEqual(
      NODES.map((node) => this.run(node, 'grep " /etc/pve " /proc/self/mountinfo')),
      mounts,
      'the tree stayed mounted',
    );
    for (const writer of NODES) {
      const acknowledged = this.run(writer, 'cat /root/acknowledged').trim().split('\n');
      assert.ok(acknowledged.length > 10, `${writer} wrote ${acknowledged.length} files`);
      for (const reader of NODES) {
        let lost: string[] = [];
        const look = (): boolean => {
          const found = new Set(this.run(reader, 'cat /etc/pve/moved/*').trim().split('\n'));
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
}
