/** Nodes that are configured and not in our ring: how often they are answered, tried again, and told of. */
import type { NodeId } from './ids.ts';

/** Longest time, in token timeouts, for which a node that could not be brought in is not tried again. */
const LONGEST_WAIT = 8;
/** Milliseconds between two reports of one node that is kept out. */
const REPORT_INTERVAL = 30_000;

interface Tried {
  readonly until: number;
  readonly wait: number;
}

export class Strangers {
  private readonly tried = new Map<NodeId, Tried>();
  private readonly answered = new Map<NodeId, number>();
  private readonly reported = new Map<NodeId, { readonly at: number; readonly version: number }>();

  /**
   * Whether to break the ring for this node's sake. One that is heard but does not hear us (a cut in one direction)
   * makes itself known without end; each attempt costs everyone a new ring. So attempts that failed get rarer.
   */
  worthTrying(node: NodeId, now: number): boolean {
    return (this.tried.get(node)?.until ?? -Infinity) <= now;
  }
  /** A ring was formed without it, though it was asked. `token` is the token timeout in milliseconds. */
  failed(node: NodeId, now: number, token: number): void {
    const before = this.tried.get(node)?.wait ?? 0;
    const wait = Math.min(Math.max(1, before * 2), LONGEST_WAIT);
    this.tried.set(node, { wait, until: now + wait * token });
  }
  /** It is with us, or has become reachable: the next attempt is a first one. */
  welcome(node: NodeId): void {
    this.tried.delete(node);
  }

  /** At most one answer per `interval` milliseconds. */
  mayAnswer(node: NodeId, now: number, interval: number): boolean {
    if ((this.answered.get(node) ?? -Infinity) + interval > now) return false;
    this.answered.set(node, now);
    return true;
  }

  mayReport(node: NodeId, version: number, now: number): boolean {
    const last = this.reported.get(node);
    if (last !== undefined && last.version === version && last.at + REPORT_INTERVAL > now) return false;
    this.reported.set(node, { at: now, version });
    return true;
  }
}
