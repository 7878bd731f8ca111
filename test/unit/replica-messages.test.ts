import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Acks, isAwaited, OwnAcks } from '../../agent/replica/acks.ts';
import { planOf } from '../../agent/replica/agreement.ts';
import { Database } from '../../agent/replica/database.ts';
import {
  CHUNK_BYTES,
  decodeMessage,
  encodeMessage,
  inParts,
  Parts,
  type ReplicaMessage,
  type StateMessage,
} from '../../agent/replica/messages.ts';
import { Replica } from '../../agent/replica/replica.ts';
import { Sessions } from '../../agent/replica/sessions.ts';
import { FRESH_IMAGE, type ReplicaImage } from '../../agent/replica/types.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import { Tree } from '../../agent/tree/tree.ts';
import { sha } from './replica-group.ts';

/** Objects as literals make them, for deepEqual. */
const plain = { noNullPrototype: true };
const hex = (digits: number): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: digits, maxLength: digits })
    .map((list) => list.join(''));
const place = { tag: hex(32), round: fc.nat(5) };
const part = fc
  .tuple(fc.nat(20), fc.nat(20))
  .map(([left, right]) => ({ part: Math.min(left, right), parts: Math.max(left, right) + 1 }));
const piece = { bytes: fc.uint8Array({ maxLength: 60 }) };
const count = fc.maxSafeNat();
const stateMessage: fc.Arbitrary<StateMessage> = fc.record(
  {
    ...{
      kind: fc.constant('state' as const),
      ...place,
      branch: hex(16),
      settled: fc.nat(9),
      promised: fc.nat(9),
      forgetful: fc.boolean(),
    },
    version: fc.record({ epoch: fc.nat(4), index: fc.nat(9) }, plain),
    digest: fc.uint8Array({ minLength: 2, maxLength: 2 }),
  },
  plain,
);
const message: fc.Arbitrary<ReplicaMessage> = fc.oneof(
  fc.record(
    { kind: fc.constant('hello' as const), session: count, count, oldest: fc.nat(9), newest: fc.nat(9) },
    plain,
  ),
  stateMessage,
  fc.record({ kind: fc.constant('promise' as const), ...place, epoch: count }, plain),
  fc.record(
    {
      kind: fc.constantFrom('difference' as const, 'inventory' as const),
      ...{ ...place, ...piece, sequence: fc.nat(9), last: fc.boolean() },
    },
    plain,
  ),
  fc
    .tuple(
      part,
      fc.record(
        {
          ...{ kind: fc.constant('operation' as const), ...place, ...piece, session: count, counter: count },
          ...{ floor: count, mtimeS: fc.integer() },
        },
        plain,
      ),
    )
    .map(([which, rest]) => ({ ...rest, ...which })),
  fc.record({ kind: fc.constant('ack' as const), ...place, epoch: count, index: count, mark: count }, plain),
  fc.record({ kind: fc.constant('unready' as const), ...place }, plain),
);

describe('messages between replicas', () => {
  test('every message survives', () => {
    fc.assert(fc.property(message, (each) => assert.deepEqual(decodeMessage(encodeMessage(each)), each)));
  });
  test('garbage, damage and cut ends never throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void decodeMessage(bytes)));
    fc.assert(
      fc.property(message, fc.nat(), fc.nat(255), (each, at, value) => {
        const bytes = encodeMessage(each).slice();
        bytes[at % bytes.length] = value;
        decodeMessage(bytes);
        // A hello without its end is one of the first generation.
        const part = decodeMessage(bytes.subarray(0, at % bytes.length));
        assert.ok(part === null || (part.kind === 'hello' && part.newest === 1));
      }),
    );
  });
  test('a replica takes any bytes from the group without harm', () => {
    const quorum = { quorate: true, needed: 1, expected: 9, votes: new Map([[nodeId(1), 1]]) };
    fc.assert(
      fc.property(fc.array(fc.oneof(message.map(encodeMessage), fc.uint8Array({ maxLength: 60 }))), (payloads) => {
        const opened = Replica.open({ self: nodeId(1), mode: 'cluster', session: 1, hash: sha, image: FRESH_IMAGE });
        assert.ok(opened.ok);
        const ring = { representative: nodeId(1), sequence: 4 };
        opened.value.step({ kind: 'view', ring, members: [nodeId(1), nodeId(2)], quorum }, 0);
        for (const payload of payloads) opened.value.step({ kind: 'deliver', sender: nodeId(2), payload }, 0);
        assert.equal(opened.value.version.epoch, 0);
      }),
    );
  });
  test('pieces make the whole again; what begins in the middle is nothing', () => {
    const whole = Uint8Array.from({ length: 2 * CHUNK_BYTES + 5 }, (_, at) => at % 251);
    const pieces = inParts(whole);
    assert.equal(pieces.length, 3);
    const parts = new Parts();
    assert.deepEqual(
      pieces.slice(1).map((each) => parts.add(each)),
      [null, null],
    );
    assert.deepEqual(
      pieces.map((each) => parts.add(each)?.length ?? null),
      [null, null, whole.length],
    );
    assert.deepEqual(inParts(new Uint8Array()), [{ part: 0, parts: 1, bytes: new Uint8Array() }]);
  });
});

