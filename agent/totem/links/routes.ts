/**
 * Over which links a packet goes to which nodes. The answers are kept until a link's state changes: the ring asks
 * for every packet, tens of thousands of times a second.
 */
import type { NodeId } from '../ids.ts';
import type { LinkMode, Way } from './link-types.ts';

/** A link to a peer as the choice sees it. */
export interface Candidate {
  readonly link: number;
  readonly priority: number;
  /** `up`; `maybe`: not tested, or answering but not taken back yet; `down`. */
  readonly state: 'up' | 'maybe' | 'down';
  /** `together`: a copy for several nodes is one call. `cast`: it is one datagram. `alone`: not to this node. */
  readonly sharing: 'together' | 'cast' | 'alone';
}

interface Plan {
  readonly to: readonly NodeId[];
  /** Taken in turn; one in every mode but rr. */
  readonly turns: readonly (readonly Way[])[];
  readonly again: readonly Way[];
  next: number;
}

/** Sets of receivers remembered: the whole ring, and what a few absent nodes make of it. */
const MOST_PLANS = 16;

export class Routes {
  readonly #mode: LinkMode;
  readonly #candidates: (node: NodeId) => readonly Candidate[];
  readonly #toOne = new Map<NodeId, Plan>();
  #toMany: Plan[] = [];

  constructor(mode: LinkMode, candidates: (node: NodeId) => readonly Candidate[]) {
    this.#mode = mode;
    this.#candidates = candidates;
  }

  /** To be called when a link's state has changed. */
  forget(): void {
    this.#toOne.clear();
    this.#toMany = [];
  }

  /**
   * The copies of one packet. `again`: it was sent before and may be lost, so it goes over every usable link, of which
   * one is another way than before; retransmissions are few, and the ring knows a packet that comes twice.
   */
  route(to: readonly NodeId[], again: boolean): readonly Way[] {
    const plan = this.#plan(to);
    if (again) return plan.again;
    const ways = plan.turns[plan.next] ?? plan.again;
    plan.next += 1;
    if (plan.next >= plan.turns.length) plan.next = 0;
    return ways;
  }

  #plan(to: readonly NodeId[]): Plan {
    const [first] = to;
    if (to.length === 1 && first !== undefined) {
      const known = this.#toOne.get(first);
      if (known !== undefined) return known;
      const made = this.#make(to);
      this.#toOne.set(first, made);
      return made;
    }
    for (const plan of this.#toMany) if (sameNodes(plan.to, to)) return plan;
    if (this.#toMany.length >= MOST_PLANS) this.#toMany = [];
    const made = this.#make([...to]);
    this.#toMany.push(made);
    return made;
  }

  #make(to: readonly NodeId[]): Plan {
    const choices = to.map((node) => ({ node, ...choice(this.#mode, this.#candidates(node)) }));
    const length = choices.reduce((sum, { turns }) => leastCommonMultiple(sum, Math.max(1, turns.length)), 1);
    const turns = Array.from({ length }, (_, turn) =>
      byLink(
        choices.map(({ node, turns: own }) => ({ node, links: own[turn % own.length] ?? [] })),
        (sharing) => sharing === 'alone',
      ),
    );
    // Where multicast has lost a packet, unicast is another way.
    const again = byLink(
      choices.map(({ node, all }) => ({ node, links: all })),
      (sharing) => sharing !== 'together',
    );
    return { to, turns, again, next: 0 };
  }
}

/** The links to one peer: which set of them each turn takes, and all that are usable. */
function choice(
  mode: LinkMode,
  candidates: readonly Candidate[],
): { readonly turns: readonly (readonly Candidate[])[]; readonly all: readonly Candidate[] } {
  const up = candidates.filter(({ state }) => state === 'up');
  if (up.length === 0) {
    // Nothing is known to work: all that may are tried at once, and if none may, all there are.
    const maybe = candidates.filter(({ state }) => state === 'maybe');
    const all = maybe.length > 0 ? maybe : candidates;
    return { turns: [all], all };
  }
  const all = up.sort((a, b) => b.priority - a.priority || a.link - b.link);
  switch (mode) {
    case 'active':
      return { turns: [all], all };
    case 'passive':
      return { turns: [all.slice(0, 1)], all };
    case 'rr':
      return { turns: all.map((link) => [link]), all };
  }
}

function byLink(
  parts: readonly { readonly node: NodeId; readonly links: readonly Candidate[] }[],
  isAlone: (sharing: Candidate['sharing']) => boolean,
): readonly Way[] {
  const ways: Way[] = [];
  const shared = new Map<number, Way>();
  for (const { node, links } of parts) {
    for (const { link, sharing } of links) {
      const alone = isAlone(sharing);
      const way = alone ? undefined : shared.get(link);
      if (way !== undefined) {
        way.to.push(node);
        continue;
      }
      const made = { link, to: [node] };
      ways.push(made);
      if (!alone) shared.set(link, made);
    }
  }
  return ways;
}

function sameNodes(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
