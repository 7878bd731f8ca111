/** The barrier behind a fresh read (fsync on the mount): an operation that changes nothing, and that a majority must have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import { Group, type SimNode } from './replica-group.ts';

function formed(size: number): Group {
  const group = new Group(size);
  for (const node of group.nodes) group.start(node);
  group.partition([group.nodes], 0);
  group.settle();
  return group;
}

/** Delivers everything that is under way, and stores nothing. */
function pump(group: Group): void {
  for (let round = 0; round < 12; round += 1)
    for (const node of group.alive()) {
      while (node.outgoing.length > 0) group.sequence(node);
      for (const each of group.alive()) while (each.at < (each.ring?.log.length ?? 0)) group.deliver(each);
    }
}

const sync = (group: Group, node: SimNode): void => group.submitOperation(node, { kind: 'sync' }, 'no file');
const answered = (group: Group): string[] => group.answers.map(({ errno }) => errno ?? 'ok');

test('a sync changes nothing', () => {
  const tree = new Tree();
  const outcome = applyOperation(
    tree,
    { kind: 'sync' },
    { inode: 2, mtimeS: 9, writer: 1, version: { epoch: 1, index: 1 } },
  );
  assert.ok(outcome.ok);
  assert.deepEqual(outcome.value, { put: [], removed: [], names: false, paths: [] });
  assert.equal(tree.entries, 0);
});

test('a sync is answered when a majority has acknowledged it, and what was acknowledged before does not count for it', () => {
  const group = formed(3);
  const reader = group.node(1);
  group.submit(group.node(2));
  group.settle();
  assert.deepEqual(answered(group), ['ok']);
  sync(group, reader);
  pump(group);
  group.store(reader, 9);
  pump(group);
  assert.deepEqual(answered(group), ['ok'], 'the others may be elsewhere by now, and have written on');
  group.store(group.node(2), 9);
  pump(group);
  assert.deepEqual(answered(group), ['ok', 'ok']);
});

test('a sync without quorum is refused', () => {
  const group = formed(3);
  group.partition([[group.node(1)], [group.node(2), group.node(3)]], 0);
  group.settle();
  sync(group, group.node(1));
  assert.deepEqual(answered(group), ['EACCES']);
});
