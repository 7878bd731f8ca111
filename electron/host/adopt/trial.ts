/**
 * A file on trial on an adopted cluster, from the app's side: every node's watchdog is armed before the first file is
 * changed, so whatever happens to this app or to the network, each node goes back by its own clock.
 */
import { randomUUID } from 'node:crypto';
import type { EngineStatus } from '../../../agent/engine/engine.ts';
import { readBackCorosync } from '../../../agent/engine/read-back.ts';
import { sentence } from '../../../agent/cluster/procedure.ts';
import type { Procedure, Say } from '../../../agent/cluster/procedure.ts';
import { setConfigVersion } from '../../../agent/conf/index.ts';
import type { ApplyPlan } from '../api.ts';
import { asReport, versionOf } from './as-report.ts';
import type { AdoptedFacts } from './facts.ts';
import { digestOf } from './ground.ts';
import type { Ground, GroundNode } from './ground.ts';
import type { TrialMeta } from './trial-state.ts';
import type { Method, WatchdogSettings } from './watchdog.ts';

/** How long a node may take until it runs the file and the ring is whole (measured on nine nodes), in seconds. */
const EFFECT_S: Readonly<Record<Method, number>> = { reload: 15, 'rolling-restart': 60, 'whole-restart': 60 };
/** Checks, copies and the way to the nodes, in seconds. */
const INSTALL_S = 45;
/** pmxcfs installs a new file within 2 s (measured). */
const PMXCFS_MS = 15_000;
const POLL_MS = 400;

export interface TrialOrder {
  readonly plan: ApplyPlan;
  readonly author: string;
  readonly leader: string;
  /** Milliseconds in which it must be confirmed once it runs everywhere. */
  readonly confirmWithinMs: number;
  /** Nodes that the new file does not name: they take no part. */
  readonly without?: readonly number[];
  /** A node that joins brings the votes that are missing: the members alone are not asked for quorum. */
  readonly quorumComesLater?: boolean;
}

export interface RunningTrial {
  readonly meta: TrialMeta;
  readonly nodes: readonly GroundNode[];
  readonly settings: ReadonlyMap<number, WatchdogSettings>;
  /** What lies on each node before, by node id. */
  readonly before: ReadonlyMap<number, string>;
  readonly after: string;
  readonly ground: Ground;
  readonly quorumComesLater: boolean;
}

/** The steps of a trial, for the procedure's list. */
export function trialSteps({ manager }: Pick<Ground, 'manager'>, { method }: ApplyPlan) {
  const conf = manager === 'proxmox' ? '/etc/pve/corosync.conf' : '/etc/corosync/corosync.conf';
  const restart = { 'rolling-restart': 'one after the other', 'whole-restart': 'together', reload: '' }[method];
  return [
    {
      id: 'arm',
      title: 'Every node checks the file, and starts the clock by which it goes back',
      command: 'corosync -t -c corosync.conf.new',
    },
    {
      id: 'install',
      title: 'Write corosync.conf.new, keep corosync.conf.bak, rename',
      command: `cp ${conf} ${conf}.bak && mv ${conf}.new ${conf}`,
    },
    method === 'reload'
      ? { id: 'effect', title: 'Every node loads it', command: 'corosync-cfgtool -R' }
      : { id: 'effect', title: `The nodes restart Corosync ${restart}`, command: 'systemctl restart corosync' },
    { id: 'read-back', title: 'Read back from every node what it runs', command: 'corosync-cmapctl' },
  ];
}

/** Arms every node. When one cannot, those that are armed are let go and nothing is changed. */
export async function armTrial(ground: Ground, order: TrialOrder, say: Say): Promise<RunningTrial> {
  const { plan, confirmWithinMs, without = [], quorumComesLater = false } = order;
  const proxmox = ground.manager === 'proxmox';
  const nodes = ground.nodes.filter(({ nodeId }) => !without.includes(nodeId));
  const meta: TrialMeta = {
    id: randomUUID(),
    author: order.author,
    leader: order.leader,
    startedMs: Date.now(),
    fromVersion: plan.fromVersion,
    version: plan.version,
    method: plan.method,
    changes: plan.changes.map((change) => change.sentence),
    confirmWithinMs,
  };
  const withinS = INSTALL_S + EFFECT_S[plan.method] * (plan.method === 'rolling-restart' ? nodes.length : 1);
  // pmxcfs takes a higher config_version only (measured): what it goes back to is the old file under a new number.
  const backText = proxmox ? setConfigVersion(ground.present, plan.version + 1) : null;
  const settings = new Map<number, WatchdogSettings>();
  const before = new Map<number, string>();
  for (const [index, { nodeId, facts }] of nodes.entries()) {
    const own = (proxmox ? (facts.treeConf ?? facts.conf) : facts.conf) ?? '';
    before.set(nodeId, digestOf(own));
    settings.set(nodeId, {
      id: meta.id,
      proxmox,
      method: plan.method,
      after: digestOf(plan.text),
      backVersion: versionOf(backText ?? own) ?? 0,
      staggerS: plan.method === 'rolling-restart' ? index * 12 : 0,
    });
  }
  const trial: RunningTrial = { meta, nodes, settings, before, after: plan.text, ground, quorumComesLater };
  const results = await Promise.allSettled(
    nodes.map(async ({ host, nodeId, name }) => {
      const own = settingsOf(trial, nodeId);
      const text = before.get(nodeId) ?? '';
      say(`${name}: ${await host.arm({ meta, settings: own, before: text, afterText: plan.text, backText, withinS })}`);
    }),
  );
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [sentence(result.reason)] : []));
  if (failed.length === 0) return trial;
  await Promise.allSettled(nodes.map(({ host }) => host.revert(meta.id, 5_000)));
  throw new Error(failed.join('; '));
}

