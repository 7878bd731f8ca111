/**
 * Whole-file writes and settled reads of one file are linearizable. Values are unique, so that each read names its
 * write, and the question is decided exactly (Gibbons and Korach, "Testing Shared Memories", 1997): a write with its
 * reads is a cluster. From the earliest end to the latest beginning in it is its zone: forward when the end comes
 * first, when the value was certainly the file's all through the zone, otherwise backward. A history of whole clusters
 * is linearizable if and only if no read ends before its write begins, no two forward zones overlap, and no backward
 * zone lies within a forward one.
 *
 * Fresh reads promise less (README.md): at least as new as every write that was acknowledged before the read began.
 */
import { grouped, only, told, type History, type Of } from '../history.ts';
import type { Checker } from './checker.ts';

export const FIRST_VALUE = 'first';

interface Cluster {
  readonly value: string;
  readonly write: Of<'write'> | null;
  readonly reads: Of<'read'>[];
}
interface Zone {
  readonly from: number;
  readonly to: number;
  readonly forward: boolean;
  readonly cluster: Cluster;
}

export const valueRead = ({ type, outcome }: Of<'read'>): string | null =>
  type === 'ok' && outcome !== null && 'read' in outcome && outcome.read?.kind === 'whole' ? outcome.read.id : null;

export const registersLinearizable: Checker = (history) => {
  const byKey = grouped(only(history.operations, 'write', 'read'), ({ action }) => action.key);
  return [...byKey].flatMap(([key, operations]) => {
    const writes = only(operations, 'write');
    const reads = only(operations, 'read').filter((read) => read.action.mode !== 'local');
    return [...oneFile(key, writes, reads, history), ...freshEnough(key, writes, reads)];
  });
};

function oneFile(
  key: string,
  writes: readonly Of<'write'>[],
  reads: readonly Of<'read'>[],
  history: History,
): string[] {
  const violations: string[] = [];
  const clusters = new Map<string, Cluster>([[FIRST_VALUE, { value: FIRST_VALUE, write: null, reads: [] }]]);
  for (const write of writes) clusters.set(write.action.value, { value: write.action.value, write, reads: [] });
  for (const read of [...reads.filter(({ action }) => action.mode === 'settled'), ...lastReads(key, history)]) {
    const value = valueRead(read);
    if (value === null) continue;
    const cluster = clusters.get(value);
    if (cluster === undefined) violations.push(`a value nobody wrote: ${told(read)}`);
    else cluster.reads.push(read);
  }
  const zones: Zone[] = [];
  for (const cluster of clusters.values()) {
    const { write, reads: seen } = cluster;
    if (write !== null && write.type === 'fail' && seen.length > 0)
      violations.push(`a write that failed was seen: ${told(write)}, by ${told(first(seen))}`);
    // A write nobody saw, of which nobody knows whether it was done, may as well not have been.
    if (write !== null && write.type !== 'ok' && seen.length === 0) continue;
    const early = seen.find((read) => write !== null && read.ended < write.begun);
    if (early !== undefined) violations.push(`a value was read before it was written: ${told(early)}`);
    const ends = Math.min(write?.ended ?? -Infinity, ...seen.map(({ ended }) => ended));
    const begins = Math.max(write?.begun ?? -Infinity, ...seen.map(({ begun }) => begun));
    // What is there from the first has a zone that begins before everything.
    zones.push({ from: Math.min(ends, begins), to: Math.max(ends, begins), forward: ends < begins, cluster });
  }
  return [...violations, ...overlaps(key, zones)];
}

function overlaps(key: string, zones: readonly Zone[]): string[] {
  const violations: string[] = [];
  const forward = zones.filter((zone) => zone.forward).sort((left, right) => left.from - right.from);
  for (const [at, zone] of forward.entries()) {
    const next = forward[at + 1];
    if (next !== undefined && next.from < zone.to)
      violations.push(`${key} cannot have been ${say(zone)} and ${say(next)} in one order`);
  }
  for (const zone of zones) {
    if (zone.forward) continue;
    const around = forward.find(({ from, to }) => from < zone.from && zone.to < to);
    if (around !== undefined) violations.push(`${key} was ${say(around)} all the while, and yet ${say(zone)}`);
  }
  return violations;
}

/** A fresh read sees nothing that was overwritten, for certain, before it began. */
function freshEnough(key: string, writes: readonly Of<'write'>[], reads: readonly Of<'read'>[]): string[] {
  const acknowledged = writes.filter(({ type }) => type === 'ok').sort((left, right) => left.ended - right.ended);
  const byValue = new Map(writes.map((write) => [write.action.value, write]));
  /** For each acknowledged write, the latest beginning up to it: what ended before that is overwritten. */
  let latest = -Infinity;
  const latestBegun = acknowledged.map(({ begun }) => (latest = Math.max(latest, begun)));
  return reads.flatMap((read) => {
    const value = valueRead(read);
    if (value === null) return [];
    const ended = value === FIRST_VALUE ? -Infinity : (byValue.get(value)?.ended ?? Infinity);
    let count = 0;
    for (let high = acknowledged.length; count < high;) {
      const middle = (count + high) >> 1;
      if ((acknowledged[middle]?.ended ?? Infinity) < read.begun) count = middle + 1;
      else high = middle;
    }
    const newer = latestBegun[count - 1] ?? -Infinity;
    return ended < newer
      ? [`${key}: a ${read.action.mode} read gave what was overwritten before it: ${told(read)}`]
      : [];
  });
}

/** What the nodes have at the end, as reads after everything else. */
function lastReads(key: string, { operations, finals }: History): Of<'read'>[] {
  const time =
    operations.reduce((last, { begun, ended }) => Math.max(last, begun, ended === Infinity ? begun : ended), 0) + 1;
  return finals.map(({ node, registers }) => ({
    ...{ process: `${node}.final`, node, action: { f: 'read', key, mode: 'settled' }, begun: time, ended: time },
    ...{ type: 'ok', error: '', outcome: { read: registers[key] ?? null }, mount: 0 },
  }));
}

function first(reads: readonly Of<'read'>[]): Of<'read'> {
  const [read] = reads;
  if (read === undefined) throw new Error('there is no read');
  return read;
}

const say = ({ from, to, cluster: { value, reads } }: Zone): string =>
  `${value} from ${from.toFixed(1)} to ${to.toFixed(1)} (${reads.length} reads)`;
