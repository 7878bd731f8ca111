/** What a checker is: a pure function of the history that names what must not be. */
import type { History } from '../history.ts';

/** Sentences, one for each violation found; empty when the history is as it must be. */
export type Checker = (history: History) => string[];

/** The first few are enough to see what is wrong. */
export const first = (violations: readonly string[], most = 5): string[] =>
  violations.length <= most
    ? [...violations]
    : [...violations.slice(0, most), `and ${violations.length - most} more of this kind`];
