/** Each procedure of the desktop as an operation with live steps. */
import { hostname, userInfo } from 'node:os';
import type { Check, CreateRequest } from '../../../agent/rpc/api.ts';
import { detectAgent, whyUnsupported } from '../agent/bootstrap.ts';
import type { ApplyOrder } from '../api.ts';
import { readManifest } from '../agent/manifest.ts';
import type { AgentClient } from '../agent/client.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { HostLink } from '../fleet/host-link.ts';
import type { Operations, Running } from '../operations.ts';
import { emergencyConf } from './emergency-conf.ts';
import { joinChecks, joinNode } from './join.ts';
import { chooseRing0, newcomerFacts } from './newcomer.ts';

export interface Workshop {
  readonly fleet: Fleet;
  readonly operations: Operations;
  readonly bundleDirectory: string;
}

/** Who asks, for the record on the nodes: `root@laptop`. */
export const author = (): string => `${userInfo().username}@${hostname()}`;

export function installAgent({ fleet, operations }: Workshop, hostId: string): string {
  const link = fleet.link(hostId);
  const verb = link.agent.kind === 'running' ? 'Upgrade' : 'Install';
  return operations.start(
    { kind: 'install-agent', title: `${verb} the agent on ${link.host.name}`, cancellable: false, holds: [hostId] },
    (running) => installStep(running, link),
  );
}

export function uninstallAgent({ fleet, operations }: Workshop, hostId: string): string {
  const link = fleet.link(hostId);
  const clusterId = fleet.hosts().find(({ id }) => id === hostId)?.clusterId ?? null;
  if (clusterId !== null) {
    const name = fleet.cluster(clusterId).name;
    throw new Error(`${link.host.name} is a node of the cluster ${name}. Without its agent the cluster would lose it.`);
  }
  return operations.start(
    { kind: 'uninstall-agent', title: `Remove the agent from ${link.host.name}`, cancellable: false, holds: [hostId] },
    async ({ step }) => {
      const shown = {
        id: 'uninstall',
        title: 'Stop the agent and remove its files',
        command: 'ringmaster-agent uninstall',
        output: [],
        where: link.host.name,
      };
      step({ ...shown, state: 'running' });
      await link.uninstall();
      step({ ...shown, state: 'done' });
    },
  );
}

export function createCluster({ fleet, operations }: Workshop, hostId: string, request: CreateRequest): string {
  const link = fleet.link(hostId);
  if (link.ssh === null) throw new Error(`${link.host.name} is not connected.`);
  return operations.start(
    { kind: 'create', title: `Create the cluster ${request.clusterName}`, cancellable: true, holds: [hostId] },
    async (running) => {
      const agent = await agentOf(running, link);
      const cancel = (): void => void agent.cancel(running.id).catch(() => undefined);
      running.signal.addEventListener('abort', cancel);
      if (running.signal.aborted) throw new Error('Cancelled.');
      await agent.createCluster(running.id, request);
    },
  );
}

