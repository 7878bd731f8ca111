/** What a run came to, for a person. */
import type { Campaign } from './campaign.ts';
import { readsOfUnfinished } from './checkers/one-order.ts';
import { grouped } from './history.ts';
import { counts, judge, tooFew } from './judge.ts';

export interface Report {
  /** Nothing was violated, and enough was done for that to mean something. */
  readonly good: boolean;
  readonly lines: readonly string[];
}

export function report({ history, healedMs }: Campaign, minutes: number): Report {
  const verdicts = judge(history);
  const few = tooFew(history, minutes);
  const lines = ['', 'action          ok    fail    info   errors'];
  for (const { action, ok, fail, info, errors } of counts(history)) {
    const said = Object.entries(errors).map(([error, count]) => `${error} ${count}`);
    const numbers = [ok, fail, info].map((number) => String(number).padStart(7)).join(' ');
    lines.push(`${action.padEnd(11)} ${numbers}   ${said.join(', ')}`);
  }
  const faults = [...grouped(history.faults, ({ fault }) => fault)].map(([fault, list]) => `${fault} ${list.length}`);
  lines.push('', `faults: ${faults.join(', ')}`);
  lines.push(`healed ${(healedMs / 1000).toFixed(1)} s after the last of them`);
  lines.push(`${readsOfUnfinished(history.operations)} reads saw a write that was still under way`, '');
  for (const { name, violations } of verdicts) {
    lines.push(`${violations.length === 0 ? 'good' : 'BAD '}  ${name}`);
    for (const violation of violations) lines.push(`        ${violation}`);
  }
  for (const sentence of few) lines.push(`BAD   ${sentence}`);
  return { good: few.length === 0 && verdicts.every(({ violations }) => violations.length === 0), lines };
}
