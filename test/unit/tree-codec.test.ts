import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { applyOperation } from '../../agent/tree/apply.ts';
import { ByteWriter } from '../../agent/tree/bytes.ts';
import { decodeOperation, encodeOperation } from '../../agent/tree/codec.ts';
import { decoded } from '../../agent/tree/decoded.ts';
import { decodeName, encodeName, nameFault } from '../../agent/tree/names.ts';
import { digestTree, readNode, treeOf, writeNode } from '../../agent/tree/snapshot.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation, Target, TreeNode } from '../../agent/tree/types.ts';

const sha = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** Objects as literals make them, for deepEqual. */
const plain = { noNullPrototype: true };
const names = ['a', 'b', 'c', 'priv', 'lock'];
const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const target: fc.Arbitrary<Target> = fc.oneof({ weight: 4, arbitrary: path }, fc.integer({ min: 1, max: 30 }));
const data = fc.uint8Array({ maxLength: 40 });
const version = fc.record({ epoch: fc.nat(), index: fc.nat() }, plain);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), path, exclusive: fc.boolean() }, plain),
  fc.record({ kind: fc.constant('mkdir' as const), path }, plain),
  fc.record({ kind: fc.constant('write' as const), target, data, create: fc.boolean() }, plain),
  fc.record(
    {
      kind: fc.constant('patch' as const),
      target,
      offset: fc.nat(60),
      data,
      size: fc.option(fc.nat(80)),
    },
    plain,
  ),
  fc.record({ kind: fc.constant('append' as const), target, data }, plain),
  fc.record({ kind: fc.constant('rename' as const), from: path, to: path, noReplace: fc.boolean() }, plain),
  fc.record({ kind: fc.constant('unlink' as const), path }, plain),
  fc.record({ kind: fc.constant('rmdir' as const), path }, plain),
  fc.record({ kind: fc.constant('setTime' as const), target, mtimeS: fc.integer({ min: 0 }) }, plain),
  fc.record({ kind: fc.constant('expireLock' as const), path, version }, plain),
  fc.record({ kind: fc.constant('sync' as const) }, plain),
);

function grown(operations: readonly Operation[]): Tree {
  const tree = new Tree();
  operations.forEach((each, index) =>
    applyOperation(tree, each, {
      ...{ inode: tree.nextInode, mtimeS: 1000 + index },
      ...{ writer: 1 + (index % 3), version: { epoch: 4, index } },
    }),
  );
  return tree;
}

describe('names', () => {
  test('any bytes survive', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        assert.deepEqual([...encodeName(decodeName(bytes))], [...bytes]);
      }),
    );
  });
  test('any well-formed text survives, the byte order mark too', () => {
    const wellFormed = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed());
    fc.assert(fc.property(wellFormed, (text) => assert.equal(decodeName(encodeName(text)), text)));
    assert.equal(decodeName(encodeName('\ufeffx')), '\ufeffx');
  });
  test('agrees with TextDecoder on what is UTF-8', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const nearUtf8 = fc.array(fc.constantFrom(0x41, 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(nearUtf8, (list) => {
        const bytes = Uint8Array.from(list);
        let valid = true;
        try {
          decoder.decode(bytes);
        } catch {
          valid = false;
        }
        assert.equal(decodeName(bytes).isWellFormed(), valid);
      }),
      { numRuns: 2000 },
    );
  });
  test('the byte 0xff may be in a name; a lone surrogate that is no byte may not', () => {
    assert.equal(nameFault(decodeName(Uint8Array.of(0x61, 0xff))), null);
    assert.equal(nameFault('\ud800'), 'EINVAL');
    assert.equal(nameFault('\udcc3\udca9'), 'EINVAL');
    assert.equal(nameFault('..'), 'EINVAL');
    assert.equal(nameFault('..x'), null);
  });
});

describe('operations as bytes', () => {
  test('every operation survives', () => {
    fc.assert(
      fc.property(operation, (each) =>
        assert.deepEqual(decodeOperation(encodeOperation(each)), { ok: true, value: each }),
      ),
    );
  });
  test('the contents are a copy: neither Buffer nor Uint8Array is kept alive, or carried to another thread, for a part of it', () => {
    const bytes = encodeOperation({ kind: 'append', target: 'f', data: Uint8Array.of(1, 2, 3) });
    const received = Buffer.concat([Buffer.alloc(64 * 1024), bytes]);
    for (const chunk of [received, new Uint8Array(received)]) {
      const found = decodeOperation(chunk.subarray(64 * 1024));
      assert.ok(found.ok && found.value.kind === 'append');
      assert.equal(found.value.data.buffer.byteLength, 3);
    }
  });
  test('garbage and damage never throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void decodeOperation(bytes)));
    fc.assert(
      fc.property(operation, fc.nat(), fc.nat(255), (each, at, value) => {
        const bytes = encodeOperation(each).slice();
        bytes[at % bytes.length] = value;
        decodeOperation(bytes);
        assert.equal(decodeOperation(bytes.subarray(0, at % bytes.length)).ok, false);
      }),
    );
  });
});

