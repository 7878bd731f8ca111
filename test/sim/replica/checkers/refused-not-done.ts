/** What was answered EACCES was not done, and is not done later. */
import type { Asked, Look, ReplicaChecker, ReplicaReport } from './checker.ts';

export class RefusedNotDone implements ReplicaChecker {
  readonly invariant = 'refused-not-done';
  private readonly refused: Asked[] = [];
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  answered(asked: Asked, errno: string | null): void {
    if (errno === 'EACCES' && asked.kind === 'file') this.refused.push(asked);
  }
  healed(all: readonly Look[]): void {
    for (const look of all)
      for (const { name, node } of this.refused)
        if (look.find(name) !== null)
          return this.report(this.invariant, `${name}, refused on node ${node}, is on node ${look.node}`);
  }
}
