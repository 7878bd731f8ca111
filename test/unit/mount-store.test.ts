/** The replica's file: what was committed is there after a restart, and a damaged one is refused in words. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Store, StoreDamaged } from '../../agent/mount/store.ts';
import { FRESH_IMAGE } from '../../agent/replica/types.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';
import { changed, encodeTree, treeBytes } from './mount-store-changes.ts';

const base = mkdtempSync(join(tmpdir(), 'ringmaster-store-'));
after(() => rmSync(base, { recursive: true, force: true }));

let directories = 0;
const fresh = (): string => join(base, String((directories += 1)));

const OPERATIONS: Operation[] = [
  { kind: 'mkdir', path: 'nodes' },
  { kind: 'write', target: 'nodes/a', data: new TextEncoder().encode('one'), create: true },
  { kind: 'write', target: 'b\udcff', data: new Uint8Array([0, 255]), create: true },
  { kind: 'unlink', path: 'nodes/a' },
];

describe('the store', () => {
  test('a new file holds a fresh image', () => {
    const store = Store.open(fresh());
    assert.deepEqual(store.load(), FRESH_IMAGE);
    store.close();
  });

  test('what was committed is there when it is opened again, names that are not UTF-8 too', () => {
    const directory = fresh();
    const tree = new Tree();
    const store = Store.open(directory);
    const lineage = [{ epoch: 0, branch: '', end: 0 }];
    store.commit([
      { kind: 'promise', promised: 4 },
      { kind: 'epoch', version: { epoch: 4, index: 0 }, branch: 'ab', lineage },
      ...changed(tree, OPERATIONS),
      { kind: 'local', from: 3 },
    ]);
    store.close();
    const again = Store.open(directory);
    const image = again.load();
    assert.deepEqual(treeBytes(image), encodeTree(tree));
    const { version, branch, promised, localFrom, sessions } = image;
    assert.deepEqual(version, { epoch: 4, index: 4 });
    assert.deepEqual(
      { branch, promised, localFrom, lineage: image.lineage },
      { branch: 'ab', promised: 4, localFrom: 3, lineage },
    );
    assert.deepEqual(sessions, [{ node: 1, session: 7, floor: 0, done: [4] }]);
    again.close();
  });

  test('an image put in place of another leaves nothing of it, and the copy set aside still has it', () => {
    const directory = fresh();
    const tree = new Tree();
    const store = Store.open(directory);
    store.commit(changed(tree, OPERATIONS));
    const copy = store.setAside('set-aside');
    const other = new Tree();
    changed(other, [{ kind: 'mkdir', path: 'other' }]);
    const { nodes, ...fresh_ } = FRESH_IMAGE;
    assert.deepEqual(nodes, []);
    const rest = { ...fresh_, nextInode: other.nextInode, version: { epoch: 8, index: 1 } };
    const removed = [...tree.all()].map(({ inode }) => inode);
    store.commit([{ kind: 'adopt', put: [...other.all()], removed, rest }]);
    assert.deepEqual(store.load().version, { epoch: 8, index: 1 });
    assert.deepEqual(store.load().sessions, []);
    assert.deepEqual(treeBytes(store.load()), encodeTree(other));
    store.close();
    const kept = fresh();
    Store.open(kept).close();
    writeFileSync(join(kept, 'config.db'), readFileSync(copy));
    const aside = Store.open(kept);
    assert.deepEqual(treeBytes(aside.load()), encodeTree(tree));
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
    const refused = (error: unknown): boolean =>
      error instanceof StoreDamaged && /pmxcfs restore --list/.test(error.message);
    assert.throws(() => Store.open(directory), refused);
    assert.match(readFileSync(file, 'utf8'), /^no database/);
  });
});
