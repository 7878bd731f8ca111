/** Invariant 4: one ring id, one set of members; and no node is ever in one ring twice, whatever it forgot. */
import type { NodeId } from '../../../agent/totem/ids.ts';
import { showRing, type Checker, type Report, type View } from './checker.ts';

export class Views implements Checker {
  readonly invariant = 'views';
  private readonly report: Report;
  private readonly membersOf = new Map<string, string>();
  private readonly ringsOf = new Map<NodeId, Set<string>>();

  constructor(report: Report) {
    this.report = report;
  }

  view(node: NodeId, { regular, ring, members }: View): void {
    const name = showRing(ring);
    const list = members.join(' ');
    if (!members.includes(node)) this.report(this.invariant, `node ${node} is not in its own view ${name} {${list}}`);
    if (!regular) return;
    const rings = this.ringsOf.get(node) ?? new Set();
    this.ringsOf.set(node, rings);
    if (rings.has(name)) this.report(this.invariant, `ring ${name} came twice to node ${node}`);
    rings.add(name);
    const known = this.membersOf.get(name);
    if (known === undefined) this.membersOf.set(name, list);
    else if (known !== list) {
      this.report(this.invariant, `ring ${name} has members {${known}} for some and {${list}} for node ${node}`);
    }
  }
}
