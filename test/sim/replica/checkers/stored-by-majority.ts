/** When a caller hears that it is done, more than half of the votes have it on disk. */
import type { Errno } from '../../../../agent/tree/types.ts';
import type { Asked, Look, ReplicaChecker, ReplicaReport } from './checker.ts';

export class StoredByMajority implements ReplicaChecker {
  readonly invariant = 'stored-by-majority';
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  answered({ name }: Asked, errno: Errno | null, { node }: Look, storedBy: number, votes: number): void {
    if (errno === null && storedBy * 2 <= votes)
      this.report(
        this.invariant,
        `${name} is acknowledged on node ${node} and on disks of ${storedBy} of ${votes} votes`,
      );
  }
}
