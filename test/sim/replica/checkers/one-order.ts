/** An acknowledged write has one place in the history, no other has the same, and it keeps it. */
import { sameVersion, type Errno, type Version } from '../../../../agent/tree/types.ts';
import { showVersion, type Asked, type Look, type ReplicaChecker, type ReplicaReport } from './checker.ts';

export class OneOrder implements ReplicaChecker {
  readonly invariant = 'one-order';
  private readonly places = new Map<string, string>();
  private readonly versions = new Map<string, Version>();
  private readonly report: ReplicaReport;

  constructor(report: ReplicaReport) {
    this.report = report;
  }
  answered({ name }: Asked, errno: Errno | null, by: Look): void {
    if (errno !== null) return;
    const found = by.find(name);
    if (found === null) return;
    const place = showVersion(found.version);
    const other = this.places.get(place);
    if (other !== undefined) return this.report(this.invariant, `${other} and ${name} are both operation ${place}`);
    this.places.set(place, name);
    this.versions.set(name, found.version);
  }
  healed(all: readonly Look[]): void {
    for (const look of all)
      for (const [name, version] of this.versions) {
        const found = look.find(name);
        if (found === null || sameVersion(found.version, version)) continue;
        const places = `${showVersion(version)}, and ${showVersion(found.version)} on node ${look.node}`;
        return this.report(this.invariant, `${name} was acknowledged as operation ${places}`);
      }
  }
}
