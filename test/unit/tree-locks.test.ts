/** Cluster-wide locks and time, by a clock of the test's own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applyOperation } from '../../agent/tree/apply.ts';
import { LOCK_LIFETIME_MS, LockWatch } from '../../agent/tree/locks.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation, Version } from '../../agent/tree/types.ts';

const LOCK = 'priv/lock/storage';

class Node {
  readonly tree = new Tree();
  readonly watch = new LockWatch();
  #index = 0;

  constructor() {
    for (const path of ['priv', 'priv/lock']) this.apply({ kind: 'mkdir', path }, 0);
  }
  apply(operation: Operation, now: number): boolean {
    this.#index += 1;
    const version = { epoch: 1, index: this.#index };
    const stamp = { inode: this.tree.nextInode, mtimeS: 1_700_000_000 + this.#index, writer: 1, version };
    const outcome = applyOperation(this.tree, operation, stamp);
    if (outcome.ok) this.watch.note(this.tree, outcome.value.paths, now);
    return outcome.ok;
  }
  ask(now: number): Operation | null {
    const found = this.tree.find(LOCK);
    assert.ok(found.ok);
    return this.watch.ask(LOCK, found.value.version, now);
  }
  versionOfLock(): Version {
    const found = this.tree.find(LOCK);
    assert.ok(found.ok);
    return found.value.version;
  }
}
const take = { kind: 'mkdir', path: LOCK } as const;
const renew = { kind: 'setTime', target: LOCK, mtimeS: 1_700_000_500 } as const;

describe('a lock', () => {
  test('that is asked for goes 120 s after its last renewal was seen, without another word', () => {
    const node = new Node();
    node.apply(take, 0);
    node.apply(renew, 50_000);
    assert.equal(node.ask(60_000), null);
    assert.equal(node.watch.deadline(), 50_000 + LOCK_LIFETIME_MS);
    assert.deepEqual(node.watch.due(50_000 + LOCK_LIFETIME_MS - 1), []);
    const due = node.watch.due(50_000 + LOCK_LIFETIME_MS);
    assert.deepEqual(due, [{ kind: 'expireLock', path: LOCK, version: node.versionOfLock() }]);
    assert.ok(due[0] !== undefined && node.apply(due[0], 50_000 + LOCK_LIFETIME_MS));
    assert.equal(node.tree.find(LOCK).ok, false);
  });

  test('that nobody asks for stays', () => {
    const node = new Node();
    node.apply(take, 0);
    assert.equal(node.watch.deadline(), Infinity);
    assert.deepEqual(node.watch.due(100 * LOCK_LIFETIME_MS), []);
  });

  test('whose time is over goes as soon as somebody asks', () => {
    const node = new Node();
    node.apply(take, 0);
    assert.equal(node.ask(LOCK_LIFETIME_MS)?.kind, 'expireLock');
  });

  test('that is renewed after it was asked for stays until somebody asks again', () => {
    const node = new Node();
    node.apply(take, 0);
    node.ask(1_000);
    node.apply(renew, 100_000);
    assert.deepEqual(node.watch.due(LOCK_LIFETIME_MS), []);
    assert.equal(node.watch.deadline(), Infinity);
    assert.equal(node.ask(110_000), null);
    assert.equal(node.watch.due(100_000 + LOCK_LIFETIME_MS).length, 1);
  });

  test('that was released and taken anew is another one', () => {
    const node = new Node();
    node.apply(take, 0);
    node.ask(1_000);
    node.apply({ kind: 'rmdir', path: LOCK }, 2_000);
    node.apply(take, 3_000);
    assert.deepEqual(node.watch.due(3_000 + LOCK_LIFETIME_MS - 1), []);
  });

  test('keeps its time when the whole tree is replaced by one that has it as it is', () => {
    const node = new Node();
    node.apply(take, 0);
    node.watch.noteAll(node.tree, 100_000);
    assert.equal(node.ask(LOCK_LIFETIME_MS)?.kind, 'expireLock');
    node.watch.noteAll(new Tree(), 200_000);
    assert.equal(node.watch.deadline(), Infinity);
  });
});
