/** Invariant 6: once the network is whole, one ring of all forms within a bounded number of token timeouts. */
import type { NodeId } from '../../../agent/totem/ids.ts';
import { showRing, type Checker, type Report, type View } from './checker.ts';

export class Liveness implements Checker {
  readonly invariant = 'liveness';
  private readonly report: Report;
  private readonly views = new Map<NodeId, View>();

  constructor(report: Report) {
    this.report = report;
  }

  started(node: NodeId): void {
    this.views.delete(node);
  }

  view(node: NodeId, view: View): void {
    if (view.regular) this.views.set(node, view);
  }

  isHealed(running: readonly NodeId[]): boolean {
    const all = running.join(' ');
    return running.every((node) => this.views.get(node)?.members.join(' ') === all);
  }

  healed(running: readonly NodeId[]): void {
    const all = running.join(' ');
    for (const node of running) {
      const view = this.views.get(node);
      if (view?.members.join(' ') === all) continue;
      const where = view === undefined ? 'no view' : `view ${showRing(view.ring)} {${view.members.join(' ')}}`;
      this.report(this.invariant, `node ${node} is in no ring of all after the network healed: ${where}`);
    }
  }
}
