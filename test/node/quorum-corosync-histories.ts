/** The histories that both must count alike, option by option, and the differences that are wanted. */
import { WINDOW, type Awaited, type History, type Step } from './quorum-corosync-history.ts';

const LAST_MAN = ['last_man_standing: 1', `last_man_standing_window: ${WINDOW}`];

const starts = (...start: number[]): Step => ({ then: { start } });
const dies = (kill: number): Step => ({ then: { kill } });
const stops = (stop: number): Step => ({ then: { stop } });
const cut = (...parts: number[][]): Step => ({ then: { cut: parts } });
const window: Step = { then: { window: true } };
const differs = (step: Step, why: string, corosync: Readonly<Record<number, Awaited>>): Step => ({
  ...step,
  why,
  corosync,
});
const onEach = (nodes: readonly number[], shown: Awaited): Record<number, Awaited> =>
  Object.fromEntries(nodes.map((node) => [node, shown]));

const FENCE = 'two_node counts on fencing, which the bundled engine has not: of two the lower id goes on';
const both = { 2: { quorate: true, flags: '2Node Quorate WaitForAll' } };
const TWICE = 'one of the rest and those it left behind are no majority: in Corosync both parts have quorum here';
const split = { quorate: true, flags: 'Quorate LastManStanding' };
const either = { ...split, expected: [3, 5], highest: [3, 5], quorum: [2, 3] };
const twice = onEach([3, 4, 5], either);
const UNSTORED =
  'as votequorum(5) says of allow_downscale; 3.1.7 drops expected_votes when it tracks, so that quorum never falls';
const TRACKS = 'votequorum(5): corosync-quorumtool lowers the number in memory; 3.1.7 takes the stored one again';

