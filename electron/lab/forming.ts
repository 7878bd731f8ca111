/** Makes a cluster of machines that run: the agent on all of them over SSH, then create, join, wait. */
import type { AgentEvents, NodeReport } from '../../agent/rpc/api.ts';
import { bootstrapAgent } from '../host/agent/bootstrap.ts';
import { openAgent } from '../host/agent/client.ts';
import type { AgentClient } from '../host/agent/client.ts';
import { joinNode } from '../host/procedures/join.ts';
import { openConnection } from '../host/ssh/connection.ts';
import type { SshConnection } from '../host/ssh/connection.ts';
import type { LabNode, LabStatus } from './lab.ts';
import { pause } from './pause.ts';
import { whatIsMissing } from './readiness.ts';

export const CLUSTER_NAME = 'lab';

/** Uploads at a time: unpacking a runtime keeps a core busy. */
const UPLOADS_AT_ONCE = 2;
const CONNECT_MS = 10_000;
/** Corosync needs 2.7 s for three nodes from a cold start, 7.5 s for nine (measured), and joins are done by then. */
const READY_MS = 60_000;

export interface FormOptions {
  readonly status: () => LabStatus;
  /** Hosts that are left out of the cluster, unless they have been taken in since. */
  readonly freeHosts: readonly string[];
  /** Where a node's logs lie, as seen from this machine. */
  readonly logsOf: (name: string) => string;
  readonly bundleDirectory: string;
  readonly onProgress: (line: string) => void;
}

interface Reached {
  readonly node: LabNode;
  readonly connection: SshConnection;
  readonly agent: AgentClient;
}

/** Rejects with what is missing, on which node, and where its logs are. */
export async function form(options: FormOptions): Promise<void> {
  const { nodes } = options.status();
  const open: SshConnection[] = [];
  try {
    const reached = await inParallel(nodes, UPLOADS_AT_ONCE, (node) => reach(options, node, open));
    const byName = new Map(reached.map((one) => [one.node.name, one]));
    const need = (name: string): Reached => {
      const one = byName.get(name);
      if (one === undefined) throw new Error(`The node ${name} was not reached.`);
      return one;
    };
    const members = new Set(nodes.filter((node) => node.member).map((node) => node.name));
    const wanted = nodes.filter(({ name }) => !options.freeHosts.includes(name)).map(({ name }) => name);
    if (members.size === 0 && wanted[0] !== undefined) {
      await createOn(need(wanted[0]), options);
      members.add(wanted[0]);
    }
    for (const name of wanted) {
      if (members.has(name)) continue;
      await settle(options, reached, members);
      await join(options, need(name), [...members].map(need));
      members.add(name);
    }
    await settle(options, reached, members);
    for (const { agent } of reached) agent.close();
  } finally {
    for (const connection of open) connection.close();
  }
}

async function reach(options: FormOptions, node: LabNode, open: SshConnection[]): Promise<Reached> {
  const { user, identityFile, knownHostsFile } = options.status();
  const say = (text: string): void => options.onProgress(`${node.name}: ${text}`);
  const connected = await openConnection(
    { address: node.address, port: node.port, user, identityFile },
    // The lab is a world of its own: the user's SSH configuration and agent have no part in it.
    { knownHostsFiles: [knownHostsFile], timeoutMs: CONNECT_MS, userConfig: '', agent: null },
  );
  if (!connected.ok) {
    const why = 'reason' in connected.error ? connected.error.reason : connected.error.kind;
    throw new Error(`${node.name} cannot be reached by SSH: ${why}`);
  }
  const connection = connected.value;
  open.push(connection);
  let doing = '';
  const installed = await bootstrapAgent(connection, options.bundleDirectory, (now) => {
    if (now !== doing && now.startsWith('Uploading')) say(now.toLowerCase());
    doing = now;
  });
  if (!installed.ok) throw new Error(`${node.name}: ${installed.error} See ${options.logsOf(node.name)}.`);
  say(`agent ${installed.value.version} runs`);
  const agent = await openAgent(connection, stepsAloud(say));
  return { node, connection, agent };
}

/** The agent's own steps as lines; its reports are asked for. */
function stepsAloud(say: (text: string) => void): AgentEvents {
  return {
    report: () => undefined,
    event: () => undefined,
    treeChanged: () => undefined,
    step: (_operation, step) => {
      if (step.state === 'running' && step.output.length === 0) say(step.title.toLowerCase());
    },
  };
}

async function createOn({ node, agent }: Reached, options: FormOptions): Promise<void> {
  options.onProgress(`${node.name}: creating the cluster ${CLUSTER_NAME}`);
  const request = {
    clusterName: CLUSTER_NAME,
    engine: options.status().engine,
    ring0Addr: node.address,
    nodeId: null,
    votes: 1,
  };
  await withLogs(options, node.name, () => agent.createCluster(`lab-create-${process.pid}`, request));
}

async function join(options: FormOptions, newcomer: Reached, members: readonly Reached[]): Promise<void> {
  const [member, ...others] = members;
  if (member === undefined) throw new Error('There is no member to join.');
  const { name, address } = newcomer.node;
  options.onProgress(`${name}: joining the cluster`);
  await withLogs(options, name, () =>
    joinNode({
      member: member.agent,
      newcomer: newcomer.agent,
      name,
      ring0Addr: address,
      others: others.map(({ agent }) => agent),
      operation: `lab-join-${name}-${process.pid}`,
      onStep: () => undefined,
      signal: new AbortController().signal,
    }),
  );
}

async function withLogs<T>(options: FormOptions, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message} Its logs are in ${options.logsOf(name)}.`, { cause: error });
  }
}

/** Waits until every node is what it should be; rejects with all that is missing when that takes too long. */
async function settle(options: FormOptions, reached: readonly Reached[], members: ReadonlySet<string>): Promise<void> {
  const { kind, nodes } = options.status();
  const away = nodes.filter((node) => node.cut || node.state === 'stopped').map((node) => node.name);
  const look = async ({ node, agent }: Reached): Promise<string | null> => {
    let report: NodeReport;
    try {
      report = await agent.watch();
    } catch (error) {
      return `its agent does not answer: ${(error as Error).message}`;
    }
    const missing = whatIsMissing(report, { member: members.has(node.name), mount: kind === 'namespaces', away });
    if (missing === null || !away.includes(node.name)) return missing;
    return `${missing} (it is cut off: "npm run lab -- heal" mends the network)`;
  };
  for (const deadline = performance.now() + READY_MS; ;) {
    const found = await Promise.all(reached.map(async (one) => ({ name: one.node.name, missing: await look(one) })));
    const missing = found.filter((one) => one.missing !== null);
    if (missing.length === 0) return;
    if (performance.now() > deadline) {
      const lines = missing.map((one) => `  ${one.name}: ${one.missing}. Its logs are in ${options.logsOf(one.name)}.`);
      throw new Error(`The lab is up, but not ready after ${READY_MS / 1000} s:\n${lines.join('\n')}`);
    }
    await pause(150);
  }
}

/** Maps with at most `width` at work. The first failure is thrown when those that had begun are done. */
export async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
