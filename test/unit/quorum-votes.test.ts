import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  quorumStatus,
  startQuorum,
  stepQuorum,
  type QuorumInput,
  type QuorumSettings,
  type QuorumState,
} from '../../agent/quorum/quorum.ts';
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';

const settings = (count: number, change: Partial<QuorumSettings> = {}): QuorumSettings => ({
  votes: new Map(Array.from({ length: count }, (_, index) => [nodeId(index + 1), 1])),
  expectedVotes: null,
  twoNode: false,
  waitForAll: false,
  autoTieBreaker: false,
  lastManStanding: false,
  allowDownscale: false,
  ...change,
});

const members = (...ids: number[]): QuorumInput => ({ kind: 'view', members: ids.map(nodeId) });

function after(start: QuorumSettings, ...inputs: QuorumInput[]): QuorumState {
  return inputs.reduce((state, input) => {
    const next = stepQuorum(state, input);
    assert.ok(next.ok, next.ok ? '' : next.error);
    return next.value;
  }, startQuorum(start));
}

describe('votes', () => {
  test('a majority is needed: 2 of 3, 3 of 4, 3 of 5 (the examples in the seed are misprints)', () => {
    const needed = [3, 4, 5].map((count) => quorumStatus(startQuorum(settings(count))).quorum);
    assert.deepEqual(needed, [2, 3, 3]);
  });

  test('half is not a majority', () => {
    assert.equal(quorumStatus(after(settings(4), members(1, 2))).quorate, false);
    assert.equal(quorumStatus(after(settings(4), members(1, 2, 3))).quorate, true);
  });

  test('votes count, not nodes', () => {
    const heavy = settings(3, {
      votes: new Map([
        [nodeId(1), 3],
        [nodeId(2), 1],
        [nodeId(3), 1],
      ]),
    });
    assert.equal(quorumStatus(after(heavy, members(1))).quorate, true);
    assert.equal(quorumStatus(after(heavy, members(2, 3))).quorate, false);
  });

  test('expected 1 makes a lone node quorate at once, and ends when more return', () => {
    const lone = after(settings(3), members(1), { kind: 'expected', votes: 1 });
    assert.equal(quorumStatus(lone).quorate, true);
    const joined = stepQuorum(lone, members(1, 2));
    assert.ok(joined.ok);
    assert.equal(quorumStatus(joined.value).expectedVotes, 2);
  });

  test('expected refuses 0 and more votes than there are', () => {
    for (const votes of [0, 4, 1.5])
      assert.equal(stepQuorum(startQuorum(settings(3)), { kind: 'expected', votes }).ok, false);
  });

  test('two_node: one of two suffices, once both have been seen', () => {
    const two = settings(2, { twoNode: true });
    assert.equal(quorumStatus(after(two, members(1))).quorate, false, 'two_node implies wait_for_all');
    assert.equal(quorumStatus(after(two, members(1, 2), members(1))).quorate, true);
  });

  test('auto_tie_breaker gives an even split to the half with the lowest node id', () => {
    const even = settings(4, { autoTieBreaker: true });
    assert.equal(quorumStatus(after(even, members(1, 2, 3, 4), members(1, 4))).quorate, true);
    assert.equal(quorumStatus(after(even, members(1, 2, 3, 4), members(2, 3))).quorate, false);
  });
});

test('two disjoint components never both hold quorum, unless the administrator forced it', () => {
  const options = fc.record({ autoTieBreaker: fc.boolean(), waitForAll: fc.boolean() });
  const split = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(
      split,
      options,
      fc.array(fc.array(fc.boolean(), { maxLength: 9 }), { maxLength: 4 }),
      (nodes, flags, pasts) => {
        const votes = new Map(nodes.map(([count], index): [NodeId, number] => [nodeId(index + 1), count]));
        const all = [...votes.keys()];
        const half = (side: boolean): readonly NodeId[] => all.filter((_, index) => nodes[index]?.[1] === side);
        const live = (side: boolean): boolean => {
          const past = pasts.map((kept): QuorumInput => ({
            kind: 'view',
            members: all.filter((_, index) => kept[index] ?? side),
          }));
          return quorumStatus(after(settings(0, { votes, ...flags }), ...past, { kind: 'view', members: half(side) }))
            .quorate;
        };
        return !(live(true) && live(false));
      },
    ),
  );
});