export const HISTORIES: readonly History[] = [
  {
    name: 'no options',
    votes: [1, 1, 1, 1],
    lines: [],
    keys: {},
    steps: [
      ...[starts(1), starts(2), starts(3, 4), dies(4), stops(3), starts(3)],
      ...[cut([1, 2], [3]), cut([1, 2, 3, 4])],
    ],
  },
  {
    name: 'uneven votes, and a node without one',
    votes: [3, 1, 1, 0],
    lines: [],
    keys: {},
    steps: [starts(2, 3, 4), starts(1), cut([1], [2, 3, 4]), cut([1, 4], [2, 3]), dies(2)],
  },
  {
    name: 'expected N',
    votes: [1, 1, 1, 1, 1],
    lines: [],
    keys: {},
    steps: [
      ...[starts(1, 2, 3, 4, 5), cut([1, 2], [3, 4, 5])],
      ...[{ then: { expect: 1, on: 1, refused: true } } as const, { then: { expect: 2, on: 1 } } as const],
      // Not tried: node 2 leaves and comes back. By the order of messages Corosync’s two then agree on it or do not.
      ...[dies(2), { then: { expect: 1, on: 1 } } as const, starts(2)],
      ...[dies(5), cut([1, 2, 3, 4, 5])],
      ...[{ then: { expect: 5, on: 2 } } as const, starts(5), stops(5), { then: { expect: 4, on: 2 } } as const],
      ...[stops(4), starts(4, 5)],
    ],
  },
  {
    name: 'two_node',
    votes: [1, 1],
    lines: ['two_node: 1'],
    keys: { twoNode: true },
    steps: [
      ...[starts(1), starts(2), dies(2), starts(2), stops(1), starts(1), stops(2), starts(2)],
      ...[differs(dies(1), FENCE, both), starts(1), differs(cut([1], [2]), FENCE, both), cut([1, 2])],
    ],
  },
  {
    name: 'wait_for_all',
    votes: [1, 1, 1],
    lines: ['wait_for_all: 1'],
    keys: { waitForAll: true },
    steps: [
      ...[
        starts(1, 2),
        starts(3),
        dies(3),
        starts(3),
        stops(2),
        stops(3),
        starts(2),
        { then: { cancelWait: 1 } } as const,
        starts(3),
      ],
      ...[dies(2), dies(3), starts(2), { then: { expect: 2, on: 2 } } as const],
    ],
  },
  {
    name: 'auto_tie_breaker',
    votes: [1, 1, 1, 1],
    lines: ['auto_tie_breaker: 1'],
    keys: { autoTieBreaker: true },
    steps: [
      ...[starts(1, 2), starts(3, 4), cut([1, 2], [3, 4]), cut([1, 2, 3, 4]), cut([2, 3], [1, 4]), cut([1, 2, 3, 4])],
      ...[dies(1), dies(2), starts(2), starts(1)],
    ],
  },
  {
    name: 'auto_tie_breaker_node: highest',
    votes: [1, 1, 1, 1],
    lines: ['auto_tie_breaker: 1', 'auto_tie_breaker_node: highest'],
    keys: { autoTieBreaker: true, autoTieBreakerNode: 'highest' },
    steps: [starts(1, 2, 3, 4), cut([1, 2], [3, 4]), cut([1, 2, 3, 4]), dies(4), dies(1)],
  },
  {
    name: 'auto_tie_breaker_node: a list',
    votes: [1, 1, 1, 1],
    lines: ['auto_tie_breaker: 1', 'auto_tie_breaker_node: 3 2'],
    keys: { autoTieBreaker: true, autoTieBreakerNode: '3 2' },
    steps: [
      ...[starts(1, 2, 3, 4), cut([1, 2], [3, 4]), cut([1, 2, 3, 4]), dies(3), cut([1, 4], [2]), cut([1, 2, 3, 4])],
      ...[dies(4), dies(1), dies(2), cut([1, 3], [2, 4])],
      differs(
        starts(1, 2, 3, 4),
        'halves that have just started break no tie: in Corosync both have quorum here',
        onEach([1, 2, 3, 4], { quorate: true, flags: 'Quorate AutoTieBreaker' }),
      ),
    ],
  },
  {
    name: 'auto_tie_breaker with an odd number of votes',
    votes: [1, 1, 1],
    lines: ['auto_tie_breaker: 1'],
    keys: { autoTieBreaker: true },
    steps: [starts(1, 2, 3), dies(3), dies(2)],
  },
  {
    name: 'auto_tie_breaker with an odd number of votes and wait_for_all',
    votes: [1, 1, 1],
    lines: ['auto_tie_breaker: 1', 'wait_for_all: 1'],
    keys: { autoTieBreaker: true, waitForAll: true },
    steps: [
      starts(1, 2, 3),
      dies(3),
      differs(dies(2), 'one vote of three is no half: the two others may be together', {
        1: { quorate: true, flags: 'Quorate WaitForAll AutoTieBreaker' },
      }),
    ],
  },
  {
    name: 'last_man_standing',
    votes: [1, 1, 1, 1, 1],
    lines: LAST_MAN,
    keys: { lastManStanding: true },
    steps: [
      ...[starts(1, 2, 3, 4, 5), cut([1, 2, 3], [4, 5]), window],
      ...[differs(cut([1, 2], [3, 4, 5]), TWICE, twice), differs(window, TWICE, twice), cut([1, 2, 3, 4, 5])],
    ],
  },
  {
    name: 'last_man_standing down to the last',
    votes: [1, 1, 1, 1],
    lines: [...LAST_MAN, 'wait_for_all: 1', 'auto_tie_breaker: 1'],
    keys: { lastManStanding: true, waitForAll: true, autoTieBreaker: true },
    steps: [
      ...[starts(1, 2, 3), starts(4), dies(4), window, dies(3), window, dies(2), window, starts(2), starts(3, 4)],
    ],
  },
  {
    name: 'allow_downscale',
    votes: [1, 1, 1, 1],
    lines: ['allow_downscale: 1', 'expected_votes: 2'],
    keys: { allowDownscale: true, expectedVotes: 2 },
    steps: [
      ...[starts(1, 2), starts(3, 4)],
      differs(stops(4), UNSTORED, onEach([1, 2, 3], { quorum: 3 })),
      differs(dies(3), UNSTORED, onEach([1, 2], { quorate: false, quorum: 3, flags: 'AllowDownscale' })),
      ...[starts(3, 4), dies(4)],
    ],
  },
  {
    name: 'expected_votes_tracking',
    votes: [1, 1, 1],
    lines: ['expected_votes_tracking: 1'],
    keys: { expectedVotesTracking: true },
    steps: [
      ...[starts(1, 2, 3), dies(3), dies(2)],
      differs({ then: { expect: 1, on: 1 } }, TRACKS, {
        1: { quorate: false, expected: 3, highest: 3, quorum: 2, flags: '' },
      }),
      differs(starts(2), TRACKS, onEach([1, 2], { expected: 3, highest: 3 })),
      starts(3),
    ],
  },
];
