/**
 * A cluster changes its engine: with one short stop of the ring, its tree mounted all the while. It is an apply of
 * corosync.conf that starts the other engine: the same trial, the same guards, each node's own clock.
 */
import { randomUUID } from 'node:crypto';
import { raiseConfigVersion } from '../../conf/index.ts';
import type { EngineKind, EngineStatus } from '../../engine/engine.ts';
import { err, ok, type Result } from '../../result.ts';
import type { MovePlan } from '../../rpc/api.ts';
import { PREPARE_MS } from '../apply/decide.ts';
import { takeBack } from '../apply/end-apply.ts';
import { Lead, longestEffectMs } from '../apply/lead.ts';
import { isOpen, type NodeFacts, type Trial, type TrialRecord } from '../apply/trial.ts';
import { allFacts, beginTrial, changeTrial, endTrial, history, inTheWay, lastTrial } from '../apply/trial-store.ts';
import { readTreeConf, replaceTreeConf, versionOf } from '../conf-write.ts';
import { agentVersion } from '../installation.ts';
import { isOpen as isOpenRekey } from '../key/rekey.ts';
import { lastRekey } from '../key/rekey-store.ts';
import type { NodePorts } from '../ports.ts';
import { Procedure, sentence, type Watcher } from '../procedure.ts';
import { engineStatus, whyNotWritable } from '../waiting.ts';
import { expressFor, NAMES, pauseMs, whyNotKey } from './express.ts';

/** How long one node may take to put the file beside its own. */
const STAGE_MS = 10_000;
/** Beyond the time for the change: a node that is this late goes back by its own clock. */
const MARGIN_MS = 5_000;

interface Known {
  readonly status: EngineStatus;
  /** The tree's corosync.conf. */
  readonly present: string;
  readonly facts: ReadonlyMap<number, NodeFacts>;
  readonly history: readonly TrialRecord[];
  /** In base64. */
  readonly key: string | null;
  /** Version of the agent that asks. */
  readonly agent: string;
}

/** What a move to the engine `to` would do, or why it cannot be done. Pure. */
export function planFrom(known: Known, to: EngineKind): Result<MovePlan, string> {
  const { status, present, facts, agent } = known;
  if (status.engine === to) return err(`the cluster runs on ${NAMES[to]} already`);
  const named = (members: EngineStatus['members']): string =>
    members.map(({ name, nodeId }) => name ?? `node ${nodeId}`).join(', ');
  const away = status.members.filter(({ state }) => state !== 'member');
  if (away.length > 0) {
    return err(
      `${named(away)} is not in the ring and would be left behind on the old engine. Start it, or remove it from the cluster first.`,
    );
  }
  const strange = status.members.filter(({ nodeId }) => facts.get(nodeId)?.agent !== agent);
  if (strange.length > 0) {
    return err(
      `${named(strange)} runs another version of the agent than this node (${agent}), and may not know how to change its engine. Install the same version on every node first.`,
    );
  }
  const expressed = expressFor(present, to);
  if (!expressed.ok) return expressed;
  const key = whyNotKey(expressed.value.text, to, known.key);
  if (key !== null) return err(key);
  const seen = [...facts.values()].flatMap(({ disk, running }) => [disk?.version ?? 0, running ?? 0]);
  const highest = Math.max(versionOf(present) ?? 0, ...seen, ...known.history.map(({ trial }) => trial.version));
  const raised = raiseConfigVersion(expressed.value.text, highest);
  const pause = pauseMs(to, status.members.length);
  const seconds = Math.round(pause / 1000);
  return ok({
    from: status.engine,
    to,
    fromVersion: versionOf(present) ?? 0,
    version: raised.version,
    text: raised.text,
    notes: expressed.value.notes,
    pauseMs: pause,
    nodes: status.members.map(({ name, nodeId }) => name ?? `node ${nodeId}`),
    sentences: [
      `All ${status.members.length} nodes leave ${NAMES[status.engine]} together and start ${NAMES[to]}.`,
      `Writes to the tree pause for about ${seconds} s; it stays mounted and can be read. Guests are not touched.`,
      'If the new engine does not carry the whole cluster in time, every node goes back by its own clock.',
    ],
  });
}

/** Rejects with a sentence that says why it cannot be done. Changes nothing. */
export async function planMove(ports: NodePorts, to: EngineKind): Promise<MovePlan> {
  const reason = await whyNotWritable(ports);
  if (reason !== null) throw new Error(`the cluster cannot be changed now: ${reason}`);
  const trial = await lastTrial(ports);
  if (isOpen(trial)) throw new Error(inTheWay(trial));
  if (isOpenRekey(await lastRekey(ports.tree))) {
    throw new Error('the key of the cluster is being replaced just now. Wait for its end ("pvecm rekey" shows it).');
  }
  const present = await readTreeConf(ports);
  const status = await engineStatus(ports);
  if (present === null || status === null) throw new Error('there is no corosync.conf in the configuration tree');
  const known = { status, present, facts: await allFacts(ports), history: await history(ports) };
  const plan = planFrom({ ...known, key: ports.files.readAuthkey(), agent: agentVersion() }, to);
  if (!plan.ok) throw new Error(plan.error);
  return plan.value;
}

