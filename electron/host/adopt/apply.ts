/** corosync.conf of an adopted cluster: opened, planned, put on trial, confirmed, taken back. */
import { hostname } from 'node:os';
import { Procedure } from '../../../agent/cluster/procedure.ts';
import { model, parse } from '../../../agent/conf/index.ts';
import type { ApplyOrder, ApplyPlan, ConfFile, EndedApply, NodeConf, OpenedConf } from '../api.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { PlacedStep } from '../procedures/join.ts';
import { versionOf } from './as-report.ts';
import { asRecords } from './history.ts';
import type { AdoptedHistory } from './history.ts';
import { digestOf, survey, whyNotChanged } from './ground.ts';
import type { Ground, GroundNode } from './ground.ts';
import { planAdopted } from './plan.ts';
import { awaitConfirmation, confirmTrial, revertTrial, runTrial, trialSteps } from './trial.ts';
import type { TrialState } from './trial-state.ts';

const fileOf = (text: string): ConfFile => ({ text, digest: digestOf(text), configVersion: versionOf(text) });

/** The cluster's file, and what every node has. Rejects when no node answers. */
export async function openAdopted(fleet: Fleet, clusterId: string): Promise<OpenedConf> {
  const ground = await survey(fleet, clusterId);
  const nodes = ground.view.members.map((member): NodeConf => {
    const facts = ground.nodes.find(({ nodeId }) => nodeId === member.nodeId)?.facts ?? null;
    const { name: nodeName, hostId, runningVersion } = member;
    const tree = facts === null ? null : facts.manager === 'proxmox' ? facts.treeConf : ground.present;
    return {
      nodeName,
      hostId,
      tree: tree === null ? null : { digest: digestOf(tree), configVersion: versionOf(tree) },
      local: facts === null || facts.conf === null ? null : fileOf(facts.conf),
      runningVersion,
    };
  });
  return { clusterId, file: fileOf(ground.present), nodes };
}

/** What applying this text would do. Changes nothing; rejects with why it cannot be done. */
export async function planAdoptedConf(
  fleet: Fleet,
  history: AdoptedHistory,
  clusterId: string,
  wanted: { readonly text: string; readonly baseDigest: string },
): Promise<{ ground: Ground; plan: ApplyPlan }> {
  const ground = await survey(fleet, clusterId);
  const open = ground.view.apply;
  if (open !== null)
    throw new Error(`version ${open.version} by ${open.author} is on trial: confirm it or take it back first`);
  const why = whyNotChanged(ground);
  if (why !== null) throw new Error(why);
  const records = asRecords(history.of(ground.view.name));
  const plan = planAdopted(ground, { ...wanted, editedMs: null }, records, digestOf);
  if (!plan.ok) throw new Error(plan.error);
  return { ground, plan: plan.value };
}

