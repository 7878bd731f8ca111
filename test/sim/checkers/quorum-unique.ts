/** Invariant 5: at no instant are two disjoint components both quorate. */
import type { Checker, Report, Standing } from './checker.ts';

export class QuorumUnique implements Checker {
  readonly invariant = 'quorum-unique';
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  standing(changed: Standing, all: readonly Standing[]): void {
    if (!changed.quorate) return;
    for (const other of all) {
      if (!other.quorate || other.members === changed.members) continue;
      if (other.members.some((node) => changed.members.includes(node))) continue;
      const [ours, theirs] = [changed.members.join(' '), other.members.join(' ')];
      this.report(
        this.invariant,
        `nodes ${changed.node} in {${ours}} and ${other.node} in {${theirs}} are both quorate`,
      );
    }
  }
}
