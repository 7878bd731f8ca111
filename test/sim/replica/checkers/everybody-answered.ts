/** When the network is whole again, all nodes are in sync and nobody waits any more. */
import type { Look, ReplicaChecker, ReplicaReport } from './checker.ts';

export class EverybodyAnswered implements ReplicaChecker {
  readonly invariant = 'everybody-answered';
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  healed(all: readonly Look[]): void {
    for (const { node, synced, waiting } of all) {
      if (!synced) return this.report(this.invariant, `node ${node} is not in sync`);
      if (waiting > 0) return this.report(this.invariant, `${waiting} still wait on node ${node}`);
    }
  }
}