/** Puts the text on trial. Resolves when every node runs it; from then on each goes back unless it is confirmed. */
export async function applyAdopted(
  fleet: Fleet,
  history: AdoptedHistory,
  clusterId: string,
  order: ApplyOrder & { readonly author: string },
  watch: { readonly onStep: (step: PlacedStep) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { ground, plan } = await planAdoptedConf(fleet, history, clusterId, order);
  if (plan.method !== order.method) throw new Error('It would take more than was planned. Look at the plan again.');
  if (digestOf(ground.present) !== plan.baseDigest) throw new Error('corosync.conf has changed since it was planned.');
  const where = ground.nodes[0]?.name ?? ground.view.name;
  const procedure = new Procedure(trialSteps(ground, plan), {
    onStep: (step) => watch.onStep({ ...step, where }),
    signal: watch.signal,
  });
  const { author, confirmWithinMs } = order;
  const listed = new Set(model(parse(plan.text)).nodelist.map(({ nodeId }) => nodeId));
  const without = ground.nodes.filter(({ nodeId }) => !listed.has(nodeId)).map(({ nodeId }) => nodeId);
  const startedMs = Date.now();
  try {
    const trial = await runTrial(
      ground,
      { plan, author, leader: hostname(), confirmWithinMs, without },
      procedure,
      watch.signal,
    );
    await awaitConfirmation(trial);
    history.begin(trial.meta.id, { cluster: ground.view.name, before: ground.present, after: plan.text });
    await Promise.all(ground.nodes.map(({ link }) => link.look().catch(() => null)));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const { fromVersion, version, method } = plan;
    history.add(ground.view.name, {
      ...{
        id: `failed-${startedMs}`,
        author,
        leader: hostname(),
        startedMs,
        endedMs: Date.now(),
        fromVersion,
        version,
        method,
      },
      ...{ changes: plan.changes.map((change) => change.sentence), outcome: 'reverted', reason, by: author },
      ...{ before: ground.present, after: plan.text },
    });
    throw error;
  }
}

interface OpenTrial {
  readonly id: string;
  readonly ground: Ground;
  readonly nodes: readonly GroundNode[];
  readonly ended: (outcome: EndedApply['outcome'], reason: string, by: string) => void;
}

/** The trial that waits on the nodes, whoever began it, and from whichever computer. */
async function openTrial(fleet: Fleet, history: AdoptedHistory, clusterId: string): Promise<OpenTrial> {
  const ground = await survey(fleet, clusterId);
  const found = ground.nodes.find(({ facts }) => facts.trial?.decided === 'open')?.facts.trial ?? null;
  if (found === null) throw new Error('Nothing waits for a confirmation: it has been confirmed or taken back already.');
  const { meta } = found;
  const nodes = ground.nodes.filter(({ facts }) => facts.trial?.meta.id === meta.id);
  const texts = history.begun(meta.id) ?? { before: '', after: ground.present };
  return {
    id: meta.id,
    ground,
    nodes,
    ended: (outcome, reason, by) => {
      const { id, author, leader, startedMs, fromVersion, version, method, changes } = meta;
      const what = { id, author, leader, startedMs, fromVersion, version, method, changes };
      const { before, after } = texts;
      history.add(ground.view.name, { ...what, endedMs: Date.now(), outcome, reason, by, before, after });
    },
  };
}

/** Keeps what waits for it. Resolves to a sentence. */
export async function confirmAdopted(
  fleet: Fleet,
  history: AdoptedHistory,
  clusterId: string,
  by: string,
): Promise<string> {
  const { id, nodes, ground, ended } = await openTrial(fleet, history, clusterId);
  if (nodes[0]?.facts.trial?.phase === 'effect')
    throw new Error('It does not run everywhere yet: wait until the countdown begins.');
  // A node that takes part and is not reached now would go back alone.
  const silent = ground.status.members.filter(
    ({ nodeId, state }) => state === 'member' && !ground.nodes.some((node) => node.nodeId === nodeId),
  );
  if (silent.length > 0 && ground.manager !== 'proxmox') {
    const names = silent.map(({ name, nodeId }) => name ?? `node ${nodeId}`).join(', ');
    throw new Error(`${names} cannot be reached to be told, and would go back alone. Wait for it, or go back.`);
  }
  await confirmTrial(id, nodes);
  ended('confirmed', '', by);
  await Promise.all(ground.nodes.map(({ link }) => link.look().catch(() => null)));
  return `The new corosync.conf stays, on ${nodes.map(({ name }) => name).join(', ')}.`;
}

/** Takes back what is not confirmed. Resolves to a sentence when every node is back. */
export async function revertAdopted(
  fleet: Fleet,
  history: AdoptedHistory,
  clusterId: string,
  by: string,
): Promise<string> {
  const { id, nodes, ground, ended } = await openTrial(fleet, history, clusterId);
  const lines = await revertTrial(id, nodes);
  ended('reverted', `${by} took it back`, by);
  await Promise.all(ground.nodes.map(({ link }) => link.look().catch(() => null)));
  return lines.join(' ');
}

/** Records what a node's own clock has ended. True the first time that this is seen. */
export function noteEnded(history: AdoptedHistory, nodeName: string, trial: TrialState | null): boolean {
  if (trial === null || trial.decided !== 'reverted' || trial.outcome === '') return false;
  const { id, author, leader, startedMs, fromVersion, version, method, changes } = trial.meta;
  const texts = history.begun(id);
  if (texts === null || history.of(texts.cluster).some((one) => one.id === id)) return false;
  const what = { id, author, leader, startedMs, fromVersion, version, method, changes };
  const { cluster, before, after } = texts;
  const ended = { endedMs: Date.now(), outcome: 'reverted', reason: trial.outcome, by: nodeName } as const;
  history.add(cluster, { ...what, ...ended, before, after });
  return true;
}
