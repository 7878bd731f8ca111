/** Waiting for a state with a deadline. A poll each tenth of a second costs nothing next to what is waited for. */
import type { EngineStatus } from '../engine/engine.ts';
import type { NodePorts } from './ports.ts';
import { throwIfCancelled } from './procedure.ts';

const POLL_MS = 100;

/** What a look found: the value that was waited for, or what is still missing, as the end of a sentence. */
export type Look<T> = { readonly found: T } | { readonly missing: string };

/**
 * Looks again and again until something is found. After `deadlineMs` it rejects with
 * `${what} did not happen within N s: ${what is still missing}`; it rejects at once when cancelled.
 */
export async function waitFor<T>(
  ports: Pick<NodePorts, 'clock'>,
  signal: AbortSignal,
  deadlineMs: number,
  what: string,
  look: () => Promise<Look<T>> | Look<T>,
): Promise<T> {
  const end = ports.clock.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if ('found' in seen) return seen.found;
    throwIfCancelled(signal);
    if (ports.clock.now() >= end) {
      throw new Error(`${what} within ${Math.round(deadlineMs / 1000)} s: ${seen.missing}`);
    }
    await ports.clock.sleep(POLL_MS, signal);
  }
}

/** Longer than an engine that runs ever takes to answer. */
const ANSWER_MS = 3_000;

/**
 * The engine's status. Where nobody has asked it before (a node that was just made a cluster of one) its
 * first answer is waited for.
 */
export async function engineStatus(ports: Pick<NodePorts, 'engine' | 'clock'>): Promise<EngineStatus | null> {
  const end = ports.clock.now() + ANSWER_MS;
  for (;;) {
    const status = ports.engine.status();
    if (status === null || status.state.kind !== 'down' || ports.clock.now() >= end) return status;
    await ports.clock.sleep(POLL_MS);
  }
}

/** Why this node cannot be written on just now, or null. */
export async function whyNotWritable(ports: Pick<NodePorts, 'engine' | 'tree' | 'clock'>): Promise<string | null> {
  const status = await engineStatus(ports);
  if (status === null) return 'this node belongs to no cluster';
  if (status.state.kind === 'down') return `the cluster engine does not answer (${status.state.reason})`;
  if (!status.quorum.quorate) {
    return `no quorum: ${status.quorum.totalVotes} of ${status.quorum.quorum} needed votes are present`;
  }
  const tree = await ports.tree.status();
  if (tree === null) return 'pmxcfs does not run';
  if (tree.mode === 'local') return 'pmxcfs runs in local mode';
  if (!tree.synced) return 'the configuration tree is not in sync yet';
  return tree.writability.kind === 'writable' ? null : tree.writability.reason;
}
