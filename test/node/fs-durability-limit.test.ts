/** The tree is full: 128 MiB and not a byte more on any node, nothing lost by it, and what is deleted makes room again. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const MIB = 1024 * 1024;
const NODES = ['pve1', 'pve2', 'pve3'] as const;

describe('the limit of the tree', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  /** Bytes by statvfs: all, and what is left. */
  const space = (node: string): { readonly all: number; readonly left: number } => {
    const [size, blocks, left] = nodes.run(node, 'stat -f -c "%S %b %a" /etc/pve').trim().split(' ').map(Number);
    return { all: (size ?? 0) * (blocks ?? 0), left: (size ?? 0) * (left ?? 0) };
  };
  const DIGEST = 'cd /etc/pve && md5sum big/* | md5sum';

  before(() => void nodes.good('up', '--free', '0'));
  after(() => nodes.remove());

  test('one byte too many is refused with ENOSPC, wherever it is written and however, and the rest is whole', async () => {
    const filled = nodes.run(
      'pve1',
      `mkdir /etc/pve/big; head -c ${MIB} /dev/urandom > /tmp/big
       for i in $(seq 140); do cat /tmp/big > /etc/pve/big/f$i 2> /tmp/said || break; done
       cat /tmp/said; echo $i`,
    );
    assert.match(filled, /No space left on device/);
    const refused = Number(filled.trim().split('\n').at(-1));
    assert.ok(refused >= 126 && refused <= 128, `the file number ${refused} was the first that found no room`);
    await until('all nodes have the same', 20_000, () => {
      const [first, ...others] = NODES.map((node) => nodes.run(node, DIGEST));
      return others.every((each) => each === first);
    });
    for (const node of NODES) {
      const { all, left } = space(node);
      assert.equal(all, 128 * MIB);
      assert.ok(left >= 0 && left < MIB, `${left} bytes are left on ${node}`);
      const { err } = nodes.on(
        node,
        `cat /tmp/big > /etc/pve/one-more-${node} || head -c ${MIB} /dev/zero > /etc/pve/m`,
      );
      assert.match(err, /No space left on device/);
      // A file that grows piece by piece keeps the pieces that there was room for, as everywhere.
      const grows = nodes.on(node, 'head -c 1048576 /dev/zero >> /etc/pve/grows; rm /etc/pve/grows');
      assert.match(grows.err, /No space left on device/);
    }
    // In place of what is there, and less than is left, there is room.
    nodes.run('pve2', 'cat /tmp/big > /etc/pve/big/f1 || head -c 1048576 /dev/zero > /etc/pve/big/f1');
    nodes.run('pve3', 'echo small > /etc/pve/small');
    const sum = nodes.run('pve1', 'md5sum < /tmp/big').slice(0, 32);
    const whole = Number(nodes.run('pve3', `cd /etc/pve/big && md5sum f* | grep -c ^${sum}`));
    assert.ok(whole >= refused - 2, `${whole} of ${refused - 1} files are whole`);
  });

  test('a node that was killed takes part again with all of it, and what is deleted makes room', async () => {
    const before = nodes.run('pve1', DIGEST);
    nodes.run('pve2', 'kill -9 $(pgrep -f "agent.mjs pmxcf[s]")');
    await until('pve2 is back', 40_000, () => {
      const { code, out } = nodes.on('pve2', `grep -q " /etc/pve " /proc/mounts && ${DIGEST}`);
      return code === 0 && out === before;
    });
    const { left } = space('pve3');
    nodes.run('pve3', 'rm /etc/pve/big/f2 /etc/pve/big/f3');
    await until('pve1 knows', 5_000, () => space('pve1').left >= left + 2 * MIB - 8192);
    nodes.run('pve1', 'cat /tmp/big > /etc/pve/fits');
    assert.equal(nodes.run('pve2', 'stat -c %s /etc/pve/fits').trim(), String(MIB));
  });
});
