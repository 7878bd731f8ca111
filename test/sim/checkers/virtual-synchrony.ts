/** Invariant 2: nodes that move together from one view to the next delivered the same in the first. */
import type { NodeId } from '../../../agent/totem/ids.ts';
import type { Message } from '../messages.ts';
import { showRing, type Checker, type Report, type View } from './checker.ts';

interface Stay {
  readonly ring: string;
  /** In the regular configuration, and all. */
  regular: number;
  transitional: string | null;
  readonly delivered: number[];
}

export class VirtualSynchrony implements Checker {
  readonly invariant = 'virtual-synchrony';
  private readonly report: Report;
  private readonly now = new Map<NodeId, Stay>();
  /** Per move from one ring to another: who made it first. */
  private readonly moves = new Map<string, { readonly node: NodeId; readonly stay: Stay }>();

  constructor(report: Report) {
    this.report = report;
  }

  started(node: NodeId): void {
    this.now.delete(node);
  }

  delivered(node: NodeId, _from: NodeId, message: Message): void {
    this.now.get(node)?.delivered.push(message.id);
  }

  view(node: NodeId, view: View): void {
    const stay = this.now.get(node);
    if (!view.regular) {
      if (stay === undefined) return;
      stay.transitional = view.members.join(' ');
      stay.regular = stay.delivered.length;
      return;
    }
    const ring = showRing(view.ring);
    this.now.set(node, { ring, regular: 0, transitional: null, delivered: [] });
    if (stay === undefined) return;
    const move = `from ring ${stay.ring} to ${ring}`;
    const first = this.moves.get(move);
    if (first === undefined) this.moves.set(move, { node, stay });
    else this.compare(`nodes ${first.node} and ${node} moved ${move}`, first.stay, stay);
  }

  private compare(who: string, a: Stay, b: Stay): void {
    const same = a.delivered.length === b.delivered.length && a.delivered.every((id, at) => id === b.delivered[at]);
    if (!same) {
      this.report(
        this.invariant,
        `${who} having delivered ${a.delivered.length} and ${b.delivered.length}, not the same`,
      );
    } else if (a.transitional !== b.transitional) {
      this.report(this.invariant, `${who} through transitional views {${a.transitional}} and {${b.transitional}}`);
    } else if (a.regular !== b.regular) {
      this.report(this.invariant, `${who} having delivered ${a.regular} and ${b.regular} before the transitional view`);
    }
  }
}
