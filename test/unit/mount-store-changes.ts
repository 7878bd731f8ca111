/** Records of the store as a replica makes them, for tests. */
import assert from 'node:assert/strict';
import { nodeId } from '../../agent/totem/ids.ts';
import type { ReplicaImage, StoreRecord } from '../../agent/replica/types.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { ByteWriter } from '../../agent/tree/bytes.ts';
import { treeOf, writeNode } from '../../agent/tree/snapshot.ts';
import type { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';

/** Applies the operations to the tree as operations `first`, `first + 1`, ... of epoch 4. */
export function changed(tree: Tree, operations: readonly Operation[], first = 1): StoreRecord[] {
  return operations.map((operation, at) => {
    const version = { epoch: 4, index: first + at };
    const stamp = { inode: tree.nextInode, mtimeS: 1_700_000_000, writer: 1, version };
    const outcome = applyOperation(tree, operation, stamp);
    assert.ok(outcome.ok, `${operation.kind} failed`);
    const session = { node: nodeId(1), session: 7, floor: 0, done: [first + at] };
    return { kind: 'operation', version, change: outcome.value, nextInode: tree.nextInode, session };
  });
}

/** Equal for equal trees. */
export function encodeTree(tree: Tree): Uint8Array {
  const out = new ByteWriter();
  out.integer(tree.nextInode);
  for (const node of [...tree.all()].sort((left, right) => left.inode - right.inode)) writeNode(out, node);
  return out.done();
}

export function treeBytes(image: ReplicaImage): Uint8Array {
  const tree = treeOf(image.nodes, image.nextInode);
  assert.ok(tree.ok, tree.ok ? '' : tree.error);
  return encodeTree(tree.value);
}