describe('who leads', () => {
  const ring = { representative: nodeId(1), sequence: 8 };
  const states = fc
    .array(stateMessage, { minLength: 1, maxLength: 5 })
    .map((list) => new Map(list.map((state, index) => [nodeId(index + 1), state])));
  test('nobody has more than the leader, who is never behind, and the epoch is new to all', () => {
    fc.assert(
      fc.property(states, (all) => {
        const plan = planOf(ring, all);
        assert.ok(plan);
        assert.ok(!plan.behind.has(plan.leader));
        assert.ok(plan.epoch >= ring.sequence);
        for (const state of all.values()) {
          assert.ok(plan.epoch > state.promised && plan.epoch > state.version.epoch);
          assert.ok(state.version.epoch <= plan.state.version.epoch);
          if (state.version.epoch === plan.state.version.epoch) assert.ok(state.settled <= plan.state.settled);
        }
      }),
    );
  });
  test('of equals the lowest id leads, and none is behind', () => {
    fc.assert(
      fc.property(stateMessage, (state) => {
        const plan = planOf(ring, new Map([3, 2, 5].map((id) => [nodeId(id), state])));
        assert.equal(plan?.leader, 2);
        assert.equal(plan.behind.size, 0);
      }),
    );
  });
  test('a fresh database always loses', () => {
    const fresh = { kind: 'state', tag: '', round: 0, branch: '', settled: 0, promised: 0, forgetful: false } as const;
    const [empty, local] = [0, 7].map((index) => ({
      ...{ ...fresh, version: { epoch: 0, index }, digest: Uint8Array.of(index) },
    }));
    assert.ok(empty && local);
    const plan = planOf(
      ring,
      new Map([
        [nodeId(1), empty],
        [nodeId(2), local],
      ]),
    );
    assert.deepEqual([plan?.leader, [...(plan?.behind ?? [])]], [2, [1]]);
  });
});

