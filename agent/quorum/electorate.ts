/**
 * An electorate: the members of a quorate view and the votes that were expected in it. What comes after
 * that view must hold more than half of those votes, so that of its pieces at most one goes on. This is
 * dynamic voting (Jajodia, Mutchler: Dynamic Voting Algorithms for Maintaining the Consistency of a
 * Replicated Database, 1990, with a distinguished site that breaks ties), on Totem's views.
 */
import { sameRing, type NodeId, type RingId } from '../totem/ids.ts';
import { votesOf, type QuorumRules, type TieBreaker } from './settings.ts';

export interface Electorate {
  /** The ring of the view: names the electorate for all time. */
  readonly ring: RingId;
  readonly members: readonly NodeId[];
  readonly expected: number;
}

/** An electorate as a node holds it in mind. */
export interface Held extends Electorate {
  /** Who holds it too, with the same open views since: came along with this node ever since it was quorate. */
  readonly holders: readonly NodeId[];
}

/** The same electorate once only `nodes` have come along. */
export const heldBy = <E extends Electorate>(electorate: E, nodes: readonly NodeId[]): E & Held => ({
  ...electorate,
  holders: nodes,
});

/**
 * Whether `present`, all of which know this electorate, may go on from it: more than half of the votes
 * expected, or exactly half with the node that breaks ties.
 */
export function carries(rules: QuorumRules, electorate: Electorate, present: readonly NodeId[]): boolean {
  const here = electorate.members.filter((member) => present.includes(member));
  const twice = votesOf(rules, here) * 2;
  if (twice === 0 || twice < electorate.expected) return false;
  if (twice > electorate.expected) return true;
  const tie = rules.tieBreaker === null ? null : tieNode(rules.tieBreaker, electorate.members);
  return tie !== null && here.includes(tie);
}

/** The one of the last quorate members whose half goes on. */
function tieNode(breaker: TieBreaker, members: readonly NodeId[]): NodeId | null {
  const ordered = [...members].sort((a, b) => a - b);
  if (breaker === 'lowest') return ordered[0] ?? null;
  if (breaker === 'highest') return ordered.at(-1) ?? null;
  return breaker.find((node) => ordered.includes(node)) ?? null;
}

/**
 * The electorate without those who left in order. Who said goodbye never acts in it again, so that two
 * pieces that heard different goodbyes still cannot both hold half of what remains.
 */
export function without<E extends Electorate>(rules: QuorumRules, electorate: E, left: readonly NodeId[]): E {
  const members = electorate.members.filter((member) => !left.includes(member));
  if (!rules.leavesCount || members.length === electorate.members.length) return electorate;
  const expected = Math.min(electorate.expected, Math.max(rules.floor, votesOf(rules, members)));
  return { ...electorate, members, expected };
}

/** Rings that one node took part in are in the order of their sequence (Totem, section 4.1). */
export const later = (a: RingId, b: RingId): boolean =>
  a.sequence > b.sequence || (a.sequence === b.sequence && a.representative > b.representative);

/** The latest electorate, with the highest of the votes that are expected in it. */
export function latest(electorates: readonly Electorate[]): Electorate | null {
  let top: Electorate | null = null;
  for (const one of electorates) {
    if (top === null || later(one.ring, top.ring)) top = one;
    else if (sameRing(one.ring, top.ring) && one.expected > top.expected) top = one;
  }
  return top;
}
