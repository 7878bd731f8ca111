/** What an apply would do, said before anything is done; and what a node does about one, by its own clock. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decide, type Seen } from '../../agent/cluster/apply/decide.ts';
import { planApply, type Known } from '../../agent/cluster/apply/plan.ts';
import type { Journal, Trial } from '../../agent/cluster/apply/trial.ts';
import { newConf } from '../../agent/conf/index.ts';
import type { EngineStatus } from '../../agent/engine/engine.ts';
import { nodeId } from '../../agent/totem/ids.ts';

const conf = (count: number): string =>
  newConf({
    clusterName: 'c',
    transport: 'knet',
    secauth: 'on',
    nodes: Array.from({ length: count }, (_, index) => ({
      ...{ nodeId: index + 1, name: `n${index + 1}`, votes: 1 },
      addresses: [{ link: 0, address: `10.0.0.${index + 1}` }],
    })),
  });

/** A cluster of so many nodes, the last of which may be absent. */
function known(count: number, options: { absent?: number; diskVersion?: number } = {}): Known {
  const present = conf(count);
  const { absent = 0 } = options;
  const members = Array.from({ length: count }, (_, index) => ({
    ...{ nodeId: nodeId(index + 1), name: `n${index + 1}`, votes: 1, local: index === 0 },
    addresses: [{ link: 0, address: `10.0.0.${index + 1}` }],
    state: index < count - absent ? ('member' as const) : ('absent' as const),
  }));
  const quorum = Math.floor(count / 2) + 1;
  const status: EngineStatus = {
    ...{ engine: 'corosync', state: { kind: 'operational' }, clusterName: 'c', configVersion: 1, transport: 'knet' },
    ...{ localNode: nodeId(1), ringId: null, members, links: [] },
    quorum: {
      quorate: true,
      expectedVotes: count,
      highestExpected: count,
      totalVotes: count - absent,
      quorum,
      flags: [],
    },
  };
  const disk = { version: options.diskVersion ?? 1, digest: present };
  const facts = new Map(
    members.map((one) => [one.nodeId as number, { nodeId: one.nodeId, name: one.name, disk, running: 1 }]),
  );
  return { status, present, facts, history: [], digest: (text) => text };
}
const plan = (state: Known, edit: (text: string) => string) =>
  planApply(state, { text: edit(state.present), baseDigest: state.present, editedMs: null });
const good = (state: Known, edit: (text: string) => string) => {
  const made = plan(state, edit);
  assert.ok(made.ok, made.ok ? '' : made.error);
  return made.value;
};
const refusal = (state: Known, edit: (text: string) => string): string => {
  const made = plan(state, edit);
  return made.ok ? 'planned' : made.error;
};
const set = (line: string) => (text: string) => text.replace('  version: 2', `  version: 2\n  ${line}`);

describe('the plan of an apply', () => {
  test('reloads where a reload is enough', () => {
    const { method, nodes, version } = good(known(3), set('token: 4000'));
    assert.deepEqual([method, version], ['reload', 2]);
    assert.deepEqual([...new Set(nodes.map(({ effect }) => effect))], ['loads the file. Nothing restarts.']);
  });

  test('restarts one after the other where every node must, and all at once where nothing else works', () => {
    assert.equal(good(known(3), (text) => text.replace('passive', 'active')).method, 'rolling-restart');
    assert.equal(good(known(3), (text) => text.replace('cluster_name: c', 'cluster_name: d')).method, 'whole-restart');
  });

  test('does not restart one after the other where that would cost the quorum, and says so', () => {
    const two = good(known(2), (text) => text.replace('passive', 'active'));
    assert.equal(two.method, 'whole-restart');
    assert.match(two.warnings.join(' '), /No node can restart its engine without the cluster losing quorum/);
    assert.equal(good(known(3, { absent: 1 }), (text) => text.replace('passive', 'active')).method, 'whole-restart');
  });

  test('raises the version above everything that any node has', () => {
    assert.equal(good(known(3, { diskVersion: 9 }), set('token: 4000')).version, 10);
  });

  test('says what becomes of a node that is not in the ring', () => {
    const { nodes } = good(known(3, { absent: 1 }), set('token: 4000'));
    assert.equal(nodes[2]?.effect, 'is not in the ring. It takes the file when it returns.');
  });

  test('is refused for a node that runs and would be cut off', () => {
    const without = (text: string): string => text.replace(/ {2}node \{\n {4}name: n3[^}]*\}\n/, '');
    assert.match(refusal(known(3), without), /^n3 is in the ring: it would be cut off/);
    assert.equal(refusal(known(3, { absent: 1 }), without), 'planned');
    assert.match(
      refusal(known(3), (text) => text.replace('nodeid: 3', 'nodeid: 33')),
      /would change from 3 to 33/,
    );
  });

  test('is refused where the cluster would lose quorum by it', () => {
    const state = known(3, { absent: 1 });
    const heavy = (text: string): string => text.replace(/(nodeid: 3\n {4}quorum_votes: )1/, '$15');
    assert.match(refusal(state, heavy), /would lose quorum/);
  });

  test('is refused for errors, with their line, and for a file that changes nothing', () => {
    assert.match(refusal(known(3), set('token: soon')), /has an error: line \d+: token must be a whole number/);
    assert.match(
      refusal(known(3), (text) => text.replace('config_version: 1', 'config_version: 5')),
      /changes nothing/,
    );
  });
});

