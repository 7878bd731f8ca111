/**
 * What was asked of a node that has had no quorum since is not acknowledged. (When quorum is lost, what a majority has on
 * disk by then may still be: StoredByMajority.)
 */
import type { Errno } from '../../../../agent/tree/types.ts';
import type { Asked, ReplicaChecker, ReplicaReport } from './checker.ts';

export class QuorumOnly implements ReplicaChecker {
  readonly invariant = 'quorum-only';
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  answered({ name, node, sawQuorum }: Asked, errno: Errno | null): void {
    if (errno === null && !sawQuorum) this.report(this.invariant, `node ${node} acknowledges ${name} without quorum`);
  }
}
