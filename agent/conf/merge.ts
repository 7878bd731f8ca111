/**
 * Three-way merge by lines (diff3): what one side changed and the other left alone is taken from that side.
 * Where both changed the same lines differently there is a conflict, and nothing is decided for a person.
 * config_version is no conflict: it follows from the merge and is raised above both.
 */
import { err, ok, type Result } from '../result.ts';
import { setConfigVersion } from './edits.ts';
import { wholeNumber } from './model.ts';
import { entryAt, parse } from './syntax.ts';

export interface Conflict {
  /** 1-based line of the base where it begins. */
  readonly line: number;
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
}

/** `base` is what both began with. The merged text has a config_version above both sides'. */
export function mergeConf(base: string, ours: string, theirs: string): Result<string, readonly Conflict[]> {
  const versions = [base, ours, theirs].map(versionOf);
  const highest = Math.max(...versions.map((version) => version ?? 0));
  // The same number on all sides, so that raising it on both is no conflict.
  const same = (text: string, version: number | null): string[] =>
    (version === null ? text : setConfigVersion(text, highest)).split('\n');
  const [b, o, t] = [
    same(base, versions[0] ?? null),
    same(ours, versions[1] ?? null),
    same(theirs, versions[2] ?? null),
  ];
  const merged: string[] = [];
  const conflicts: Conflict[] = [];
  const [ofOurs, ofTheirs] = [matches(b, o), matches(b, t)];
  let [atB, atO, atT] = [0, 0, 0];
  for (;;) {
    // The next line of the base that both sides have kept.
    let next = atB;
    while (next < b.length && !(ofOurs.has(next) && ofTheirs.has(next))) next += 1;
    const [endO, endT] = [ofOurs.get(next) ?? o.length, ofTheirs.get(next) ?? t.length];
    const [was, mine, other] = [b.slice(atB, next), o.slice(atO, endO), t.slice(atT, endT)];
    if (equal(mine, other) || equal(was, other)) merged.push(...mine);
    else if (equal(was, mine)) merged.push(...other);
    else conflicts.push({ line: atB + 1, ours: mine, theirs: other });
    if (next >= b.length) break;
    merged.push(b[next] ?? '');
    [atB, atO, atT] = [next + 1, endO + 1, endT + 1];
  }
  if (conflicts.length > 0) return err(conflicts);
  const text = merged.join('\n');
  return ok(highest === 0 ? text : setConfigVersion(text, highest + 1));
}

const versionOf = (text: string): number | null =>
  wholeNumber(entryAt(parse(text), 'totem', 'config_version')?.value ?? null);

const equal = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((line, index) => line === b[index]);

/** Lines of `from` that are kept in `to`, in order: a longest common subsequence. Files have hundreds of lines. */
function matches(from: readonly string[], to: readonly string[]): Map<number, number> {
  const width = to.length + 1;
  const lengths = new Uint32Array((from.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = from.length - 1; i >= 0; i -= 1) {
    for (let j = to.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = from[i] === to[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found = new Map<number, number>();
  for (let i = 0, j = 0; i < from.length && j < to.length;) {
    if (from[i] === to[j]) found.set(i++, j++);
    else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return found;
}