describe('the whole tree', () => {
  const history = fc.array(operation, { maxLength: 60 });
  test('the same operations give the same digest and the same bytes', () => {
    fc.assert(
      fc.property(history, (operations) => {
        const [one, other] = [grown(operations), grown(operations)];
        assert.deepEqual(digestTree(one, sha), digestTree(other, sha));
        assert.deepEqual(entryBytes(one), entryBytes(other));
      }),
    );
  });
  test('a snapshot has the same digest, and goes on the same way', () => {
    fc.assert(
      fc.property(history, history, (before, after) => {
        const tree = grown(before);
        const copy = treeOf(entryBytes(tree).map(entryOf), tree.nextInode);
        assert.ok(copy.ok, copy.ok ? '' : copy.error);
        assert.deepEqual(digestTree(copy.value, sha), digestTree(tree, sha));
        after.forEach((each, index) => {
          const stamp = { inode: tree.nextInode, mtimeS: index, writer: 2, version: { epoch: 8, index } };
          const [one, other] = [applyOperation(tree, each, stamp), applyOperation(copy.value, each, stamp)];
          assert.deepEqual(one, other);
        });
        assert.deepEqual(digestTree(copy.value, sha), digestTree(tree, sha));
      }),
    );
  });
  test('one changed byte changes the digest', () => {
    const tree = grown([{ kind: 'write', target: 'a', data: Uint8Array.of(1, 2), create: true }]);
    const before = digestTree(tree, sha);
    const stamp = { inode: 9, mtimeS: 1000, writer: 1, version: { epoch: 4, index: 0 } };
    applyOperation(tree, { kind: 'write', target: 'a', data: Uint8Array.of(1, 3), create: false }, stamp);
    assert.notDeepEqual(digestTree(tree, sha), before);
  });
  test('garbage and damage of an entry never throw, and what is read back is what was there', () => {
    fc.assert(
      fc.property(history, fc.nat(), fc.nat(), fc.nat(255), (operations, which, at, value) => {
        const all = entryBytes(grown(operations));
        const bytes = all[which % all.length]?.slice();
        assert.ok(bytes);
        bytes[at % bytes.length] = value;
        const entry = decoded(bytes, readNode);
        if (!entry.ok) return;
        const out = new ByteWriter();
        writeNode(out, entry.value);
        assert.deepEqual(out.done(), bytes);
        treeOf([entry.value], 9);
      }),
    );
  });
});

const entryBytes = (tree: Tree): Uint8Array[] =>
  [...tree.all()]
    .sort((left, right) => left.inode - right.inode)
    .map((node) => {
      const out = new ByteWriter();
      writeNode(out, node);
      return out.done();
    });
const entryOf = (bytes: Uint8Array): TreeNode => {
  const entry = decoded(bytes, readNode);
  assert.ok(entry.ok);
  return entry.value;
};

/** Paths to contents, null for a directory: the simplest thing that could hold a tree. */
type Model = Map<string, Uint8Array | null>;

function modelled(model: Model, each: Operation): boolean {
  const parent = (full: string): string => full.split('/').slice(0, -1).join('/');
  const isDirectory = (full: string): boolean => full === '' || model.get(full) === null;
  const isFree = (full: string): boolean => isDirectory(parent(full)) && !model.has(full);
  const isEmpty = (full: string): boolean => ![...model.keys()].some((other) => other.startsWith(`${full}/`));
  switch (each.kind) {
    case 'mkdir':
      return isFree(each.path) && Boolean(model.set(each.path, null));
    case 'unlink':
      return model.get(each.path) instanceof Uint8Array && model.delete(each.path);
    case 'rmdir':
      return model.get(each.path) === null && isEmpty(each.path) && model.delete(each.path);
    case 'append': {
      const before = model.get(String(each.target));
      return (
        before instanceof Uint8Array && Boolean(model.set(String(each.target), Uint8Array.of(...before, ...each.data)))
      );
    }
    case 'rename': {
      const { from, to } = each;
      const moving = model.get(from);
      const there = model.get(to);
      if (moving === undefined || !isDirectory(parent(to)) || (there !== undefined && each.noReplace)) return false;
      if (from === to) return true;
      if (to.startsWith(`${from}/`) || !isEmpty(from) || !isEmpty(to)) return false;
      if (there !== undefined && (there === null) !== (moving === null)) return false;
      model.delete(from);
      return Boolean(model.set(to, moving));
    }
    case 'create':
      if (model.get(each.path) instanceof Uint8Array) return !each.exclusive;
      return isFree(each.path) && Boolean(model.set(each.path, new Uint8Array()));
    default:
      return false;
  }
}

test('a tree does what a map of paths does', () => {
  const simple = operation.filter(
    (each) =>
      ['mkdir', 'unlink', 'rmdir', 'rename', 'create'].includes(each.kind) ||
      (each.kind === 'append' && typeof each.target === 'string'),
  );
  fc.assert(
    fc.property(fc.array(simple, { maxLength: 80 }), (operations) => {
      const tree = new Tree();
      const model: Model = new Map();
      for (const each of operations) {
        const stamp = { inode: tree.nextInode, mtimeS: 1, writer: 1, version: { epoch: 1, index: 1 } };
        assert.equal(applyOperation(tree, each, stamp).ok, modelled(model, each), JSON.stringify(each));
      }
      const entries = [...tree.all()].filter((node) => node.name !== '');
      const found = entries.map((node): [string, Uint8Array | null] => [
        tree.pathOf(node.inode) ?? '?',
        node.kind === 'file' ? node.data : null,
      ]);
      assert.deepEqual(new Map(found), model);
      const total = found.reduce((sum, [, contents]) => sum + (contents?.length ?? 0), 0);
      assert.deepEqual([tree.entries, tree.bytes], [model.size, total]);
    }),
    { numRuns: 300 },
  );
});
