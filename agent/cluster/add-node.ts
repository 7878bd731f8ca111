/** The member's half of a join: the new node is written into corosync.conf before it exists in the ring. */
import { addNode, diagnose, raiseConfigVersion, removeNode } from '../conf/index.ts';
import type { CorosyncConf } from '../conf/index.ts';
import type { EngineStatus } from '../engine/engine.ts';
import type { AddNodeRequest, JoinTicket } from '../rpc/api.ts';
import { isOpen } from './apply/trial.ts';
import { inTheWay, lastTrial } from './apply/trial-store.ts';
import { isEncrypted, modelOf, readTreeConf, replaceTreeConf, waitForRunningVersion } from './conf-write.ts';
import type { NodePorts } from './ports.ts';
import { Procedure, sentence } from './procedure.ts';
import type { Say, Watcher } from './procedure.ts';
import type { Result } from '../result.ts';
import { err, ok } from '../result.ts';
import { checkNodeId, checkNodeName, checkVotes } from './rules.ts';
import { engineStatus, waitFor, whyNotWritable } from './waiting.ts';

const WRITABLE_DEADLINE_MS = 15_000;

/** Adds the node and resolves to what it needs in order to join. Rejects with a sentence for a person. */
export async function addNodeToCluster(
  ports: NodePorts,
  request: AddNodeRequest,
  watcher: Watcher,
): Promise<JoinTicket> {
  const { mount } = ports.paths;
  const procedure = new Procedure(
    [
      { id: 'check', title: `Check that ${request.name} can be added`, command: 'pvecm status' },
      {
        id: 'write',
        title: 'Write the node into corosync.conf',
        command: `pvecm addnode ${request.name} --ring0_addr ${request.ring0Addr}`,
      },
      { id: 'reload', title: 'Wait until this node runs the new version', command: `cat ${mount}/.members` },
      { id: 'ticket', title: 'Hand out what the new node needs', command: null },
    ],
    watcher,
  );
  let written: number | null = null;
  try {
    const base = await procedure.step('check', async (say) => {
      const text = await writableConf(ports);
      const verdict = wouldAdd(modelOf(text), request);
      if (!verdict.ok) throw new Error(verdict.error);
      say(`${request.name} becomes node ${verdict.value} at ${request.ring0Addr}`);
      return { text, nodeId: verdict.value };
    });
    const added = await procedure.step('write', async (say) => {
      const edited = addNode(base.text, {
        nodeId: base.nodeId,
        name: request.name,
        votes: request.votes,
        addresses: [{ link: 0, address: request.ring0Addr }],
      });
      if (!edited.ok) throw new Error(edited.error);
      const raised = raiseConfigVersion(edited.value, modelOf(base.text).totem.configVersion ?? 0);
      refuseErrors(ports, raised.text);
      await replaceTreeConf(ports, base.text, raised.text, say);
      written = base.nodeId;
      return raised;
    });
    await procedure.step('reload', (say) => waitForRunningVersion(ports, watcher.signal, added.version, say));
    const ticket = await procedure.step('ticket', (say) => {
      const authkey = isEncrypted(added.text, ports.engine.choice()) ? ports.files.readAuthkey() : null;
      say(`corosync.conf version ${added.version}${authkey === null ? '' : ' and the cluster key'}`);
      return {
        clusterName: modelOf(added.text).totem.clusterName ?? '',
        engine: ports.engine.choice(),
        nodeId: base.nodeId,
        conf: added.text,
        authkey,
      };
    });
    ports.log('notice', `${request.name} was added to corosync.conf as node ${base.nodeId}`);
    return ticket;
  } catch (error) {
    procedure.end();
    ports.log('error', `adding ${request.name} failed: ${sentence(error)}`);
    if (written === null) throw error;
    throw new Error(`${sentence(error)} ${await putBack(ports, procedure, written)}`, { cause: error });
  }
}

/** Nobody holds a ticket for the node that was written: it must not stay. Resolves to how that went, a sentence. */
async function putBack(ports: NodePorts, procedure: Procedure, nodeId: number): Promise<string> {
  const planned = { id: 'undo', title: `Take node ${nodeId} out of corosync.conf again`, command: null };
  try {
    await procedure.undo(planned, async (say) => {
      await regainQuorum(ports, nodeId, new AbortController().signal, say);
      await takeOut(ports, nodeId, say);
    });
    return 'The node was taken out of corosync.conf again.';
  } catch (error) {
    return `It is still in corosync.conf, for ${sentence(error)}. Try: pvecm undoadd ${nodeId}`;
  }
}

/** Would the nodelist take this node, and under which id? Pure. */
export function wouldAdd(conf: CorosyncConf, request: AddNodeRequest): Result<number, string> {
  for (const rule of [checkNodeName(request.name), checkVotes(request.votes)]) if (!rule.ok) return rule;
  const sameName = conf.nodelist.find((node) => node.name === request.name);
  if (sameName !== undefined) {
    return err(`a node named ${request.name} is in the cluster already (node ${sameName.nodeId ?? 'without id'})`);
  }
  const sameAddress = conf.nodelist.find((node) => node.addresses.some(({ address }) => address === request.ring0Addr));
  if (sameAddress !== undefined) {
    return err(`the address ${request.ring0Addr} belongs to ${sameAddress.name ?? 'another node'} already`);
  }
  const ids = conf.nodelist.map((node) => node.nodeId ?? 0);
  const nodeId = request.nodeId ?? Math.max(0, ...ids) + 1;
  const valid = checkNodeId(nodeId);
  if (!valid.ok) return valid;
  return ids.includes(nodeId) ? err(`node id ${nodeId} is taken`) : ok(nodeId);
}