/**
 * Carries it out. Resolves when every node runs the new engine, the ring is whole and takes writes, and that is
 * confirmed. Rejects with what went wrong; the nodes are then back on the old engine, or go back by themselves.
 */
export async function moveEngine(
  ports: NodePorts,
  order: { readonly to: EngineKind; readonly author: string },
  watcher: Watcher,
): Promise<MovePlan> {
  const { mount } = ports.paths;
  const { to, author } = order;
  const procedure = new Procedure(
    [
      { id: 'check', title: `Check that the cluster can move to ${NAMES[to]}`, command: 'pvecm status' },
      { id: 'ask', title: 'Have every node put the new file beside its own', command: null },
      {
        id: 'write',
        title: 'Write corosync.conf in its new words into the tree',
        command: `editor ${mount}/corosync.conf`,
      },
      { id: 'stage', title: 'Have every node start its own clock', command: null },
      {
        id: 'change',
        title: `Stop ${NAMES[to === 'corosync' ? 'totem' : 'corosync']} and start ${NAMES[to]} on every node`,
        command: to === 'corosync' ? 'systemctl enable --now corosync' : 'systemctl disable --now corosync',
      },
      { id: 'confirm', title: 'Confirm it', command: 'pvecm status' },
    ],
    watcher,
  );
  let trial: Trial | null = null;
  let written = false;
  try {
    const { plan, lead, begun } = await procedure.step('check', async (say) => {
      const planned = await planMove(ports, to);
      const status = await engineStatus(ports);
      const before = await readTreeConf(ports);
      if (status === null || before === null) throw new Error('this node belongs to no cluster');
      const next = newTrial(ports, planned, author, before, status);
      await beginTrial(ports, next);
      trial = next;
      for (const words of [...planned.notes, ...planned.sentences]) say(words);
      return { plan: planned, lead: new Lead(ports, status, watcher.signal), begun: next };
    });
    await procedure.step('ask', (say) => lead.waitForAll(begun, 'ready', PREPARE_MS, say));
    await procedure.step('write', async (say) => {
      written = true;
      await replaceTreeConf(ports, begun.before, begun.after, say);
      await changeTrial(ports, begun.id, (one) => ({ ...one, phase: 'install' }));
    });
    await procedure.step('stage', (say) => lead.waitForAll(begun, 'installed', STAGE_MS, say));
    const withinMs = longestEffectMs(to, 'whole-restart');
    await procedure.step('change', async (say) => {
      await changeTrial(ports, begun.id, (one) => ({ ...one, phase: 'effect' }));
      await lead.waitForAll(begun, 'effective', withinMs, say);
      await lead.wholeRing(begun, withinMs);
    });
    await procedure.step('confirm', async (say) => {
      const outcome = { kind: 'confirmed', reason: 'every node runs it', by: author, atMs: ports.clock.now() } as const;
      const ended = await endTrial(ports, begun.id, outcome);
      if (ended.outcome?.kind !== 'confirmed')
        throw new Error(`it was taken back: ${ended.outcome?.reason ?? 'unknown'}`);
      say(`the cluster runs on ${NAMES[to]}, corosync.conf version ${plan.version}`);
    });
    ports.log('notice', `${author} moved the cluster from ${NAMES[plan.from]} to ${NAMES[to]}`);
    return plan;
  } catch (error) {
    procedure.end();
    ports.log('error', `moving the cluster to ${NAMES[to]} failed: ${sentence(error)}`);
    if (trial === null) throw error;
    const planned = { id: 'back', title: 'Take every node back to the old engine', command: null };
    const why = { by: author, reason: sentence(error) };
    const back = await takeBack(ports, (work) => procedure.undo(planned, work), { trial, written }, why);
    throw new Error(`${sentence(error).replace(/[.!?]?$/, '.')} ${back}`, { cause: error });
  }
}

function newTrial(ports: NodePorts, plan: MovePlan, author: string, before: string, status: EngineStatus): Trial {
  const rolloutMs = STAGE_MS + longestEffectMs(plan.to, 'whole-restart') + MARGIN_MS;
  return {
    id: randomUUID(),
    author,
    leader: ports.hostname,
    leaderNode: status.localNode,
    leaderPid: ports.pid,
    startedMs: ports.clock.now(),
    fromVersion: plan.fromVersion,
    version: plan.version,
    before,
    after: plan.text,
    changes: [`The engine changes from ${NAMES[plan.from]} to ${NAMES[plan.to]}.`, ...plan.notes],
    method: 'whole-restart',
    engine: { from: plan.from, to: plan.to },
    nodes: status.members.map(({ nodeId }) => nodeId),
    absent: [],
    confirmWithinMs: MARGIN_MS,
    rolloutMs,
    phase: 'prepare',
    asked: null,
    turn: null,
    outcome: null,
  };
}