const TRIAL: Trial = {
  ...{ id: 't', author: 'a', leader: 'n1', leaderNode: 1, leaderPid: 1, startedMs: 0, fromVersion: 1, version: 2 },
  ...{ before: 'old', after: 'new', changes: [], method: 'reload', nodes: [1, 2, 3], absent: [] },
  ...{ confirmWithinMs: 60_000, rolloutMs: 30_000, phase: 'confirm', asked: null, turn: null, outcome: null },
};
const JOURNAL: Journal = {
  ...{ id: 't', before: 'old', after: 'new', method: 'reload', deadlineWallMs: 100_000 },
  ...{ loaded: true, confirming: true, givenUp: false },
};
const CONFIRMED: Trial = { ...TRIAL, phase: 'ended', outcome: { kind: 'confirmed', reason: '', by: 'a', atMs: 1 } };
const SEEN: Seen = {
  ...{ self: 2, trial: TRIAL, treeConf: 'new', localConf: 'new', localVersion: 2, journal: JOURNAL, now: 0 },
  ...{ deadline: 100_000, phaseSince: 0, treeWritable: true, ring: new Set([1, 2, 3]) },
  ...{
    answered: new Set(['ready', 'installed', 'effective']),
    back: new Set<number>(),
    leaderEnded: false,
    spare: true,
  },
};

describe('a node with a file on trial', () => {
  test('goes back when its own clock says so, whatever else it sees', () => {
    const phases = ['prepare', 'install', 'effect', 'confirm'] as const;
    fc.assert(
      fc.property(
        fc.record({
          phase: fc.constantFrom(...phases),
          method: fc.constantFrom('reload' as const, 'rolling-restart' as const, 'whole-restart' as const),
          seesTree: fc.boolean(),
          treeWritable: fc.boolean(),
          ring: fc.subarray([1, 2, 3]),
          spare: fc.boolean(),
          loaded: fc.boolean(),
          late: fc.nat(1_000_000),
        }),
        ({ phase, method, seesTree, treeWritable, ring, spare, loaded, late }) => {
          const action = decide({
            ...SEEN,
            trial: seesTree ? { ...TRIAL, phase, method } : null,
            journal: { ...JOURNAL, method, loaded },
            now: 100_000 + late,
            ring: new Set(ring),
            ...{ treeWritable, spare },
          });
          assert.equal(action.kind, 'go-back');
        },
      ),
    );
  });

  test('keeps it once it hears of the confirmation, and not before', () => {
    assert.equal(decide({ ...SEEN, trial: CONFIRMED }).kind, 'keep');
    assert.equal(decide(SEEN).kind, 'nothing');
    assert.equal(decide({ ...SEEN, trial: null, now: 99_999 }).kind, 'nothing');
  });

  test('learns of a confirmation while it was away, and takes the file', () => {
    const away = { ...SEEN, trial: CONFIRMED, journal: null, deadline: null, localConf: 'old', localVersion: 1 };
    assert.equal(decide(away).kind, 'catch-up');
  });

  test('waits for its turn in a rolling restart', () => {
    const rolling = { ...TRIAL, phase: 'effect' as const, method: 'rolling-restart' as const };
    const journal = { ...JOURNAL, loaded: false, confirming: false, method: 'rolling-restart' as const };
    const seen = { ...SEEN, journal, answered: new Set(['ready', 'installed']) };
    assert.equal(decide({ ...seen, trial: { ...rolling, turn: 1 } }).kind, 'nothing');
    assert.equal(decide({ ...seen, trial: { ...rolling, turn: 2 } }).kind, 'load');
  });

  test('has all go back when the program that leads has ended', () => {
    assert.equal(decide({ ...SEEN, trial: { ...TRIAL, phase: 'effect' }, leaderEnded: true }).kind, 'have-all-go-back');
  });
});
