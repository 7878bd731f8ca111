/**
 * A guest is at one place. Its moves are compare-and-set on that place, and with the settled reads of .vmlist they are
 * linearizable: searched as Wing and Gong do, with Lowe's memory of what was tried (a guest's history is short).
 */
import { grouped, only, told, type History, type Of, type Operation, type Place } from '../history.ts';
import type { Checker } from './checker.ts';

export const guestsAtOnePlace: Checker = (history) => [
  ...clones(history.operations),
  ...listings(history.operations),
  ...ends(history),
  ...moves(history),
];

const clones = (operations: readonly Operation[]): string[] =>
  only(operations, 'clone')
    .filter(({ type }) => type === 'ok')
    .map((clone) => `a guest has two files: ${told(clone)}`);

function listings(operations: readonly Operation[]): string[] {
  let known = 0;
  return only(operations, 'locate').flatMap((read) => {
    const { outcome, type } = read;
    if (type !== 'ok' || outcome === null || !('places' in outcome)) return [];
    const lists = Object.entries(outcome.places);
    const twice = lists.find(([, places]) => places.length !== 1);
    if (twice !== undefined) return [`.vmlist has guest ${twice[0]} at ${twice[1].join(' and ')}: ${told(read)}`];
    if (lists.length < known) return [`.vmlist has ${lists.length} guests of ${known}: ${told(read)}`];
    known = lists.length;
    return [];
  });
}

const ends = ({ finals, operations }: History): string[] => {
  const guests = new Set(only(operations, 'move').map(({ action }) => action.key));
  return finals.flatMap(({ node, guests: places }) =>
    [...guests].flatMap((key) => {
      const found = places[key] ?? [];
      return found.length === 1
        ? []
        : [`at the end ${node} has guest ${key} at ${found.length} places: ${found.join(', ')}`];
    }),
  );
};

interface Step {
  readonly begun: number;
  readonly ended: number;
  /** Null: it cannot come now. */
  readonly apply: (place: Place) => Place | null;
  readonly operation: Operation;
}

/** A listing so long after the last move says what the end says. Milliseconds. */
const AFTER_MS = 20_000;

function moves({ operations, finals, placed }: History): string[] {
  const byGuest = grouped(only(operations, 'move'), ({ action }) => action.key);
  const reads = only(operations, 'locate').filter(({ action, type }) => action.mode === 'settled' && type === 'ok');
  return [...byGuest].flatMap(([key, list]) => {
    const done = list.filter(({ type }) => type !== 'fail');
    const [from, to] = [done[0]?.begun ?? 0, (done.at(-1)?.begun ?? 0) + AFTER_MS];
    const steps = [
      ...done.map(stepOfMove),
      ...reads.filter(({ begun, ended }) => from <= ended && begun <= to).flatMap((read) => stepOfRead(read, key)),
    ].sort((left, right) => left.begun - right.begun);
    const [start, end] = [placed[key], finals[0]?.guests[key]?.[0] ?? null];
    if (start !== undefined && linearizable(steps, start, end)) return [];
    return [
      `guest ${key}, first at ${start} and at last at ${end}, cannot have moved so: ${done.map(told).join('; ')}`,
    ];
  });
}

const stepOfMove = (move: Of<'move'>): Step => ({
  ...{ begun: move.begun, ended: move.ended, operation: move },
  apply: (place) => (place === move.action.from ? move.action.to : null),
});

function stepOfRead(read: Of<'locate'>, key: string): Step[] {
  const { outcome } = read;
  const seen = outcome !== null && 'places' in outcome ? outcome.places[key]?.[0] : undefined;
  if (seen === undefined) return [];
  return [{ begun: read.begun, ended: read.ended, operation: read, apply: (place) => (place === seen ? place : null) }];
}

/** Is there an order of these steps, of those without an end perhaps not all, that leads from `start` to `end`? */
function linearizable(steps: readonly Step[], start: Place, end: Place | null): boolean {
  const certain = steps.filter(({ ended }) => ended !== Infinity).length;
  const tried = new Set<string>();
  const search = (done: ReadonlySet<number>, place: Place, left: number): boolean => {
    if (left === 0 && (end === null || place === end)) return true;
    const key = `${place} ${[...done].sort((a, b) => a - b).join()}`;
    if (tried.has(key)) return false;
    tried.add(key);
    let firstEnd = Infinity;
    for (const [at, { ended }] of steps.entries()) if (!done.has(at)) firstEnd = Math.min(firstEnd, ended);
    for (const [at, step] of steps.entries()) {
      if (step.begun > firstEnd) break;
      if (done.has(at)) continue;
      const next = step.apply(place);
      if (next === null) continue;
      if (search(new Set([...done, at]), next, step.ended === Infinity ? left : left - 1)) return true;
    }
    return false;
  };
  return search(new Set(), start, certain);
}
