/**
 * The values of one file come in one order, the same for all. Every reader's sequence, in one mount, embeds in it, and
 * so do the writes in the order of time where one ended before the other began. What cannot be is a circle.
 *
 * Local reads may show a write that is still under way, and that a change of view may put elsewhere in the order
 * (README.md): a value counts once its write was acknowledged before the read ended.
 */
import { grouped, only, told, type Of, type Operation } from '../history.ts';
import type { Checker } from './checker.ts';
import { FIRST_VALUE, valueRead } from './register-linearizable.ts';

export const oneOrder: Checker = ({ operations }) => {
  const byKey = grouped(only(operations, 'write', 'read'), ({ action }) => action.key);
  return [...byKey].flatMap(([key, list]) => orderOf(key, only(list, 'write'), only(list, 'read')));
};

function orderOf(key: string, writes: readonly Of<'write'>[], reads: readonly Of<'read'>[]): string[] {
  const violations: string[] = [];
  const byValue = new Map(writes.map((write) => [write.action.value, write]));
  const order = new Order();
  const seen = new Set<string>();
  for (const [, list] of grouped(reads, ({ node, mount, process }) => `${node} ${mount} ${process}`)) {
    let before: { readonly value: string; readonly read: Of<'read'> } | null = null;
    for (const read of list) {
      const value = valueRead(read);
      if (value === null) continue;
      const write = byValue.get(value);
      if (write === undefined && value !== FIRST_VALUE) violations.push(`a value nobody wrote: ${told(read)}`);
      if (write?.type === 'fail') violations.push(`a write that failed was seen: ${told(write)}, by ${told(read)}`);
      if (write !== undefined && write.begun > read.ended)
        violations.push(`a value was read before it was written: ${told(read)}`);
      if (write !== undefined && !(write.type === 'ok' && write.ended <= read.ended)) continue;
      seen.add(value);
      if (before !== null && before.value !== value) order.add(before.value, value);
      before = { value, read };
    }
  }
  // The order of time, for what was seen or is certain.
  order.addTimes([...writes.filter(({ type, action }) => type === 'ok' || seen.has(action.value))]);
  if (seen.has(FIRST_VALUE))
    for (const { action } of writes) if (seen.has(action.value)) order.add(FIRST_VALUE, action.value);
  const circle = order.circle();
  if (circle !== null) violations.push(`${key}: no one order has ${circle.join(', then ')}`);
  return violations;
}

/** Values, what must come after each, and whether that goes round in a circle. */
class Order {
  readonly #after = new Map<string, Set<string>>();

  add(earlier: string, later: string): void {
    const after = this.#after.get(earlier);
    if (after === undefined) this.#after.set(earlier, new Set([later]));
    else after.add(later);
  }

  /** A chain of instants stands between what ended and what began later, instead of an edge for every pair. */
  addTimes(writes: readonly Of<'write'>[]): void {
    const instants = writes.flatMap(({ action, begun, ended }) => [
      { time: begun, begins: true, value: action.value },
      ...(ended === Infinity ? [] : [{ time: ended, begins: false, value: action.value }]),
    ]);
    instants.sort((left, right) => left.time - right.time || Number(right.begins) - Number(left.begins));
    instants.forEach(({ begins, value }, at) => {
      if (at > 0) this.add(`@${at - 1}`, `@${at}`);
      if (begins) this.add(`@${at}`, value);
      else this.add(value, `@${at}`);
    });
  }

  /** The values of a circle, in order; null when there is none. */
  circle(): string[] | null {
    const state = new Map<string, 'open' | 'done'>();
    for (const start of this.#after.keys()) {
      if (state.has(start)) continue;
      const path: { readonly name: string; readonly rest: Iterator<string> }[] = [];
      const enter = (name: string): void => {
        state.set(name, 'open');
        path.push({ name, rest: (this.#after.get(name) ?? new Set<string>()).values() });
      };
      enter(start);
      for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
        const next = top.rest.next();
        if (next.done === true) {
          state.set(top.name, 'done');
          path.pop();
        } else if (state.get(next.value) === 'open') {
          const names = path.map(({ name }) => name);
          return [...names.slice(names.indexOf(next.value)), next.value].filter((name) => !name.startsWith('@'));
        } else if (!state.has(next.value)) enter(next.value);
      }
    }
    return null;
  }
}

/** How many local reads showed a write under way: not a fault, and worth knowing. */
export function readsOfUnfinished(operations: readonly Operation[]): number {
  const byValue = new Map(only(operations, 'write').map((write) => [write.action.value, write]));
  return only(operations, 'read').filter((read) => {
    const write = byValue.get(valueRead(read) ?? '');
    return write !== undefined && !(write.type === 'ok' && write.ended <= read.ended);
  }).length;
}
