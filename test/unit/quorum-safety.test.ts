/** What no history may bring about, whatever the options. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { quorumSettingsOf, type QuorumSettings } from '../../agent/quorum/quorum.ts';
import { rulesOf } from '../../agent/quorum/settings.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import { QuorumCluster, type Group } from './quorum-cluster.ts';

type Event =
  | { kind: 'start' | 'kill' | 'wipe'; node: number }
  | { kind: 'stop'; node: number; deaf: boolean[] }
  /** Killed or stopped in order, and started again, before anyone has a new view. */
  | { kind: 'restart'; nodes: number[]; inOrder: boolean }
  | { kind: 'regroup'; side: number[]; part: number[]; heard: number[]; slow: boolean[] }
  | { kind: 'wait'; ms: number; only: number[] };

/** wait_for_all hides what the other options can do wrong: most clusters are without it. */
const seldom = fc.integer({ min: 0, max: 7 }).map((value) => value === 0);
const settings: fc.Arbitrary<QuorumSettings> = fc
  .record({
    votes: fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 2, max: 6 }).map((count) => Array.from({ length: count }, () => 1)) },
      { weight: 1, arbitrary: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 2, maxLength: 6 }) },
    ),
    expectedVotes: fc.option(fc.integer({ min: 1, max: 7 })),
    twoNode: seldom,
    waitForAll: seldom,
    autoTieBreaker: fc.boolean(),
    autoTieBreakerNode: fc.constantFrom('lowest', 'highest', '3 1', '2 4 1', null),
    lastManStanding: fc.boolean(),
    allowDownscale: fc.boolean(),
    expectedVotesTracking: seldom,
  })
  .map(({ votes, ...keys }) =>
    quorumSettingsOf(new Map(votes.map((count, index) => [nodeId(index + 1), count])), {
      ...keys,
      lastManStandingWindow: 100,
    }),
  );

const node = fc.integer({ min: 1, max: 6 });
const each = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: 6, maxLength: 6 });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('start' as const), node }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const), node }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('stop' as const), node, deaf: each(fc.boolean()) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wipe' as const), node }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('restart' as const),
      nodes: fc.uniqueArray(node, { minLength: 1, maxLength: 4 }),
      inOrder: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('regroup' as const),
      side: each(fc.oneof({ weight: 4, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.constant(2) })),
      part: fc.oneof(fc.constant<number[]>([0, 0, 0, 0, 0, 0]), each(fc.nat(1))),
      heard: each(fc.oneof(fc.constant(6), fc.nat(6))),
      slow: each(fc.integer({ min: 0, max: 9 }).map((value) => value === 0)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(50, 100, 100),
      only: fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, { weight: 1, arbitrary: fc.array(node) }),
    }),
  },
);

function happen(cluster: QuorumCluster, event: Event): void {
  const here = [...cluster.running.keys()];
  switch (event.kind) {
    case 'start':
      return cluster.settings.votes.has(nodeId(event.node)) ? cluster.start(event.node) : undefined;
    case 'kill':
      return cluster.kill(event.node);
    case 'wipe':
      return here.includes(nodeId(event.node)) ? undefined : cluster.wipe(event.node);
    case 'stop':
      return cluster.stop(
        event.node,
        here.filter((id) => event.deaf[id - 1]),
      );
    case 'restart':
      for (const id of event.nodes.filter((id) => here.includes(nodeId(id)))) {
        if (event.inOrder) cluster.stop(id);
        else cluster.kill(id);
        cluster.start(id);
      }
      return;
    case 'wait':
      return cluster.wait(event.ms, ...event.only);
    case 'regroup': {
      const awake = here.filter((id) => event.slow[id - 1] !== true);
      const groups = [0, 1, 2].map((side): Group => {
        const nodes = awake.filter((id) => event.side[id - 1] === side);
        const parts = [0, 1].map((part) => ({
          nodes: nodes.filter((id) => event.part[id - 1] === part),
          heard: event.heard[side * 2 + part] ?? 6,
        }));
        return { nodes, broken: parts };
      });
      return cluster.regroup(...groups);
    }
  }
}

const RUNS = { numRuns: 2000 };
const history = fc.array(event, { minLength: 4, maxLength: 40 });

/** All up and together for a while: most histories should begin with a cluster that works. */
function formed(chosen: QuorumSettings): QuorumCluster {
  const cluster = new QuorumCluster(chosen);
  const all = [...chosen.votes.keys()];
  cluster.start(...all);
  cluster.regroup(all);
  return cluster;
}

describe('whatever happens to whatever cluster', () => {
  test('two disjoint views never both have quorum', () => {
    fc.assert(
      fc.property(settings, fc.boolean(), history, (chosen, whole, events) => {
        const cluster = whole ? formed(chosen) : new QuorumCluster(chosen);
        for (const one of events) {
          happen(cluster, one);
          assert.ok(cluster.quorateViews().length <= 1, `after ${JSON.stringify(one)}: two views have quorum`);
        }
      }),
      { numRuns: 10_000 },
    );
  });

  test('members of a settled view agree on every number', () => {
    fc.assert(
      fc.property(settings, fc.boolean(), history, fc.array(fc.nat(1), { minLength: 6, maxLength: 6 }), (...given) => {
        const [chosen, whole, events, sides] = given;
        const cluster = whole ? formed(chosen) : new QuorumCluster(chosen);
        for (const one of events) happen(cluster, one);
        const groups = [0, 1].map((side) => [...cluster.running.keys()].filter((id) => sides[id - 1] === side));
        cluster.regroup(...groups);
        for (const group of groups) {
          const [first, ...rest] = group.map((id) => cluster.status(id));
          for (const other of rest) assert.deepEqual(other, first);
        }
      }),
      RUNS,
    );
  });

  test('no fewer votes are expected than are present, and no votes are no quorum', () => {
    fc.assert(
      fc.property(settings, history, (chosen, events) => {
        const cluster = formed(chosen);
        for (const one of events) {
          happen(cluster, one);
          for (const id of cluster.running.keys()) {
            const status = cluster.status(id);
            assert.ok(status.expectedVotes >= status.totalVotes);
            assert.ok(status.totalVotes > 0 || !status.quorate);
          }
        }
      }),
      RUNS,
    );
  });

  test('all nodes together have quorum, whatever was before, unless more votes are expected than there are', () => {
    fc.assert(
      fc.property(settings, history, (chosen, events) => {
        const { allVotes, configured } = rulesOf(chosen);
        fc.pre(allVotes > 0 && configured === allVotes);
        const cluster = new QuorumCluster(chosen);
        for (const one of events) happen(cluster, one);
        const all = [...chosen.votes.keys()];
        cluster.start(...all);
        cluster.regroup(all);
        assert.deepEqual(
          cluster.quorate(...all),
          all.map(() => true),
        );
      }),
      RUNS,
    );
  });

  test('without options, exactly a majority of the votes has quorum, with no word from anyone', () => {
    fc.assert(
      fc.property(settings, history, (given, events) => {
        const chosen = quorumSettingsOf(given.votes, { expectedVotes: given.expectedVotes });
        const cluster = new QuorumCluster(chosen);
        for (const one of events) {
          happen(cluster, one);
          for (const id of cluster.running.keys()) {
            const { quorate, totalVotes } = cluster.status(id);
            assert.equal(quorate, totalVotes * 2 > rulesOf(chosen).configured);
          }
        }
      }),
      RUNS,
    );
  });
});