/**
 * Takes a node that never joined out of corosync.conf again. The vote it never cast may have cost the
 * cluster its quorum: then the expected votes are lowered first to what the others have.
 */
export async function undoAddNode(ports: NodePorts, nodeId: number, watcher: Watcher): Promise<void> {
  const procedure = new Procedure(
    [
      { id: 'check', title: `Check that node ${nodeId} never joined`, command: 'pvecm nodes' },
      { id: 'expected', title: 'Regain quorum without it, where it was lost', command: 'pvecm expected VOTES' },
      { id: 'write', title: 'Take the node out of corosync.conf', command: `pvecm undoadd ${nodeId}` },
      { id: 'reload', title: 'Wait until this node runs the new version', command: null },
    ],
    watcher,
  );
  try {
    await procedure.step('check', async () => {
      const member = (await runningStatus(ports)).members.find((node) => node.nodeId === nodeId);
      if (member?.local === true) throw new Error('a node cannot take itself out of the cluster');
      if (member?.state === 'member') {
        throw new Error(`${member.name ?? `node ${nodeId}`} has joined the ring: it is a member, not a leftover`);
      }
    });
    await procedure.step('expected', (say) => regainQuorum(ports, nodeId, watcher.signal, say));
    const version = await procedure.step('write', (say) => takeOut(ports, nodeId, say));
    await procedure.step('reload', async (say) => {
      if (version === null) return say('nothing to do');
      return waitForRunningVersion(ports, watcher.signal, version, say);
    });
    ports.log('notice', `node ${nodeId}, which never joined, was taken out of corosync.conf`);
  } catch (error) {
    procedure.end();
    ports.log('error', `taking node ${nodeId} out failed: ${sentence(error)}`);
    throw error;
  }
}

async function runningStatus(ports: Pick<NodePorts, 'engine' | 'clock'>): Promise<EngineStatus> {
  const status = await engineStatus(ports);
  if (status === null) throw new Error('this node belongs to no cluster');
  if (status.state.kind === 'down') throw new Error(`the cluster engine does not answer: ${status.state.reason}`);
  return status;
}

async function regainQuorum(ports: NodePorts, without: number, signal: AbortSignal, say: Say): Promise<void> {
  if ((await whyNotWritable(ports)) === null) return say('the cluster is quorate');
  const votes = (await runningStatus(ports)).members
    .filter((member) => member.nodeId !== without)
    .reduce((sum, member) => sum + member.votes, 0);
  await ports.engine.setExpectedVotes(votes);
  say(`expected votes set to ${votes}`);
  await waitFor(ports, signal, WRITABLE_DEADLINE_MS, 'the tree did not become writable', async () => {
    const reason = await whyNotWritable(ports);
    return reason === null ? { found: null } : { missing: reason };
  });
}

/** Resolves to the version that was written, or null when the node was not there. */
async function takeOut(ports: NodePorts, nodeId: number, say: Say): Promise<number | null> {
  const text = await writableConf(ports);
  if (!modelOf(text).nodelist.some((node) => node.nodeId === nodeId)) {
    say('it is not there');
    return null;
  }
  const edited = removeNode(text, nodeId);
  if (!edited.ok) throw new Error(edited.error);
  const raised = raiseConfigVersion(edited.value, modelOf(text).totem.configVersion ?? 0);
  await replaceTreeConf(ports, text, raised.text, say);
  return raised.version;
}

/** The tree's corosync.conf of a cluster that can be written to; rejects with the reason otherwise. */
export async function writableConf(ports: NodePorts): Promise<string> {
  const reason = await whyNotWritable(ports);
  if (reason !== null) throw new Error(`the cluster cannot be changed now: ${reason}`);
  const text = await readTreeConf(ports);
  if (text === null) throw new Error('there is no corosync.conf in the configuration tree');
  const trial = await lastTrial(ports);
  if (isOpen(trial)) throw new Error(inTheWay(trial));
  return text;
}

/** Throws when the text holds errors that the cluster's engine would stumble over. */
export function refuseErrors(ports: Pick<NodePorts, 'engine'>, text: string): void {
  const dialect = ports.engine.choice() === 'corosync' ? 'corosync3' : 'ringmaster';
  const errors = diagnose(text, { dialect }).filter((found) => found.severity === 'error');
  if (errors.length === 0) return;
  const lines = errors.slice(0, 5).map((found) => `line ${found.line}: ${found.message}`);
  const more = errors.length > 5 ? ` and ${errors.length - 5} more` : '';
  throw new Error(`corosync.conf has ${errors.length === 1 ? 'an error' : 'errors'}: ${lines.join('; ')}${more}`);
}
