/** The virtual files byte for byte, and what nodes tell each other besides the tree. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rrdLine } from '../../agent/mount/node-status.ts';
import { SharedStatus } from '../../agent/mount/virtual/shared-status.ts';
import { VirtualFiles } from '../../agent/mount/virtual/virtual-files.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';

class Node {
  readonly tree = new Tree();
  readonly files = new VirtualFiles(1_700_000_000);
  run(...operations: Operation[]): void {
    for (const operation of operations) {
      const stamp = { inode: this.tree.nextInode, mtimeS: 1, writer: 1, version: { epoch: 1, index: 1 } };
      const outcome = applyOperation(this.tree, operation, stamp);
      assert.ok(outcome.ok, JSON.stringify(operation));
      this.files.noteChange(this.tree, outcome.value.paths);
    }
  }
  text(name: '.vmlist' | '.version' | '.clusterlog' | '.rrd' | '.members' | '.debug'): string | null {
    const bytes = this.files.contents(name, this.tree);
    return bytes === null ? null : Buffer.from(bytes).toString('utf8');
  }
}
const put = (path: string): Operation => ({ kind: 'write', target: path, data: Buffer.from('x'), create: true });
const FOLDERS = ['nodes', 'nodes/pve1', 'nodes/pve1/qemu-server', 'nodes/pve1/lxc'].map((path): Operation => ({
  kind: 'mkdir',
  path,
}));

describe('.vmlist', () => {
  test('of no guests', () => assert.equal(new Node().text('.vmlist'), '{\n"version": 1\n\n}\n'));

  test('has every guest with the count at which it last changed', () => {
    const node = new Node();
    node.run(...FOLDERS, put('nodes/pve1/qemu-server/100.conf'), put('nodes/pve1/lxc/101.conf'));
    node.run(put('nodes/pve1/qemu-server/100.conf'));
    assert.equal(
      node.text('.vmlist'),
      '{\n"version": 4,\n"ids": {\n' +
        '"100": { "node": "pve1", "type": "qemu", "version": 4 },\n' +
        '"101": { "node": "pve1", "type": "lxc", "version": 3 }}\n\n}\n',
    );
  });

  test('forgets a guest that is gone', () => {
    const node = new Node();
    node.run(...FOLDERS, put('nodes/pve1/lxc/101.conf'), { kind: 'unlink', path: 'nodes/pve1/lxc/101.conf' });
    assert.equal(node.text('.vmlist'), '{\n"version": 3\n\n}\n');
  });
});

test('.version counts the changes of well-known files, and names what each node said of itself', () => {
  const node = new Node();
  node.files.take({ kind: 'facts', facts: { clusterInfo: 5, keyValues: { pve1: { 'node-status': 7 } } } });
  node.run(put('storage.cfg'), put('other'), put('storage.cfg'));
  const version = JSON.parse(node.text('.version') ?? '') as Record<string, unknown>;
  const { starttime, clinfo, vmlist, kvstore } = version;
  assert.deepEqual(
    { starttime, clinfo, vmlist, storage: version['storage.cfg'], kvstore },
    { starttime: 1_700_000_000, clinfo: 5, vmlist: 1, storage: 3, kvstore: { pve1: { 'node-status': 7 } } },
  );
});

test('.members is not there before somebody knows them; .debug is 0', () => {
  assert.equal(new Node().text('.members'), null);
  assert.equal(new Node().text('.debug'), '0\n');
});

test('a line of .rrd has its values in the order in which they are read', () => {
  const sizes = { total: 2, used: 1 };
  const status = {
    ...{ uptimeS: 10, timeS: 1_700_000_000, load: 0.5, cpus: 4, cpu: 0.25, ioWait: 0 },
    ...{ memory: sizes, swap: sizes, root: sizes, network: { received: 8, sent: 9 } },
  };
  assert.equal(rrdLine('pve1', status), 'pve2-node/pve1:10::1700000000:0.5:4:0.25:0:2:1:2:1:2:1:8:9');
});

describe('what nodes share', () => {
  const entry = (msg: string, time = 1_700_000_000) => ({ time, pri: 6, tag: 'cluster', pid: 1, user: 'root', msg });

  test('is in the log byte for byte, newest first', () => {
    const one = new SharedStatus('pve1', 1);
    one.note(entry('starting cluster log'));
    assert.equal(
      one.logText,
      '{\n"data": [\n{"uid": 1, "time": 1700000000, "pri": 6, "tag": "cluster", "pid": 1, "node": "pve1", "user": "root", "msg": "starting cluster log"}\n]\n}\n',
    );
  });

  test('reaches the others, once however often it comes, and goes with the node that said it', () => {
    const [one, two] = [new SharedStatus('pve1', 1), new SharedStatus('pve2', 2)];
    const said = one.note(entry('hello'));
    assert.equal(two.take(1, said), true);
    two.take(1, said);
    assert.equal(two.logText.match(/hello/g)?.length, 1);
    two.take(1, one.set('node-status', 'busy'));
    assert.deepEqual(two.values('node-status'), [{ node: 'pve1', value: 'busy' }]);
    assert.deepEqual(two.versions(), { pve1: { 'node-status': 1 }, pve2: {} });
    two.view([2], []);
    assert.deepEqual(two.values('node-status'), []);
    assert.match(two.logText, /hello/);
  });

  test('is told to a newcomer by the one that was there', () => {
    const [one, two, three] = [new SharedStatus('pve1', 1), new SharedStatus('pve2', 2), new SharedStatus('pve3', 3)];
    two.take(1, one.note(entry('before')));
    const told = two.view([2, 3], [3]);
    assert.ok(told !== null && three.take(2, told));
    assert.match(three.logText, /before/);
    assert.equal(two.view([2], []), null);
  });

  test('that is malformed is passed over', () => {
    const one = new SharedStatus('pve1', 1);
    for (const odd of ['', '{', '[]', '{"node":"x"}', '{"node":"x","values":{"a":[1]},"log":[]}'])
      assert.equal(one.take(2, odd), false, odd);
  });
});