export function applyConf({ fleet, operations }: Workshop, clusterId: string, order: ApplyOrder): string {
  const { name } = fleet.cluster(clusterId);
  const member = memberOf(fleet, clusterId);
  return operations.start(
    { kind: 'apply-conf', title: `Apply corosync.conf to ${name}`, cancellable: true, holds: [clusterId] },
    async ({ id, signal }) => {
      const cancel = (): void => void member.cancel(id).catch(() => undefined);
      signal.addEventListener('abort', cancel);
      try {
        await member.applyConf(id, { ...order, author: author() });
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    },
  );
}

export function emergency({ fleet, operations }: Workshop, clusterId: string, text: string): string {
  const { name, members } = fleet.cluster(clusterId);
  const nodes = members.map((member) => ({
    name: member.name,
    client: member.hostId === null ? null : fleet.link(member.hostId).client,
  }));
  return operations.start(
    {
      kind: 'emergency-conf',
      title: `Put one corosync.conf on every node of ${name}`,
      cancellable: false,
      holds: [clusterId],
    },
    ({ id, step }) => emergencyConf({ nodes, text, author: author(), operation: id, onStep: step }),
  );
}

export async function preflightJoin(
  { fleet, bundleDirectory }: Workshop,
  clusterId: string,
  hostId: string,
): Promise<{ checks: Check[]; nodeId: number; ring0Addr: string }> {
  const cluster = fleet.cluster(clusterId);
  const member = memberOf(fleet, clusterId);
  const link = fleet.link(hostId);
  const memberReport = await member.watch();
  const facts = await newcomerFacts(link);
  const ring0Addr = chooseRing0(memberReport, facts, link.host.address);
  // As the agent chooses it when it is asked to add a node.
  const nodeId = Math.max(0, ...cluster.members.map((one) => one.nodeId)) + 1;
  const request = { name: facts.name, ring0Addr, nodeId: null, votes: 1 };
  if (link.client !== null) {
    const found = await joinChecks(member, link.client, memberReport, request);
    return { checks: distinct([...found.newcomer, ...found.member]), nodeId, ring0Addr };
  }
  const [agent, ofMember] = await Promise.all([agentCheck(link, bundleDirectory), member.preflightAdd(request)]);
  return { checks: distinct([agent, ...ofMember]), nodeId, ring0Addr };
}

export function join({ fleet, operations }: Workshop, clusterId: string, hostId: string): string {
  const cluster = fleet.cluster(clusterId);
  const link = fleet.link(hostId);
  const member = memberOf(fleet, clusterId);
  return operations.start(
    {
      kind: 'join',
      title: `Join ${link.host.name} to ${cluster.name}`,
      cancellable: true,
      holds: [clusterId, hostId],
    },
    async ({ id, signal, step }) => {
      const newcomer = await agentOf({ id, signal, step }, link);
      const facts = await newcomerFacts(link);
      const ring0Addr = chooseRing0(await member.watch(), facts, link.host.address);
      const others = fleet.reachableMembers(clusterId).flatMap(({ client }) => client ?? []);
      await joinNode({
        member,
        newcomer,
        name: facts.name,
        ring0Addr,
        others: others.filter((agent) => agent !== member && agent !== newcomer),
        operation: id,
        onStep: step,
        signal,
      });
    },
  );
}

/** The member that the cluster is changed through: quorate, where there is one. */
export function memberOf(fleet: Fleet, clusterId: string): AgentClient {
  const client = fleet.reachableMembers(clusterId)[0]?.client ?? null;
  if (client === null) throw new Error(`No member of ${fleet.cluster(clusterId).name} can be reached now.`);
  return client;
}

/** The host's agent, installed first where it is missing. */
async function agentOf(running: Pick<Running, 'id' | 'signal' | 'step'>, link: HostLink): Promise<AgentClient> {
  if (link.client === null) await installStep(running, link);
  if (link.client === null) throw new Error(`The agent on ${link.host.name} does not answer.`);
  return link.client;
}

async function installStep({ step }: Pick<Running, 'step'>, link: HostLink): Promise<void> {
  const shown = { id: 'install-agent', title: 'Install the agent', command: null, where: link.host.name };
  let percent = -1;
  step({ ...shown, state: 'running', output: [] });
  try {
    await link.install((doing, fraction) => {
      const now = Math.floor(fraction * 100);
      if (now === percent) return;
      percent = now;
      step({ ...shown, state: 'running', output: [`${doing}: ${now} %`] });
    });
    const version = link.agent.kind === 'running' ? link.agent.version : 'unknown';
    step({ ...shown, state: 'done', output: [`version ${version} runs`] });
  } catch (error) {
    step({ ...shown, state: 'failed', output: [(error as Error).message] });
    throw error;
  }
}

async function agentCheck(link: HostLink, bundleDirectory: string): Promise<Check> {
  const check = { id: 'agent', title: 'The agent can run there' };
  if (link.ssh === null) return { ...check, state: 'fail', detail: `${link.host.name} is not connected.` };
  try {
    const [found, manifest] = await Promise.all([detectAgent(link.ssh), readManifest(bundleDirectory)]);
    const problem = whyUnsupported(found, Object.keys(manifest.runtimes));
    if (problem !== null) return { ...check, state: 'fail', detail: problem };
    const detail = `${found.system} on ${found.machine}. It has no running agent yet: the join installs it first.`;
    return { ...check, state: 'pass', detail };
  } catch (error) {
    return { ...check, state: 'fail', detail: (error as Error).message };
  }
}

/** Both sides name their checks by themselves; on the screen each needs a name of its own. */
function distinct(checks: readonly Check[]): Check[] {
  const seen = new Map<string, number>();
  return checks.map((check) => {
    const count = (seen.get(check.id) ?? 0) + 1;
    seen.set(check.id, count);
    return count === 1 ? check : { ...check, id: `${check.id}-${count}` };
  });
}
