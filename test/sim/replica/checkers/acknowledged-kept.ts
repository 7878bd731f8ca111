/** What was acknowledged is there in the end, on every node. */
import type { Asked, Look, ReplicaChecker, ReplicaReport } from './checker.ts';

export class AcknowledgedKept implements ReplicaChecker {
  readonly invariant = 'acknowledged-kept';
  private readonly acknowledged: Asked[] = [];
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  answered(asked: Asked, errno: string | null): void {
    if (errno === null) this.acknowledged.push(asked);
  }
  healed(all: readonly Look[]): void {
    for (const look of all)
      for (const { name, node } of this.acknowledged)
        if (look.find(name) === null)
          return this.report(this.invariant, `${name}, acknowledged on node ${node}, is not on node ${look.node}`);
  }
}
