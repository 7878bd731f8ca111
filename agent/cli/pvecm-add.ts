/** `pvecm add`: this node asks a member through the system's ssh for a ticket and joins with it. */
import { spawn } from 'node:child_process';
import { addressOfHostname, refuseMembers } from '../cluster/create.ts';
import { joinCluster } from '../cluster/join.ts';
import type { NodePorts } from '../cluster/ports.ts';
import { preflightJoin } from '../cluster/preflight.ts';
import { sentence } from '../cluster/procedure.ts';
import type { Watcher } from '../cluster/procedure.ts';
import type { EngineKind } from '../engine/engine.ts';
import type { JoinTicket } from '../rpc/api.ts';
import { installProcedure } from '../cluster/install/install.ts';

export interface AddThisNode {
  /** Address of a member, or USER@ADDRESS. */
  readonly member: string;
  readonly ring0Addr: string | null;
  readonly nodeId: number | null;
  readonly votes: number;
  /** The engine that the cluster is known to use; null: what the member says. */
  readonly engine: EngineKind | null;
  readonly sshPort: number | null;
  readonly sshOptions: readonly string[];
}

/** Joins. Rejects with a sentence for a person; the member has then taken this node out again. */
export async function addThisNode(ports: NodePorts, request: AddThisNode, watcher: Watcher): Promise<void> {
  refuseMembers(ports);
  const ring0Addr = request.ring0Addr ?? (await ownAddress(ports, request.member));
  const failed = (await preflightJoin(ports, { clusterName: '', memberAddresses: [], ring0Addr })).filter(
    (check) => check.state === 'fail' && check.id !== 'route',
  );
  if (failed.length > 0) throw new Error(failed.map((check) => `${check.title}: ${check.detail}`).join('\n'));
  // Before the cluster counts on this node's vote: to fetch packages takes its time.
  if (request.engine === 'corosync') await installProcedure(ports, watcher);
  const nodeId = request.nodeId === null ? [] : ['--nodeid', String(request.nodeId)];
  const words = ['addnode', ports.hostname, '--ring0_addr', ring0Addr, '--votes', String(request.votes), ...nodeId];
  const ticket = parseTicket(await pvecmOn(request, [...words, '--json']));
  try {
    if (request.engine !== null && ticket.engine !== request.engine) {
      throw new Error(
        `the cluster ${ticket.clusterName} runs on the engine ${ticket.engine}, not on ${request.engine}.`,
      );
    }
    await joinCluster(ports, ticket, watcher);
  } catch (error) {
    const undone = await pvecmOn(request, ['undoadd', String(ticket.nodeId)]).then(
      () => `${request.member} has taken this node out of corosync.conf again.`,
      (reason: unknown) =>
        `It is still in the cluster's corosync.conf (${sentence(reason)}). On a member run: pvecm undoadd ${ticket.nodeId}`,
    );
    throw new Error(`${sentence(error)} ${undone}`, { cause: error });
  }
}

/** What the host name stands for; on a host where that is loopback, the address that faces the member. */
async function ownAddress(ports: NodePorts, member: string): Promise<string> {
  try {
    return await addressOfHostname(ports);
  } catch (error) {
    const [address] = await ports.network.resolve(member.replace(/^.*@/, ''));
    const source = address === undefined ? null : await ports.network.sourceFor(address);
    if (source === null) throw error;
    return source;
  }
}

/** The words are ours or checked names and addresses, but the other side's shell reads them: each is quoted. */
const quoted = (word: string): string => (/^[\w.:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/**
 * Runs pvecm on the member. ssh asks for host key and password at the terminal itself, and what pvecm says
 * there on standard error is seen here. Resolves to its standard output.
 */
function pvecmOn(request: AddThisNode, words: readonly string[]): Promise<string> {
  const target = request.member.includes('@') ? request.member : `root@${request.member}`;
  const args = [
    ...(request.sshPort === null ? [] : ['-p', String(request.sshPort)]),
    ...request.sshOptions.flatMap((option) => ['-o', option]),
    '--',
    target,
    ['pvecm', ...words].map(quoted).join(' '),
  ];
  return new Promise((resolve, reject) => {
    const ssh = spawn('ssh', args, { stdio: ['inherit', 'pipe', 'inherit'] });
    let output = '';
    ssh.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    ssh.once('error', (error) => reject(new Error(`ssh could not be started: ${error.message}`)));
    ssh.once('close', (code) => {
      if (code === 0) resolve(output);
      else if (code === 255) reject(new Error(`${target} could not be reached by ssh`));
      else reject(new Error(`pvecm on ${target} refused (exit code ${code ?? 'unknown'}); its words are above`));
    });
  });
}

/** A login shell may print before the ticket: the last line is it. */
export function parseTicket(output: string): JoinTicket {
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  let ticket: unknown;
  try {
    ticket = JSON.parse(last);
  } catch {
    throw new Error(`the member answered something that is no ticket: ${last.slice(0, 80)}`);
  }
  if (!isTicket(ticket)) throw new Error('the member answered something that is no ticket');
  return ticket;
}

function isTicket(value: unknown): value is JoinTicket {
  if (typeof value !== 'object' || value === null) return false;
  const ticket = value as Partial<Record<keyof JoinTicket, unknown>>;
  return (
    typeof ticket.clusterName === 'string' &&
    (ticket.engine === 'totem' || ticket.engine === 'corosync') &&
    typeof ticket.nodeId === 'number' &&
    typeof ticket.conf === 'string' &&
    (ticket.authkey === null || typeof ticket.authkey === 'string')
  );
}
