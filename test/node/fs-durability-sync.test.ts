/**
 * fsync fails, and fsync hangs, on three real nodes: what rests on it is not acknowledged, the node says what is wrong
 * with its disk and writes nothing more, the others go on, and after a new start it takes part again.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { failDisk, whyNoDiskFaults } from './failing-disk.ts';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const PMXCFS = 'pgrep -f "agent.mjs pmxcf[s]"';
const NODES = ['pve1', 'pve2', 'pve3'] as const;

describe('a disk that does not sync', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const write = (node: string, file: string, text: string): boolean =>
    nodes.on(node, `grep -q " /etc/pve " /proc/mounts && timeout 10 sh -c "echo ${text} > /etc/pve/${file}"`).code ===
    0;
  const reads = (node: string, file: string): string => nodes.on(node, `timeout 5 cat /etc/pve/${file}`).out.trim();
  const events = (node: string): string => nodes.run(node, 'cat /var/log/ringmaster/events.jsonl');
  const pid = (node: string): string => nodes.on(node, PMXCFS).out.trim();

  before(() => {
    assert.equal(whyNoDiskFaults(), false);
    nodes.good('up', '--free', '0');
  });
  after(() => nodes.remove());

  test('fsync fails on one node: it acknowledges nothing, names the disk and what to do, and the others go on', async () => {
    assert.ok(write('pve2', 'before', 'kept'));
    const heal = await failDisk(nodes.directory, 'pve2', { kind: 'error', errno: 'EIO' });
    // A majority of the others may have it: what is refused is the word of a node that has it on no disk.
    const refused = nodes.on('pve2', 'echo x > /etc/pve/unsure');
    assert.notEqual(refused.code, 0, 'acknowledged without a disk');
    assert.match(refused.err, /I\/O error|Input\/output error/);
    assert.match(
      events('pve2'),
      /"error".*This node does not write any more: the disk of \S+config\.db reports an error .*See to the disk, run `pmxcfs check`, and start pmxcfs again/,
    );
    assert.match(nodes.on('pve2', 'echo y > /etc/pve/later').err, /Permission denied/);
    assert.match(
      nodes.run('pve2', 'pvecm status'),
      /File system\n~+\n\/etc\/pve is read-only on this node\. .*the disk of \S+config\.db reports an error/,
    );
    assert.equal(reads('pve2', 'before'), 'kept', 'it can still be read');
    for (const node of ['pve1', 'pve3']) assert.ok(write(node, `while-${node}`, node), `${node} goes on`);
    const failed = pid('pve2');
    await heal();
    // A disk that works again does not make true what the kernel took for written: only a new start looks anew.
    assert.ok(!write('pve2', 'later', 'y'));
    nodes.run('pve2', `kill ${failed}`);
    await until('pve2 takes part again', 30_000, () => pid('pve2') !== failed && write('pve2', 'again', 'pve2'));
    for (const node of NODES) {
      const found = ['before', 'while-pve1', 'while-pve3', 'again'].map((file) => reads(node, file));
      assert.deepEqual(found, ['kept', 'pve1', 'pve3', 'pve2'], node);
    }
  });

  test('fsync fails on two of three: nobody acknowledges a write until a majority has a disk, and nothing is lost', async () => {
    assert.ok(write('pve1', 'whole', 'kept'));
    const heals = await Promise.all(
      ['pve2', 'pve3'].map((node) => failDisk(nodes.directory, node, { kind: 'error', errno: 'EIO' })),
    );
    assert.ok(!write('pve1', 'lonely', 'x'), 'one disk of three is no majority');
    await until('both say so', 10_000, () =>
      ['pve2', 'pve3'].every((node) => /does not write any more/.test(events(node))),
    );
    assert.ok(!write('pve1', 'lonely2', 'x'), 'nor later');
    for (const heal of heals) await heal();
    for (const node of ['pve2', 'pve3']) nodes.run(node, `kill ${pid(node)}`);
    await until('the cluster writes again', 40_000, () => NODES.every((node) => write(node, `back-${node}`, node)));
    for (const node of NODES) {
      assert.equal(reads(node, 'whole'), 'kept');
      assert.equal(reads(node, 'again'), 'pve2');
    }
  });
});