function settingsOf({ settings }: RunningTrial, nodeId: number): WatchdogSettings {
  const found = settings.get(nodeId);
  if (found === undefined) throw new Error(`node ${nodeId} takes no part in this trial`);
  return found;
}

/** Puts the file on every node. */
export async function installTrial(trial: RunningTrial, say: Say): Promise<void> {
  const { nodes, before, ground, after } = trial;
  if (ground.manager !== 'proxmox') {
    await all(nodes, async ({ host, nodeId, name }) => {
      await host.install(settingsOf(trial, nodeId), before.get(nodeId) ?? '', true);
      say(`${name}: it is on disk`);
    });
    return;
  }
  const [first, ...others] = nodes;
  if (first === undefined) return;
  // Marked on the others first: from here on each of them is able to take it back.
  await all(others, ({ host, nodeId }) => host.install(settingsOf(trial, nodeId), before.get(nodeId) ?? '', false));
  await first.host.install(settingsOf(trial, first.nodeId), before.get(first.nodeId) ?? '', true);
  say(`${first.name}: written into /etc/pve`);
  const digest = digestOf(after);
  await all(nodes, async ({ host, name }) => {
    await until(PMXCFS_MS, async () =>
      (await host.hasLocal(digest)) ? null : `pmxcfs has not installed it on ${name}`,
    );
    say(`${name}: pmxcfs has installed it`);
  });
}

/** Brings it into effect: by a reload, or by restarts. */
export async function effectTrial(trial: RunningTrial, say: Say, signal: AbortSignal): Promise<void> {
  const { nodes, meta, ground } = trial;
  const { id, method } = meta;
  if (method === 'reload') {
    await all(nodes, ({ host }) => host.markLoaded(id));
    const [first] = nodes;
    if (ground.manager !== 'proxmox') await first?.host.reload(id);
    say(ground.manager === 'proxmox' ? 'pmxcfs has it loaded' : `${first?.name ?? ''}: corosync-cfgtool -R`);
    return;
  }
  if (method === 'whole-restart') {
    await all(nodes, async ({ host, name }) => {
      await host.restart(id);
      say(`${name}: restarted`);
    });
    return;
  }
  for (const node of nodes) {
    if (signal.aborted) throw new Error('Cancelled.');
    await node.host.restart(id);
    await until(EFFECT_S[method] * 1000, () => notRunning(trial, [node]));
    await until(EFFECT_S[method] * 1000, () => ringNotWhole(trial));
    say(`${node.name}: restarted, and back in the ring`);
  }
}

/** Every node runs what the file asks for, and all of them are in one ring. */
export async function readBackTrial(trial: RunningTrial, say: Say): Promise<void> {
  const withinMs = EFFECT_S[trial.meta.method] * 1000;
  await until(withinMs, () => notRunning(trial, trial.nodes));
  await until(withinMs, () => ringNotWhole(trial));
  say(`${trial.nodes.map(({ name }) => name).join(', ')}: version ${trial.meta.version} runs`);
}

/** From now on a person is waited for. */
export async function awaitConfirmation(trial: RunningTrial): Promise<void> {
  const seconds = trial.meta.confirmWithinMs / 1000;
  await all(trial.nodes, ({ host }) => host.extend(trial.meta.id, seconds, 'confirm'));
}

/** Puts the deadline off while a procedure has something else to do. */
export async function holdTrial(trial: RunningTrial, seconds: number): Promise<void> {
  await all(trial.nodes, ({ host }) => host.extend(trial.meta.id, seconds, 'effect'));
}

/** Looks at all nodes at once; null, or the first thing that is missing. */
export async function firstMissing(
  nodes: readonly GroundNode[],
  missing: (node: GroundNode, facts: AdoptedFacts, status: EngineStatus) => string | null,
): Promise<string | null> {
  const found = await Promise.all(
    nodes.map(async (node) => {
      const facts = await node.link.look();
      const status = facts === null ? null : asReport(facts).engine;
      return facts === null || status === null ? `${node.name} does not answer` : missing(node, facts, status);
    }),
  );
  return found.find((words) => words !== null) ?? null;
}

