/** Findings of agent/conf as Monaco's markers. Pure. */
import type { Diagnostic } from '../../../agent/conf/index.ts';

export interface MonacoRange {
  readonly startLineNumber: number;
  readonly startColumn: number;
  readonly endLineNumber: number;
  readonly endColumn: number;
}

export const rangeOf = (range: {
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
}): MonacoRange => ({
  startLineNumber: range.line,
  startColumn: range.column,
  endLineNumber: range.endLine,
  endColumn: range.endColumn,
});

/** MarkerSeverity: Hint 1, Info 2, Warning 4, Error 8. */
const SEVERITY = { info: 2, warning: 4, error: 8 } as const;

export const markersOf = (found: readonly Diagnostic[]) =>
  found.map((one) => ({
    ...rangeOf(one),
    severity: SEVERITY[one.severity],
    message: `${one.message}\n${one.why}`,
    source: 'corosync.conf',
  }));
