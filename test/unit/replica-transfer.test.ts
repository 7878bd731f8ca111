import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFLATE } from '../../agent/mount/deflate.ts';
import { Database } from '../../agent/replica/database.ts';
import { PacedReceiver, PacedSender, PIECE_BYTES, type Piece } from '../../agent/replica/paced.ts';
import { CatchingUp, Sending } from '../../agent/replica/transfer.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';
import { sha } from './replica-group.ts';

const place = { tag: '0'.repeat(32), round: 0 };
const base = { branch: '', lineage: [], sessions: [], version: { epoch: 0, index: 0 } };

/** A state after these operations, each a node's own. */
function grown(operations: readonly Operation[], epoch = 4): Database {
  const database = new Database(new Tree(), base);
  database.enter(epoch, 'aa');
  extend(database, operations);
  return database;
}
function extend(database: Database, operations: readonly Operation[]): void {
  for (const [at, operation] of operations.entries())
    database.apply({ node: nodeId(2), session: 9, counter: at, floor: at, mtimeS: 7, operation });
}
const file = (name: string, size: number): Operation => ({
  ...{ kind: 'write', target: name, create: true },
  data: new Uint8Array(size).fill(name.length),
});

interface Transfer {
  readonly bytes: number;
  readonly messages: number;
  readonly longest: number;
  readonly result: ReturnType<CatchingUp['difference']>;
}

/** Carries every piece at once, in order. */
function transfer(
  leader: Database,
  behind: readonly Database[],
  config: ConstructorParameters<typeof Sending>[2] = { hash: sha },
): readonly { node: CatchingUp; seen: Transfer }[] {
  const ids = behind.map((_, at) => nodeId(at + 2));
  const sending = new Sending(leader, new Set(ids), config);
  const nodes = behind.map(({ tree }) => new CatchingUp(tree, leader.digest(sha), config));
  let [bytes, messages, longest] = [0, 0, 0];
  const count = (pieces: readonly Piece[]): readonly Piece[] => {
    for (const piece of pieces) {
      bytes += piece.bytes.length;
      messages += 1;
      longest = Math.max(longest, piece.bytes.length);
    }
    return pieces;
  };
  const queue: Piece[] = [];
  for (const [at, node] of nodes.entries()) {
    const own = [...count(node.begin())];
    for (let piece = own.shift(); piece !== undefined; piece = own.shift()) {
      queue.push(...count(sending.inventory(ids[at] ?? nodeId(99), { kind: 'inventory', ...place, ...piece })));
      own.push(...count(node.inventoryDelivered()));
    }
  }
  const results = nodes.map((): Transfer['result'] => null);
  for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) {
    for (const [at, node] of nodes.entries())
      results[at] = node.difference({ kind: 'difference', ...place, ...piece }) ?? results[at] ?? null;
    queue.push(...count(sending.delivered()));
  }
  return nodes.map((node, at) => ({ node, seen: { bytes, messages, longest, result: results[at] ?? null } }));
}