/** Null, or what a node does not run yet. */
const notRunning = ({ after }: RunningTrial, nodes: readonly GroundNode[]): Promise<string | null> =>
  firstMissing(nodes, ({ name }, facts, status) => {
    const found = readBackCorosync(after, status, (key) => facts.cmap.get(key) ?? null);
    return found.length === 0 ? null : `${name}: ${found.slice(0, 3).join('; ')}`;
  });

/** Null, or who is missing in whose ring. */
const ringNotWhole = ({ nodes, quorumComesLater }: RunningTrial): Promise<string | null> =>
  firstMissing(nodes, ({ name }, _facts, { members, quorum }) => {
    const inRing = new Set(members.flatMap(({ nodeId, state }) => (state === 'member' ? [Number(nodeId)] : [])));
    const away = nodes.filter(({ nodeId }) => !inRing.has(nodeId)).map((node) => node.name);
    if (away.length > 0) return `${away.join(', ')} is not in the ring that ${name} sees`;
    return quorum.quorate || quorumComesLater ? null : `${name} has no quorum`;
  });

/**
 * The file stays, on every node. Each is asked first whether it can be reached: one that is not told would go back
 * alone. Rejects with who was not told.
 */
export async function confirmTrial(id: string, nodes: readonly Pick<GroundNode, 'host' | 'name'>[]): Promise<void> {
  await all(nodes, ({ host }) => host.extend(id, 60, 'confirm'));
  const results = await Promise.allSettled(nodes.map(({ host }) => retried(3, () => host.confirm(id))));
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [sentence(result.reason)] : []));
  if (failed.length > 0) {
    throw new Error(
      `Not every node could be told that the file stays: ${failed.join('; ')}. Such a node goes back by itself; apply the file again once all are reached.`,
    );
  }
}

/** Every node goes back now. Resolves to what they did, a sentence each. */
export async function revertTrial(id: string, nodes: readonly Pick<GroundNode, 'host' | 'name'>[]): Promise<string[]> {
  const results = await Promise.allSettled(
    nodes.map(async ({ host, name }) => `${name}: ${await host.revert(id, 90_000)}`),
  );
  return results.map((result) => (result.status === 'fulfilled' ? result.value : sentence(result.reason)));
}

/** Runs a planned trial up to the moment in which it waits for its confirmation; goes back when something fails. */
export async function runTrial(
  ground: Ground,
  order: TrialOrder,
  procedure: Procedure,
  signal: AbortSignal,
): Promise<RunningTrial> {
  const trial = await procedure.step('arm', (say) => armTrial(ground, order, say));
  try {
    await procedure.step('install', (say) => installTrial(trial, say));
    await procedure.step('effect', (say) => effectTrial(trial, say, signal));
    await procedure.step('read-back', (say) => readBackTrial(trial, say));
    return trial;
  } catch (error) {
    const back = await takeBack(trial, procedure);
    throw new Error(`${sentence(error)}${/[.!?]$/.test(sentence(error)) ? '' : '.'} ${back}`, { cause: error });
  }
}

/** Has every node go back, as a step of the way back. Resolves to a sentence. */
export async function takeBack(trial: RunningTrial, procedure: Procedure): Promise<string> {
  procedure.end();
  const planned = { id: 'back', title: 'Take every node back to the old file', command: null };
  return procedure.undo(planned, async (say) => {
    for (const line of await revertTrial(trial.meta.id, trial.nodes)) say(line);
    return 'Every node that was reached is back at the old file; one that was not goes back by its own clock.';
  });
}

async function all<T>(nodes: readonly T[], work: (node: T) => Promise<unknown>): Promise<void> {
  const results = await Promise.allSettled(nodes.map(work));
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [sentence(result.reason)] : []));
  if (failed.length > 0) throw new Error(failed.join('; '));
}

async function retried<T>(times: number, work: () => Promise<T>): Promise<T> {
  for (let left = times; ; left -= 1) {
    try {
      return await work();
    } catch (error) {
      if (left <= 1 || /gone back|over there/.test(sentence(error))) throw error;
    }
  }
}

/** Looks until nothing is missing. Rejects with what was. */
export async function until(withinMs: number, look: () => Promise<string | null>): Promise<void> {
  for (const end = Date.now() + withinMs; ; await new Promise((resolve) => setTimeout(resolve, POLL_MS))) {
    const missing = await look().catch((error: unknown) => sentence(error));
    if (missing === null) return;
    if (Date.now() > end) throw new Error(`${missing} (waited ${Math.round(withinMs / 1000)} s)`);
  }
}
