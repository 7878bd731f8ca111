/** The replica's file: what was committed is there after a restart, and a damaged one is refused in words. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Store, StoreDamaged } from '../../agent/mount/store.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { encodeTree } from '../../agent/tree/snapshot.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Change, Operation } from '../../agent/tree/types.ts';

const base = mkdtempSync(join(tmpdir(), 'ringmaster-store-'));
after(() => rmSync(base, { recursive: true, force: true }));

let directories = 0;
const fresh = (): string => join(base, String((directories += 1)));

function changed(tree: Tree, operations: readonly Operation[]): Change[] {
  return operations.map((operation, index) => {
    const stamp = { inode: tree.nextInode, mtimeS: 1_700_000_000, writer: 1, version: { epoch: 4, index: index + 1 } };
    const outcome = applyOperation(tree, operation, stamp);
    assert.ok(outcome.ok, `${operation.kind} failed`);
    return outcome.value;
  });
}

const OPERATIONS: Operation[] = [
  { kind: 'mkdir', path: 'nodes' },
  { kind: 'write', target: 'nodes/a', data: new TextEncoder().encode('one'), create: true },
  { kind: 'write', target: 'b\udcff', data: new Uint8Array([0, 255]), create: true },
  { kind: 'unlink', path: 'nodes/a' },
];

describe('the store', () => {
  test('a new file holds an empty tree that nobody ever wrote to', () => {
    const store = Store.open(fresh());
    assert.deepEqual(store.load().version, { epoch: 0, index: 0 });
    assert.equal(store.load().tree.entries, 0);
    store.close();
  });

  test('what was committed is there when it is opened again, names that are not UTF-8 too', () => {
    const directory = fresh();
    const tree = new Tree();
    const store = Store.open(directory);
    store.commit(changed(tree, OPERATIONS), { epoch: 4, index: 4 }, tree.nextInode);
    store.close();
    const again = Store.open(directory);
    const loaded = again.load();
    assert.deepEqual(encodeTree(loaded.tree), encodeTree(tree));
    assert.deepEqual(loaded.version, { epoch: 4, index: 4 });
    again.close();
  });

  test('a tree put in place of another leaves nothing of it, and the copy set aside still has it', () => {
    const directory = fresh();
    const tree = new Tree();
    const store = Store.open(directory);
    store.commit(changed(tree, OPERATIONS), { epoch: 4, index: 4 }, tree.nextInode);
    const copy = store.setAside('set-aside');
    const other = new Tree();
    changed(other, [{ kind: 'mkdir', path: 'other' }]);
    store.replace(other, { epoch: 8, index: 1 });
    assert.deepEqual(encodeTree(store.load().tree), encodeTree(other));
    store.close();
    const kept = fresh();
    Store.open(kept).close();
    writeFileSync(join(kept, 'config.db'), readFileSync(copy));
    const aside = Store.open(kept);
    assert.deepEqual(encodeTree(aside.load().tree), encodeTree(tree));
    aside.close();
  });

  test('a second process is kept out', () => {
    const directory = fresh();
    const store = Store.open(directory);
    assert.throws(() => Store.open(directory), /another pmxcfs/);
    store.close();
  });

  test('a file that is no database is refused with what to do, and is left as it is', () => {
    const directory = fresh();
    Store.open(directory).close();
    const file = join(directory, 'config.db');
    writeFileSync(file, 'no database at all, but long enough to be looked at as one'.repeat(100));
    assert.throws(
      () => Store.open(directory),
      (error) => error instanceof StoreDamaged && /Move it aside/.test(error.message),
    );
    assert.match(readFileSync(file, 'utf8'), /^no database/);
  });

  test('a tree whose entries hang in the air is refused', () => {
    const directory = fresh();
    const tree = new Tree();
    const store = Store.open(directory);
    const changes = changed(tree, OPERATIONS);
    // The directory's own record is left out.
    store.commit(changes.slice(1), { epoch: 4, index: 4 }, tree.nextInode);
    store.commit([{ put: [], removed: [2], paths: [] }], { epoch: 4, index: 5 }, tree.nextInode);
    changed(tree, []);
    store.commit(
      [
        {
          put: [
            {
              node: {
                inode: 9,
                kind: 'file',
                parent: 7,
                name: 'x',
                mtimeS: 0,
                version: { epoch: 4, index: 6 },
                writer: 1,
                data: new Uint8Array(),
              },
              contents: true,
            },
          ],
          removed: [],
          paths: [],
        },
      ],
      { epoch: 4, index: 6 },
      10,
    );
    assert.throws(() => store.load(), StoreDamaged);
    store.close();
  });
});
