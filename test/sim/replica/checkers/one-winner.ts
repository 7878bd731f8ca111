/** Of those who want to make the same lock one wins. */
import type { Errno } from '../../../../agent/tree/types.ts';
import type { Asked, ReplicaChecker, ReplicaReport } from './checker.ts';

export class OneWinner implements ReplicaChecker {
  readonly invariant = 'one-winner';
  private readonly winners = new Map<string, number>();
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  answered({ kind, name, node }: Asked, errno: Errno | null): void {
    if (kind !== 'exclusive' || errno !== null) return;
    const other = this.winners.get(name);
    if (other !== undefined) this.report(this.invariant, `nodes ${other} and ${node} both have ${name}`);
    this.winners.set(name, node);
  }
}
