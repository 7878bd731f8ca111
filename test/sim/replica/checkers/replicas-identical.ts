/** Replicas of one view that have applied the same number of operations have the same state. */
import { showVersion, type Look, type ReplicaChecker, type ReplicaReport } from './checker.ts';

export class ReplicasIdentical implements ReplicaChecker {
  readonly invariant = 'replicas-identical';
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  looked(all: readonly Look[]): void {
    const seen = new Map<string, { readonly node: number; readonly digest: string }>();
    for (const look of all) {
      if (!look.synced || look.ring === null) continue;
      const place = `${look.ring} ${showVersion(look.version)}`;
      const digest = look.digest();
      const other = seen.get(place);
      if (other !== undefined && other.digest !== digest)
        return this.report(
          this.invariant,
          `nodes ${other.node} and ${look.node} differ at ${showVersion(look.version)}`,
        );
      seen.set(place, { node: look.node, digest });
    }
  }
  healed(all: readonly Look[]): void {
    this.looked(all);
    if (new Set(all.map(({ version }) => showVersion(version))).size > 1)
      this.report(this.invariant, `they rest at ${all.map(({ version }) => showVersion(version)).join(', ')}`);
  }
}
