/** All checkers on one history. */
import { appendsInOrder } from './checkers/appends.ts';
import { first, type Checker } from './checkers/checker.ts';
import { oneCreator } from './checkers/exclusive.ts';
import { guestsAtOnePlace } from './checkers/guests.ts';
import { oneHolder } from './checkers/locks.ts';
import { minorityNeverAcknowledges } from './checkers/minority.ts';
import { oneOrder } from './checkers/one-order.ts';
import { presentAtEnd } from './checkers/present-at-end.ts';
import { registersLinearizable } from './checkers/register-linearizable.ts';
import { neverTorn } from './checkers/torn.ts';
import { grouped, type Action, type History } from './history.ts';

export const CHECKERS = {
  'acknowledged writes are present at the end': presentAtEnd,
  'no reader sees a torn value': neverTorn,
  'each file has one order': oneOrder,
  'settled reads are linearizable, fresh reads are fresh': registersLinearizable,
  'appends are kept, in one order': appendsInOrder,
  'an exclusive create has one winner': oneCreator,
  'a lock has one holder': oneHolder,
  'a guest is at one place': guestsAtOnePlace,
  'a minority acknowledges nothing': minorityNeverAcknowledges,
} as const satisfies Readonly<Record<string, Checker>>;

export interface Verdict {
  readonly name: string;
  /** The first few. */
  readonly violations: readonly string[];
}

export const judge = (history: History): Verdict[] =>
  Object.entries(CHECKERS).map(([name, check]) => ({ name, violations: first(check(history)) }));

export interface Count {
  readonly action: Action['f'];
  readonly ok: number;
  readonly fail: number;
  readonly info: number;
  /** How often each errno came. */
  readonly errors: Readonly<Record<string, number>>;
}

export function counts({ operations }: Pick<History, 'operations'>): Count[] {
  return [...grouped(operations, ({ action }) => action.f)].map(([f, list]) => {
    const of = (type: string): number => list.filter((each) => each.type === type).length;
    const errors: Record<string, number> = {};
    for (const { error } of list) if (error !== '') errors[error] = (errors[error] ?? 0) + 1;
    return { action: f as Action['f'], ok: of('ok'), fail: of('fail'), info: of('info'), errors };
  });
}

/** A run in which nothing succeeded shows nothing. By action, the fewest that must have been done in a minute. */
const LEAST_A_MINUTE: Readonly<Record<Action['f'], number>> = {
  write: 60,
  read: 200,
  append: 30,
  readRecords: 60,
  create: 10,
  lock: 15,
  unlock: 15,
  move: 10,
  clone: 0,
  locate: 30,
};

export function tooFew(history: Pick<History, 'operations'>, minutes: number): string[] {
  const found = new Map(counts(history).map((count) => [count.action, count.ok]));
  return Object.entries(LEAST_A_MINUTE).flatMap(([action, least]) => {
    const ok = found.get(action as Action['f']) ?? 0;
    return ok >= least * minutes ? [] : [`${action}: ${ok} were done; less than ${least * minutes} show little`];
  });
}
