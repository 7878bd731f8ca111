/** What a rule says about a file. */
import type { TextEdit } from '../edits.ts';
import type { ConfDocument, Range } from '../syntax.ts';
import type { Environment } from './environment.ts';

/** Which program is to read the file: Corosync 3, Corosync 2 and older, or the bundled engine. */
export type Dialect = 'corosync3' | 'corosync2' | 'ringmaster';

export interface Fix {
  /** What it does, as a button says it. */
  readonly title: string;
  readonly edits: readonly TextEdit[];
}

/** `error`: the file would be refused, at once or at the next start. `warning`: accepted, and not what is meant. */
export interface Diagnostic extends Range {
  /** Stable name of the rule. */
  readonly rule: string;
  readonly severity: 'error' | 'warning' | 'info';
  /** What is wrong. */
  readonly message: string;
  /** What comes of it. */
  readonly why: string;
  readonly fix: Fix | null;
  /** An error that a running Corosync does not look at: a reload takes the file, the next start fails. */
  readonly timeBomb: boolean;
}

export interface Finding {
  readonly rule: string;
  readonly at: Range;
  readonly message: string;
  readonly why: string;
  readonly fix?: Fix | null;
  readonly timeBomb?: boolean;
}

export interface Report {
  error(finding: Finding): void;
  warn(finding: Finding): void;
  info(finding: Finding): void;
}

export interface Subject {
  readonly document: ConfDocument;
  readonly dialect: Dialect;
  /** The machine that is to read the file; null when none is meant. */
  readonly environment: Environment | null;
}

/** A fix that puts other text in place of a range. */
export const replacing = (title: string, at: Range, text: string): Fix => ({ title, edits: [{ ...at, text }] });

/** A fix that removes whole lines, `first` to `last`. */
export const removingLines = (title: string, first: number, last: number): Fix => ({
  title,
  edits: [{ line: first, column: 1, endLine: last + 1, endColumn: 1, text: '' }],
});

/** The nearest of `words` within two or three letters of `word`, or null. */
export function nearest(word: string, words: readonly string[]): string | null {
  const limit = word.length > 7 ? 3 : word.length > 3 ? 2 : 1;
  let best: string | null = null;
  let distance = limit + 1;
  for (const candidate of words) {
    const away = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (away < distance) [best, distance] = [candidate, away];
  }
  return best;
}

/** Letters to insert, remove or replace. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