describe('the transfer of a state', () => {
  test('a fresh node gets everything, history and sessions too', () => {
    const leader = grown([{ kind: 'mkdir', path: 'd' }, file('d/a', 300_000), file('b', 5)]);
    const [fresh] = transfer(leader, [new Database(new Tree(), base)]);
    assert.ok(fresh?.node.state);
    assert.deepEqual(fresh.node.state.image(0, null), leader.image(0, null));
    assert.ok(fresh.node.state.contains(nodeId(2), 9, 2) && !fresh.node.state.contains(nodeId(2), 8, 2));
    assert.ok(fresh.seen.longest <= PIECE_BYTES);
  });

  test('a node that was away for one change of 5 000 files gets that one, and keeps the objects of the others', () => {
    const files = Array.from({ length: 5_000 }, (_, at) => file(`f${at}`, 1_000));
    const [leader, away] = [grown(files), grown(files)];
    extend(leader, [{ kind: 'write', target: 'f7', data: new Uint8Array(900), create: false }]);
    extend(leader, [{ kind: 'unlink', path: 'f8' }]);
    const [behind] = transfer(leader, [away]);
    assert.ok(behind?.node.state);
    assert.deepEqual(behind.node.state.digest(sha), leader.digest(sha));
    // 16 bytes say which version of an entry is there.
    assert.ok(behind.seen.bytes < 5_001 * 16 + 3_000, `${behind.seen.bytes} bytes`);
    const kept = [...away.tree.all()].filter((node) => behind.node.state?.tree.get(node.inode) === node);
    assert.equal(kept.length, 5_001 - 2);
  });

  test('two that are behind in different ways are served together', () => {
    const leader = grown([file('a', 10), file('b', 10), file('c', 10)]);
    const both = transfer(leader, [grown([file('a', 10)]), grown([file('x', 10), file('y', 10)], 3)]);
    for (const { node } of both) assert.deepEqual(node.state?.image(0, null), leader.image(0, null));
  });

  test('whatever both have, the one that is behind ends with the state of the leader', () => {
    const name = fc.constantFrom('a', 'b', 'd/a', 'd/b', 'd');
    const operation: fc.Arbitrary<Operation> = fc.oneof(
      fc.record({ kind: fc.constant('mkdir' as const), path: name }),
      fc.tuple(name, fc.nat(200_000)).map(([path, size]) => file(path, size)),
      fc.record({ kind: fc.constant('unlink' as const), path: name }),
      fc.record({ kind: fc.constant('rename' as const), from: name, to: name, noReplace: fc.boolean() }),
    );
    const history = fc.array(operation, { maxLength: 12 });
    fc.assert(
      fc.property(history, history, history, fc.boolean(), (common, ours, theirs, isPacked) => {
        const [leader, other] = [grown(common), grown(common)];
        extend(leader, ours);
        extend(other, theirs);
        const [behind] = transfer(leader, [other], isPacked ? { hash: sha, compression: DEFLATE } : { hash: sha });
        assert.deepEqual(behind?.seen.result, { ok: true, value: null });
        assert.deepEqual(behind.node.state?.digest(sha), leader.digest(sha));
      }),
      { numRuns: 60 },
    );
  });

  test('what was damaged on the way is refused in words, and never throws', () => {
    const leader = grown([{ kind: 'mkdir', path: 'd' }, file('d/a', 30), file('b', 5)]);
    const sending = new Sending(leader, new Set([nodeId(2)]), { hash: sha });
    const empty = { sequence: 0, last: true, bytes: new Uint8Array() };
    const [whole] = sending.inventory(nodeId(2), { kind: 'inventory', ...place, ...empty });
    assert.ok(whole?.last);
    fc.assert(
      fc.property(fc.nat(whole.bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, isCut) => {
        const bytes = isCut ? whole.bytes.slice(0, at) : whole.bytes.slice();
        if (!isCut) bytes[at] = (bytes[at] ?? 0) ^ flip;
        const node = new CatchingUp(new Tree(), leader.digest(sha), { hash: sha });
        const result = node.difference({ kind: 'difference', ...place, ...whole, bytes });
        // The history is not in the digest: a flipped bit there is a valid other one.
        if (isCut) assert.equal(result?.ok, false);
        if (result?.ok === true) assert.deepEqual(node.state?.digest(sha), leader.digest(sha));
      }),
    );
  });

  test('an inventory that is none is answered with everything', () => {
    const leader = grown([file('b', 5)]);
    const sending = new Sending(leader, new Set([nodeId(2)]), { hash: sha });
    const odd = { sequence: 0, last: true, bytes: new Uint8Array(17) };
    const pieces = sending.inventory(nodeId(2), { kind: 'inventory', ...place, ...odd });
    const node = new CatchingUp(new Tree(), leader.digest(sha), { hash: sha });
    const [piece] = pieces;
    assert.ok(piece);
    assert.deepEqual(node.difference({ kind: 'difference', ...place, ...piece }), { ok: true, value: null });
  });
});

describe('paced pieces', () => {
  test('at most four are under way, and no more is made of the text than is sent', () => {
    let made = 0;
    const chunks = function* (): Generator<Uint8Array> {
      for (; made < 100; made += 1) yield new Uint8Array(PIECE_BYTES).fill(made);
    };
    const sender = new PacedSender(chunks());
    assert.equal(sender.due().length, 4);
    assert.equal(sender.due().length, 0);
    assert.ok(made <= 5);
    assert.deepEqual(
      sender.delivered().map(({ sequence }) => sequence),
      [4],
    );
  });
  test('chunks of any sizes come out as they went in; a missed beginning gives nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3 * PIECE_BYTES), { maxLength: 5 }), (sizes) => {
        const chunks = sizes.map((size, at) => new Uint8Array(size).fill(at + 1));
        const [sender, receiver, late] = [new PacedSender(chunks), new PacedReceiver(), new PacedReceiver()];
        const queue = sender.due();
        let whole: Uint8Array | null = null;
        for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) {
          assert.equal(whole, null);
          whole = receiver.add(piece);
          if (piece.sequence > 0) assert.equal(late.add(piece), null);
          queue.push(...sender.delivered());
        }
        assert.deepEqual(whole, new Uint8Array(Buffer.concat(chunks)));
      }),
      { numRuns: 20 },
    );
  });
});
