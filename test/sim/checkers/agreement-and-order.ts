/** Invariant 1: what two nodes deliver on one ring, they deliver in one order. */
import type { NodeId } from '../../../agent/totem/ids.ts';
import { showMessage, type Message } from '../messages.ts';
import { showRing, type Checker, type Report, type View } from './checker.ts';

interface Stay {
  readonly node: NodeId;
  readonly ring: string;
  readonly delivered: number[];
}

interface Course {
  /** The order as the first node delivered it that came so far. */
  readonly order: number[];
  readonly stays: Stay[];
}

export class AgreementAndOrder implements Checker {
  readonly invariant = 'agreement-and-order';
  private readonly report: Report;
  private readonly courses = new Map<string, Course>();
  private readonly now = new Map<NodeId, Stay>();

  constructor(report: Report) {
    this.report = report;
  }

  started(node: NodeId): void {
    this.now.delete(node);
  }

  view(node: NodeId, { regular, ring }: View): void {
    if (!regular) return;
    const stay: Stay = { node, ring: showRing(ring), delivered: [] };
    const course = this.courses.get(stay.ring) ?? { order: [], stays: [] };
    this.courses.set(stay.ring, course);
    course.stays.push(stay);
    this.now.set(node, stay);
  }

  delivered(node: NodeId, _from: NodeId, message: Message): void {
    const stay = this.now.get(node);
    const course = stay === undefined ? undefined : this.courses.get(stay.ring);
    if (stay === undefined || course === undefined) return;
    const at = stay.delivered.length;
    stay.delivered.push(message.id);
    if (at === course.order.length) course.order.push(message.id);
    // Past a gap, in a transitional configuration, nodes may deliver different messages: then each pair is compared.
    if (course.order[at] !== message.id) for (const other of course.stays) this.compare(stay, other, message);
  }

  private compare(stay: Stay, other: Stay, message: Message): void {
    if (other === stay) return;
    const place = other.delivered.indexOf(message.id);
    if (place < 0) return;
    const after = new Set(other.delivered.slice(place + 1));
    if (!stay.delivered.some((id) => after.has(id))) return;
    this.report(
      this.invariant,
      `on ring ${stay.ring} node ${stay.node} delivered ${showMessage(message)} after messages that node ${other.node} delivered after it`,
    );
  }
}
