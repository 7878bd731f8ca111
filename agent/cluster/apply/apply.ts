/** Leads an apply: plans it, puts it on trial on every node, and waits until it runs everywhere. */
import { randomUUID } from 'node:crypto';
import type { EngineStatus } from '../../engine/engine.ts';
import type { ApplyPlan, ApplyRequest } from '../../rpc/api.ts';
import { readTreeConf, replaceTreeConf } from '../conf-write.ts';
import type { NodePorts } from '../ports.ts';
import { Procedure, sentence, type Watcher } from '../procedure.ts';
import { engineStatus, whyNotWritable } from '../waiting.ts';
import { PREPARE_MS } from './decide.ts';
import { takeBack } from './end-apply.ts';
import { Lead, longestEffectMs } from './lead.ts';
import { planApply, type Wanted } from './plan.ts';
import { isOpen, type Method, type Trial } from './trial.ts';
import { allFacts, beginTrial, changeTrial, history, inTheWay, lastTrial } from './trial-store.ts';

/** How long one node may take to put a file on its disk. */
const INSTALL_MS = 10_000;

/** Rejects with a sentence that says why it cannot be done. Changes nothing. */
export async function planConf(ports: NodePorts, wanted: Wanted): Promise<ApplyPlan> {
  const reason = await whyNotWritable(ports);
  if (reason !== null) throw new Error(`the cluster cannot be changed now: ${reason}`);
  const present = await readTreeConf(ports);
  if (present === null) throw new Error('there is no corosync.conf in the configuration tree');
  const trial = await lastTrial(ports);
  if (isOpen(trial)) throw new Error(inTheWay(trial));
  const status = await statusNow(ports);
  const known = { status, present, facts: await allFacts(ports), history: await history(ports), digest: ports.digest };
  const plan = planApply(known, wanted);
  if (!plan.ok) throw new Error(plan.error);
  return plan.value;
}

async function statusNow(ports: NodePorts): Promise<EngineStatus> {
  const status = await engineStatus(ports);
  if (status === null) throw new Error('this node belongs to no cluster');
  return status;
}

/**
 * Carries the plan out. Resolves when every node in the ring runs the file; from then on it waits for its
 * confirmation, on every node by that node's own clock. Rejects with what went wrong; the nodes are then
 * back at the old file, or go back by themselves.
 */
