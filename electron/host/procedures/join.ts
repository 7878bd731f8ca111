/** Takes a host into a cluster: checks on both sides, then a member adds it, then it joins. */
import type { AddNodeRequest, Check, JoinTicket, NodeReport, Step } from '../../../agent/rpc/api.ts';
import type { AgentClient } from '../agent/client.ts';

/** A step with the name of the host it runs on. */
export type PlacedStep = Step & { readonly where: string };

export interface JoinOptions {
  /** A reachable member of the quorate cluster. */
  readonly member: AgentClient;
  readonly newcomer: AgentClient;
  /** The new node's name: its host name. */
  readonly name: string;
  readonly ring0Addr: string;
  /** Null lets the member choose the lowest free one. */
  readonly nodeId?: number | null | undefined;
  /** Every other reachable member, asked at the end whether it sees the new one. */
  readonly others?: readonly AgentClient[] | undefined;
  /** Names the operation on the agents, whose own steps arrive by AgentEvents.step. */
  readonly operation: string;
  /** Steps of the procedure itself: the checks before and the check after. */
  readonly onStep: (step: PlacedStep) => void;
  readonly signal: AbortSignal;
}

/** Ends the operation's name on the agents while a join is undone. */
export const UNDO = '.undo';

/** How long every member may take to see the new one, in milliseconds. */
const SEEN_WITHIN = 20_000;

/**
 * Rejects with a sentence when it fails or is cancelled; the member has then taken the node out of
 * corosync.conf again, or the sentence says that it could not.
 */
export async function joinNode(options: JoinOptions): Promise<{ nodeId: number }> {
  const { member, newcomer, operation, signal } = options;
  const memberReport = await member.watch();
  const request: AddNodeRequest = {
    name: options.name,
    ring0Addr: options.ring0Addr,
    nodeId: options.nodeId ?? null,
    votes: 1,
  };
  const cancel = (): void => {
    void member.cancel(operation).catch(() => undefined);
    void newcomer.cancel(operation).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel);
  try {
    await check(options, memberReport, request);
    stopWhenCancelled(signal);
    // Before the cluster counts on the new node's vote: to fetch packages takes its time.
    if (memberReport.engine?.engine === 'corosync') await newcomer.installCorosync(operation);
    stopWhenCancelled(signal);
    const ticket = await member.addNode(operation, request);
    try {
      stopWhenCancelled(signal);
      await newcomer.joinCluster(operation, ticket);
    } catch (error) {
      throw new Error(`${(error as Error).message} ${await undo(options, ticket)}`, { cause: error });
    }
    await verify(options, ticket.nodeId);
    return { nodeId: ticket.nodeId };
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** The checks of both sides, newcomer's first. */
export async function joinChecks(
  member: AgentClient,
  newcomer: AgentClient,
  memberReport: NodeReport,
  request: AddNodeRequest,
): Promise<{ newcomer: Check[]; member: Check[] }> {
  const engine = memberReport.engine;
  if (engine === null) throw new Error(`${memberReport.hostname} is not a member of a cluster.`);
  const memberAddresses = engine.members.flatMap((one) =>
    one.addresses.filter(({ link }) => link === 0).map(({ address }) => address),
  );
  const [ofNewcomer, ofMember] = await Promise.all([
    newcomer.preflightJoin({ clusterName: engine.clusterName, memberAddresses }),
    member.preflightAdd(request),
  ]);
  return { newcomer: ofNewcomer, member: ofMember };
}

async function check(options: JoinOptions, memberReport: NodeReport, request: AddNodeRequest): Promise<void> {
  const { name, onStep } = options;
  const begin: PlacedStep = {
    id: 'preflight',
    title: 'Check that nothing is in the way',
    command: null,
    state: 'running',
    output: [],
    where: name,
  };
  onStep(begin);
  try {
    const found = await joinChecks(options.member, options.newcomer, memberReport, request);
    const all = [...found.newcomer, ...found.member];
    const failed = all.filter(({ state }) => state === 'fail');
    const output = all.map(({ state, title, detail }) => `${state}: ${title}. ${detail}`);
    onStep({ ...begin, state: failed.length > 0 ? 'failed' : 'done', output });
    if (failed.length > 0) throw new ChecksFailed(failed.map(({ title, detail }) => `${title}: ${detail}`).join(' '));
  } catch (error) {
    if (!(error instanceof ChecksFailed)) {
      onStep({ ...begin, state: 'failed', output: [(error as Error).message] });
    }
    throw error;
  }
}

class ChecksFailed extends Error {
  override readonly name = 'ChecksFailed';
}

async function undo(options: JoinOptions, ticket: JoinTicket): Promise<string> {
  try {
    // The member used its step names once already: those of the way back go under a name of their own.
    await options.member.undoAddNode(`${options.operation}${UNDO}`, { nodeId: ticket.nodeId });
    return `${options.name} was taken out of corosync.conf again; the cluster is as it was.`;
  } catch (error) {
    return (
      `${options.name} (node ${ticket.nodeId}) is still in corosync.conf: taking it out failed too ` +
      `(${(error as Error).message}). Remove its node section there before trying again.`
    );
  }
}

/** Asks every reachable member, and the new one, whether it sees the new node in its ring. */
async function verify(options: JoinOptions, nodeId: number): Promise<void> {
  const begin: PlacedStep = {
    id: 'verify',
    title: `Check that every member sees ${options.name}`,
    command: 'pvecm nodes',
    state: 'running',
    output: [],
    where: options.member.greeting.hostname,
  };
  options.onStep(begin);
  const output: string[] = [];
  const missing: string[] = [];
  await Promise.all(
    [options.member, options.newcomer, ...(options.others ?? [])].map(async (agent) => {
      const name = agent.greeting.hostname;
      if (await seesMember(agent, nodeId)) {
        output.push(`${name} sees ${options.name}.`);
      } else {
        missing.push(name);
        output.push(`${name} does not see ${options.name}.`);
      }
      options.onStep({ ...begin, output: [...output] });
    }),
  );
  options.onStep({ ...begin, state: missing.length > 0 ? 'failed' : 'done', output });
  if (missing.length > 0) {
    throw new Error(
      `${options.name} has joined, but ${missing.join(', ')} does not see it. Check the network between them.`,
    );
  }
}

async function seesMember(agent: AgentClient, nodeId: number): Promise<boolean> {
  for (const deadline = Date.now() + SEEN_WITHIN; Date.now() < deadline;) {
    try {
      const { engine } = await agent.watch();
      if (engine?.members.some((one) => one.nodeId === nodeId && one.state === 'member') === true) return true;
    } catch {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return false;
}

function stopWhenCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new Error('Cancelled.');
}
