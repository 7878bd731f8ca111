/**
 * Safe delivery: a safe message that one node delivers in a regular configuration is delivered on that ring by every
 * member of it that does not stop.
 */
import type { NodeId } from '../../../agent/totem/ids.ts';
import { showMessage, type Message } from '../messages.ts';
import { showRing, type Checker, type Report, type View } from './checker.ts';

interface Stay {
  readonly ring: string;
  transitional: boolean;
  readonly delivered: Set<number>;
}

interface Given {
  readonly by: NodeId;
  readonly message: Message;
}

export class SafeDelivery implements Checker {
  readonly invariant = 'safe-delivery';
  private readonly report: Report;
  private readonly now = new Map<NodeId, Stay>();
  private readonly membersOf = new Map<string, readonly NodeId[]>();
  private readonly promises = new Map<string, Map<number, Given>>();
  /** What those who have left a ring had delivered on it. */
  private readonly closed = new Map<string, Map<NodeId, Set<number>>>();
  /** Nodes that stopped since the ring was formed owe it nothing. */
  private readonly excused = new Map<string, Set<NodeId>>();

  constructor(report: Report) {
    this.report = report;
  }

  started(node: NodeId): void {
    this.excuse(node);
  }
  stopped(node: NodeId): void {
    this.excuse(node);
  }

  view(node: NodeId, { regular, ring, members }: View): void {
    const stay = this.now.get(node);
    if (!regular) {
      if (stay !== undefined) stay.transitional = true;
      return;
    }
    if (stay !== undefined) this.close(node, stay);
    const name = showRing(ring);
    if (!this.membersOf.has(name)) {
      this.membersOf.set(name, members);
      this.promises.set(name, new Map());
      this.closed.set(name, new Map());
      this.excused.set(name, new Set());
    }
    this.now.set(node, { ring: name, transitional: false, delivered: new Set() });
  }

  delivered(node: NodeId, _from: NodeId, message: Message): void {
    const stay = this.now.get(node);
    if (stay === undefined || !message.safe) return;
    stay.delivered.add(message.id);
    const promises = this.promises.get(stay.ring);
    if (stay.transitional || promises === undefined || promises.has(message.id)) return;
    promises.set(message.id, { by: node, message });
    for (const member of this.membersOf.get(stay.ring) ?? []) {
      if (this.now.get(member)?.ring === stay.ring || this.isExcused(stay.ring, member)) continue;
      if (this.closed.get(stay.ring)?.get(member)?.has(message.id) === true) continue;
      this.report(
        this.invariant,
        `node ${node} delivered safe ${showMessage(message)} on ring ${stay.ring}; node ${member} is not in it, or left it without`,
      );
    }
  }

  private close(node: NodeId, stay: Stay): void {
    this.closed.get(stay.ring)?.set(node, stay.delivered);
    for (const { by, message } of this.promises.get(stay.ring)?.values() ?? []) {
      if (stay.delivered.has(message.id)) continue;
      this.report(
        this.invariant,
        `node ${by} delivered safe ${showMessage(message)} on ring ${stay.ring}, node ${node} left that ring without it`,
      );
    }
  }

  private excuse(node: NodeId): void {
    this.now.delete(node);
    for (const [ring, members] of this.membersOf) if (members.includes(node)) this.excused.get(ring)?.add(node);
  }
  private isExcused(ring: string, node: NodeId): boolean {
    return this.excused.get(ring)?.has(node) === true;
  }
}
