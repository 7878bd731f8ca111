/** Everything that can be said against a file. */
import { parse } from './syntax.ts';
import { checkBraces } from './rules/braces.ts';
import { checkCorners, checkSections } from './rules/corners.ts';
import { checkEnvironment, type Environment } from './rules/environment.ts';
import { checkLines, checkNames, checkTrailing } from './rules/lines.ts';
import { checkNodes } from './rules/nodes.ts';
import { checkQuorum } from './rules/quorum.ts';
import type { Diagnostic, Dialect, Finding, Report } from './rules/report.ts';
import { checkTotem } from './rules/totem.ts';
import { checkRequired, checkValues } from './rules/values.ts';

/** Not among the checks of a reload (seen on running clusters): the file is taken, and the next start fails. */
const TIME_BOMBS = new Set([
  ...[
    'totem-version',
    'totem-missing',
    'link-number',
    'ttl-needs-udp',
    'nodeid-twice',
    'nodelist-missing',
    'local-missing',
  ],
  ...[
    'two-node-device',
    'device-excludes',
    'tie-breaker-odd',
    'device-votes',
    'device-majority',
    'priority',
    'state-dir',
  ],
]);

/** What can be said of a line and the section it stands in. */
const OF_LINES = [checkLines, checkBraces, checkNames, checkTrailing, checkValues, checkSections];
/** What needs all sections in their places. */
const OF_THE_WHOLE = [checkRequired, checkNodes, checkTotem, checkQuorum, checkCorners, checkEnvironment];

/** All findings in order of their place. Never throws. */
export function diagnose(
  text: string,
  options: { readonly dialect?: Dialect; readonly environment?: Environment } = {},
): Diagnostic[] {
  const { dialect = 'corosync3', environment = null } = options;
  const subject = { document: parse(text), dialect, environment };
  const found: Diagnostic[] = [];
  const add =
    (severity: Diagnostic['severity']) =>
    ({ rule, at, message, why, fix = null, timeBomb = TIME_BOMBS.has(rule) }: Finding): void => {
      found.push({ rule, severity, ...at, message, why, fix, timeBomb: timeBomb && severity === 'error' });
    };
  const report: Report = { error: add('error'), warn: add('warning'), info: add('info') };
  for (const check of OF_LINES) check(subject, report);
  if (found.some(({ rule }) => rule === 'missing-closing-brace')) {
    // What follows from sections that ended up in the wrong place is not worth reading before they are closed.
    return inOrder(found.filter(({ rule }) => !FOLLOWS_FROM_BRACES.has(rule)));
  }
  for (const check of OF_THE_WHOLE) check(subject, report);
  return inOrder(found);
}

const FOLLOWS_FROM_BRACES = new Set(['unknown-section', 'unknown-key', 'repeated-key']);

function inOrder(found: Diagnostic[]): Diagnostic[] {
  return found.sort((a, b) => a.line - b.line || a.column - b.column);
}