export async function startApply(
  ports: NodePorts,
  order: ApplyRequest,
  watcher: Watcher,
): Promise<{ readonly id: string; readonly plan: ApplyPlan }> {
  const plan = await planConf(ports, { text: order.text, baseDigest: order.baseDigest, editedMs: null });
  if (plan.method !== order.method) {
    throw new Error(`it would take more than was planned: ${WORDS_OF[plan.method]}. Look at the plan again.`);
  }
  const { mount, conf } = ports.paths;
  const procedure = new Procedure(
    [
      { id: 'begin', title: 'Check that nobody else is changing it', command: 'pvecm conf history' },
      { id: 'ask', title: 'Ask every node whether it would take the file', command: `pvecm conf check ${conf}.new` },
      {
        id: 'write',
        title: 'Write corosync.conf.new, keep corosync.conf.bak, rename',
        command:
          `editor ${mount}/corosync.conf.new && cp ${mount}/corosync.conf ${mount}/corosync.conf.bak && ` +
          `mv ${mount}/corosync.conf.new ${mount}/corosync.conf`,
      },
      { id: 'install', title: 'Every node puts it on its disk', command: `cp ${mount}/corosync.conf ${conf}` },
      { id: 'effect', ...EFFECT_STEP[plan.method] },
    ],
    watcher,
  );
  const status = await statusNow(ports);
  const nodes = status.members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId);
  let trial: Trial | null = null;
  let written = false;
  const effectMs = longestEffectMs(status.engine, plan.method);
  const lead = new Lead(ports, status, watcher.signal);
  try {
    const begun = await procedure.step('begin', async (say) => {
      const before = await readTreeConf(ports);
      if (before === null || ports.digest(before) !== plan.baseDigest) {
        throw new Error('corosync.conf has changed since this was planned. Look at it again.');
      }
      const next = newTrial(ports, plan, order, before, status, nodes);
      await beginTrial(ports, next);
      trial = next;
      for (const change of plan.changes) say(change.sentence);
      return next;
    });
    await procedure.step('ask', (say) => lead.waitForAll(begun, 'ready', PREPARE_MS, say));
    await procedure.step('write', async (say) => {
      written = true;
      await replaceTreeConf(ports, begun.before, begun.after, say);
      await changeTrial(ports, begun.id, (one) => ({ ...one, phase: 'install' }));
    });
    await procedure.step('install', (say) => lead.waitForAll(begun, 'installed', INSTALL_MS, say));
    await procedure.step('effect', async (say) => {
      if (plan.method === 'rolling-restart') await lead.oneByOne(begun, effectMs, say);
      else {
        await changeTrial(ports, begun.id, (one) => ({ ...one, phase: 'effect' }));
        await lead.waitForAll(begun, 'effective', effectMs, say);
      }
      await lead.wholeRing(begun, effectMs);
      await changeTrial(ports, begun.id, (one) => ({ ...one, phase: 'confirm', turn: null }));
      say(`it goes back in ${Math.round(order.confirmWithinMs / 1000)} s unless it is confirmed`);
    });
    ports.log('notice', `${order.author} applied corosync.conf version ${plan.version}; it waits for confirmation`);
    return { id: begun.id, plan };
  } catch (error) {
    procedure.end();
    ports.log('error', `applying corosync.conf for ${order.author} failed: ${sentence(error)}`);
    if (trial === null) throw error;
    const planned = { id: 'back', title: 'Take every node back to the old file', command: 'pvecm conf revert' };
    const why = { by: order.author, reason: sentence(error) };
    const back = await takeBack(ports, (work) => procedure.undo(planned, work), { trial, written }, why);
    throw new Error(`${sentence(error)}${/[.!?]$/.test(sentence(error)) ? '' : '.'} ${back}`, { cause: error });
  }
}

export const WORDS_OF: Readonly<Record<Method, string>> = {
  reload: 'every node loads the file and nothing restarts',
  'rolling-restart': 'the nodes restart their engine one after the other',
  'whole-restart': 'all nodes restart their engine at once',
};

const EFFECT_STEP: Readonly<Record<Method, { readonly title: string; readonly command: string }>> = {
  reload: { title: 'Every node loads it', command: 'corosync-cfgtool -R' },
  'rolling-restart': {
    title: 'The nodes restart their engine one after the other',
    command: 'systemctl restart corosync',
  },
  'whole-restart': { title: 'All nodes restart their engine', command: 'systemctl restart corosync' },
};

function newTrial(
  ports: NodePorts,
  plan: ApplyPlan,
  order: ApplyRequest,
  before: string,
  status: EngineStatus,
  nodes: readonly number[],
): Trial {
  const effectMs = longestEffectMs(status.engine, plan.method) * (plan.method === 'rolling-restart' ? nodes.length : 1);
  return {
    id: randomUUID(),
    author: order.author,
    leader: ports.hostname,
    leaderNode: status.localNode,
    leaderPid: ports.pid,
    startedMs: ports.clock.now(),
    fromVersion: plan.fromVersion,
    version: plan.version,
    before,
    after: plan.text,
    changes: plan.changes.map(({ sentence: words }) => words),
    method: plan.method,
    nodes: [...nodes],
    absent: status.members.filter(({ state }) => state === 'absent').map(({ nodeId }) => nodeId),
    confirmWithinMs: order.confirmWithinMs,
    rolloutMs: INSTALL_MS + effectMs + 5_000,
    phase: 'prepare',
    asked: null,
    turn: null,
    outcome: null,
  };
}
