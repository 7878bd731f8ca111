/** Everything that can be said against a file. */
import { parse } from './syntax.ts';
import { checkCorners } from './rules/corners.ts';
import { checkLines, checkNames, checkTrailing } from './rules/lines.ts';
import { checkNodes } from './rules/nodes.ts';
import { checkQuorum } from './rules/quorum.ts';
import type { Diagnostic, Dialect, Finding, Report } from './rules/report.ts';
import { checkTotem } from './rules/totem.ts';
import { checkRequired, checkValues } from './rules/values.ts';

const RULES = [
  checkLines,
  checkNames,
  checkTrailing,
  checkValues,
  checkRequired,
  checkNodes,
  checkTotem,
  checkQuorum,
  checkCorners,
];

/** All findings in order of their place. Never throws. */
export function diagnose(text: string, options: { readonly dialect?: Dialect } = {}): Diagnostic[] {
  const subject = { document: parse(text), dialect: options.dialect ?? 'corosync3' };
  const found: Diagnostic[] = [];
  const add =
    (severity: Diagnostic['severity']) =>
    ({ rule, at, message, why, fix = null }: Finding): void => {
      found.push({ rule, severity, ...at, message, why, fix });
    };
  const report: Report = { error: add('error'), warn: add('warning'), info: add('info') };
  for (const check of RULES) check(subject, report);
  return found.sort((a, b) => a.line - b.line || a.column - b.column);
}