describe('acknowledgements', () => {
  const members = [1, 2, 3].map(nodeId);
  const votes = new Map(members.map((node) => [node, 1]));
  test('safe is what members with enough votes have', () => {
    const acks = new Acks();
    const quorum = { quorate: true, needed: 2, expected: 9, votes };
    assert.equal(acks.safe(members, quorum), -1);
    acks.note(nodeId(1), 7);
    assert.equal(acks.safe(members, quorum), -1);
    acks.note(nodeId(3), 5);
    assert.equal(acks.safe(members, quorum), 5);
    acks.note(nodeId(2), 6);
    assert.equal(acks.safe(members, quorum), 6);
  });
  test('votes count, not nodes', () => {
    const acks = new Acks();
    acks.note(nodeId(2), 4);
    const heavy = new Map(votes).set(nodeId(2), 3);
    assert.equal(acks.safe(members, { quorate: true, needed: 3, expected: 9, votes: heavy }), 4);
  });
  test('where one vote is quorum, two nodes that are there still both store', () => {
    const acks = new Acks();
    const two = members.slice(0, 2);
    const quorum = { quorate: true, needed: 1, expected: 9, votes };
    acks.note(nodeId(1), 4);
    assert.equal(acks.safe(two, quorum), -1);
    assert.equal(acks.safe([nodeId(1)], quorum), 4);
  });
  test('own acks go one at a time, the next one for all that came meanwhile', () => {
    const own = new OwnAcks();
    for (const index of [0, 1, 5]) own.await(index);
    assert.equal(own.next(0), null);
    own.stored(0);
    assert.equal(own.next(0), 0);
    own.stored(1);
    own.stored(5);
    assert.equal(own.next(0), null);
    own.delivered();
    assert.equal(own.next(0), 5);
  });
  test('an ack that nobody waits for comes with the next one, or a little later', () => {
    const own = new OwnAcks();
    own.stored(3);
    assert.equal(own.next(100), null);
    assert.equal(own.deadline(), 140);
    own.stored(4);
    assert.equal(own.next(105), null);
    assert.equal(own.next(140), 4);
    own.delivered();
    own.stored(5);
    assert.equal(own.next(141), null);
    own.await(6);
    own.stored(6);
    assert.equal(own.next(142), 6);
    assert.equal(own.deadline(), Infinity);
  });
  test('an operation waits for those after its sender, until they are a majority with it', () => {
    const members = [1, 2, 3, 4, 5].map(nodeId);
    const quorum = { quorate: true, needed: 3, expected: 5, votes: new Map(members.map((node) => [node, 1])) };
    const awaited = (sender: number, behind: readonly number[] = []): number[] =>
      members.filter((self) =>
        isAwaited(self, nodeId(sender), { members, behind: new Set(behind.map(nodeId)), quorum }),
      );
    assert.deepEqual(awaited(1), [2, 3]);
    assert.deepEqual(awaited(4), [1, 5]);
    assert.deepEqual(awaited(1, [2]), [3, 4]);
    assert.deepEqual(awaited(1, [2, 3, 4]), [2, 5], 'it takes one of those who were behind');
    assert.ok(
      isAwaited(nodeId(1), nodeId(1), { members: [nodeId(1)], behind: new Set(), quorum: { ...quorum, needed: 1 } }),
    );
  });
  test('whoever is awaited has a majority together with the sender, whatever the votes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }), fc.nat(), fc.nat(), (list, from, needed) => {
        const members = list.map((_, at) => nodeId(at + 1));
        const votes = new Map(members.map((node, at) => [node, list[at] ?? 0]));
        const quorum = { quorate: true, needed: 1 + (needed % 8), expected: 9, votes };
        const sender = members[from % members.length] ?? nodeId(1);
        const acks = new Acks();
        const awaited = members.filter((self) => isAwaited(self, sender, { members, behind: new Set(), quorum }));
        for (const node of [...awaited, sender]) acks.note(node, 7);
        const all = new Acks();
        for (const node of members) all.note(node, 7);
        assert.equal(acks.safe(members, quorum), all.safe(members, quorum));
      }),
    );
  });
});

describe('the replicated state', () => {
  const base = { branch: '', lineage: [], sessions: [], version: { epoch: 0, index: 0 } };
  test('knows which histories it contains', () => {
    const database = new Database(new Tree(), { ...base, version: { epoch: 4, index: 6 }, branch: 'aa' });
    database.enter(8, 'bb');
    const includes = (epoch: number, branch: string, index: number): boolean =>
      database.includes({ version: { epoch, index }, branch });
    assert.ok(includes(4, 'aa', 6) && includes(8, 'bb', 0) && includes(0, '', 0));
    assert.ok(!includes(4, 'aa', 7) && !includes(4, 'cc', 6) && !includes(8, 'bb', 1) && !includes(0, '', 1));
  });
  test('a damaged image does not open, and says why', () => {
    const orphan: ReplicaImage = {
      ...FRESH_IMAGE,
      ...{ nextInode: 9 },
      nodes: [
        {
          ...{ inode: 5, kind: 'file', parent: 4, name: 'x', mtimeS: 0, writer: 1 },
          ...{ version: { epoch: 0, index: 1 }, data: new Uint8Array() },
        },
      ],
    };
    const opened = Replica.open({ self: nodeId(1), mode: 'local', session: 1, hash: sha, image: orphan });
    assert.deepEqual(opened, { ok: false, error: 'an entry cannot be reached from the root' });
  });
  test('sessions forget what was answered', () => {
    const sessions = new Sessions();
    for (let counter = 1; counter <= 50; counter += 1) sessions.note(nodeId(1), 3, counter - 1, counter);
    assert.deepEqual(sessions.all(), [{ node: nodeId(1), session: 3, floor: 49, done: [49, 50] }]);
    assert.deepEqual(sessions.note(nodeId(1), 4, 1, 1).done, [1]);
  });
});
