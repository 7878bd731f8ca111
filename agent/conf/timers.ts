/**
 * The timeouts that Corosync 3 really runs with (corosync.conf(5), cmap_keys(7): runtime.config.totem.*). Held
 * against 291 real starts of 3.1.7.
 */
import { cmapOf } from './cmap.ts';
import { entryAt, type ConfDocument } from './syntax.ts';
import { wholeNumber } from './model.ts';

/** All in milliseconds. */
export interface EffectiveTimers {
  readonly token: number;
  readonly retransmit: number;
  readonly hold: number;
  readonly consensus: number;
  readonly join: number;
}

const DEFAULT_TOKEN = 3000;
const DEFAULT_COEFFICIENT = 650;
const DEFAULT_RETRANSMITS = 4;
const DEFAULT_JOIN = 50;
/** What a product of more than 32 bits with a sign ends up as (measured). */
const LONGEST = 2 ** 31;
/** One tick of a kernel at 100 Hz: a hold is shorter by it. */
const TICK = 10;

export function effectiveTimers(document: ConfDocument): EffectiveTimers {
  const value = (name: string): number => wholeNumber(entryAt(document, 'totem', name)?.value ?? null) ?? 0;
  const coefficient =
    entryAt(document, 'totem', 'token_coefficient') === null ? DEFAULT_COEFFICIENT : value('token_coefficient');
  // Only nodes with an address on link 0 count (measured: removing link 0 takes the coefficient away).
  const placed = [...cmapOf(document).keys()].flatMap(
    (key) => /^nodelist\.node\.(\d+)\.ring0+_addr$/.exec(key)?.[1] ?? [],
  );
  const nodes = new Set(placed).size;
  const token = (value('token') || DEFAULT_TOKEN) + Math.max(0, nodes - 2) * coefficient;
  const retransmits = value('token_retransmits_before_loss_const') || DEFAULT_RETRANSMITS;
  const retransmit = value('token_retransmit') || Math.floor(token / (retransmits + 0.2));
  return {
    token,
    retransmit,
    hold: value('hold') || Math.floor(retransmit * 0.8 - TICK),
    consensus: value('consensus') || Math.min(Math.floor(token * 1.2), LONGEST),
    join: value('join') || DEFAULT_JOIN,
  };
}
