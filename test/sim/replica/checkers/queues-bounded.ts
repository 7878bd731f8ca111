/** Nothing piles up: what waits for the disk, for the ring, or for an answer. */
import type { Look, ReplicaChecker, ReplicaReport } from './checker.ts';

const MOST = 2_000;

export class QueuesBounded implements ReplicaChecker {
  readonly invariant = 'queues-bounded';
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  looked(all: readonly Look[]): void {
    for (const { node, unsent, unstored, waiting } of all)
      if (Math.max(unsent, unstored, waiting) > MOST)
        this.report(this.invariant, `node ${node}: ${unstored} unstored, ${unsent} unsent, ${waiting} unanswered`);
  }
}
