/** Which faults come when: follows from the seed alone. Pure. */
import type { Chance } from '../sim/chance.ts';

/** Processes of a node: the membership engine, the file system, or both at once. */
export type Part = 'engine' | 'pmxcfs' | 'both';

/** Times in milliseconds. */
export type NodeFault =
  | { readonly kind: 'kill'; readonly part: Part; readonly nodes: readonly string[]; readonly times: number }
  /** The whole node at once, as pulling the plug does. */
  | { readonly kind: 'power'; readonly nodes: readonly string[]; readonly forMs: number }
  | { readonly kind: 'pause'; readonly part: Part; readonly nodes: readonly string[]; readonly forMs: number }
  /** `seconds` from the right time; it stays so until it jumps again. */
  | { readonly kind: 'clock'; readonly nodes: readonly string[]; readonly seconds: number }
  | { readonly kind: 'disk'; readonly nodes: readonly string[]; readonly forMs: number };

export type NetworkFault =
  | { readonly kind: 'partition'; readonly sides: readonly (readonly string[])[]; readonly forMs: number }
  /** What `from` says does not reach `to`; the other way is open. */
  | {
      readonly kind: 'one-way';
      readonly from: readonly string[];
      readonly to: readonly string[];
      readonly forMs: number;
    };

export const NODE_FAULTS = [
  'kill-engine',
  'kill-pmxcfs',
  'kill-both',
  'kill-all',
  'power-one',
  'power-two',
  'power-all',
  'pause-engine',
  'pause-pmxcfs',
  'pause-both',
  'clock',
  'clock',
  'disk',
] as const;
export const NETWORK_FAULTS = ['minority', 'halves', 'three', 'alone', 'one-way', 'one-way'] as const;

/** Every kind comes before any comes again. */
export class Deck<T> {
  readonly #cards: readonly T[];
  readonly #chance: Chance;
  #left: T[] = [];

  constructor(cards: readonly T[], chance: Chance) {
    this.#cards = cards;
    this.#chance = chance;
  }
  draw(): T {
    if (this.#left.length === 0) this.#left = shuffled(this.#cards, this.#chance);
    const card = this.#left.pop();
    if (card === undefined) throw new Error('a deck needs cards');
    return card;
  }
}

export function shuffled<T>(items: readonly T[], chance: Chance): T[] {
  const left = [...items];
  return Array.from(items, () => left.splice(chance.below(left.length), 1)).flat();
}

export function nodeFault(kind: (typeof NODE_FAULTS)[number], all: readonly string[], chance: Chance): NodeFault {
  const some = (most: number): string[] => shuffled(all, chance).slice(0, 1 + chance.below(most));
  const forMs = 1_500 + chance.below(5_000);
  switch (kind) {
    case 'kill-engine':
    case 'kill-pmxcfs':
    case 'kill-both': {
      const part = kind === 'kill-engine' ? 'engine' : kind === 'kill-pmxcfs' ? 'pmxcfs' : 'both';
      return { kind: 'kill', part, nodes: some(2), times: 1 + chance.below(2) };
    }
    case 'kill-all':
      return { kind: 'kill', part: chance.happens(0.5) ? 'pmxcfs' : 'both', nodes: all, times: 1 };
    case 'power-one':
      return { kind: 'power', nodes: some(1), forMs };
    case 'power-two':
      return { kind: 'power', nodes: shuffled(all, chance).slice(0, 2), forMs };
    case 'power-all':
      return { kind: 'power', nodes: all, forMs: 500 };
    case 'pause-engine':
    case 'pause-pmxcfs':
    case 'pause-both': {
      const part = kind === 'pause-engine' ? 'engine' : kind === 'pause-pmxcfs' ? 'pmxcfs' : 'both';
      // Shorter than the token's loss as often as longer.
      return { kind: 'pause', part, nodes: some(2), forMs: chance.happens(0.4) ? 200 + chance.below(800) : forMs };
    }
    case 'clock': {
      const seconds = (chance.happens(0.5) ? 1 : -1) * ([2, 90, 3_600, 86_400][chance.below(4)] ?? 2);
      return { kind: 'clock', nodes: some(all.length), seconds };
    }
    case 'disk':
      return { kind: 'disk', nodes: some(1), forMs: 5_000 + chance.below(3_000) };
  }
}

export function networkFault(
  kind: (typeof NETWORK_FAULTS)[number],
  all: readonly string[],
  chance: Chance,
): NetworkFault {
  const nodes = shuffled(all, chance);
  const forMs = 3_000 + chance.below(7_000);
  const few = Math.floor((all.length - 1) / 2);
  switch (kind) {
    case 'minority':
      return { kind: 'partition', sides: [nodes.slice(0, few), nodes.slice(few)], forMs };
    case 'halves': {
      const half = Math.ceil(all.length / 2);
      return { kind: 'partition', sides: [nodes.slice(0, half), nodes.slice(half)], forMs };
    }
    case 'three':
      return {
        kind: 'partition',
        sides: [nodes.slice(0, few), nodes.slice(few, 2 * few), nodes.slice(2 * few)],
        forMs,
      };
    case 'alone':
      return { kind: 'partition', sides: [nodes.slice(0, 1), nodes.slice(1)], forMs };
    case 'one-way': {
      const cut = 1 + chance.below(few);
      const [these, those] = [nodes.slice(0, cut), nodes.slice(cut)];
      return chance.happens(0.5)
        ? { kind: 'one-way', from: these, to: those, forMs }
        : { kind: 'one-way', from: those, to: these, forMs };
    }
  }
}
