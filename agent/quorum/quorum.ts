/**
 * Votes as votequorum counts them (votequorum(5)): who may go on when the cluster is in pieces.
 * A pure state machine; the engine feeds it views, what the members say of themselves after each view, and the time.
 *
 * After every regular view each member multicasts its `quorumWord`; when the words of all members are in, the view
 * is settled, by everyone in the same way. Until then a node is quorate only if those who came with it from the
 * view before suffice, both for the electorate they come from and for the view that is not settled yet: another
 * piece of that view may have settled it.
 *
 * Safety goes before likeness. Unless the administrator forces it (`expected`, `cancelWait`), no two pieces of a
 * cluster ever have quorum. Where Corosync 3.1.7 is different (all measured, test/node/quorum-corosync.test.ts):
 *
 * - two_node: Corosync lets both nodes go on and counts on fencing. Here, of two that lose each other, the one with
 *   the lower id goes on; the other does if the first had left in order.
 * - expected_votes below the votes of the nodelist is the floor of allow_downscale and nothing else: taken as it is,
 *   it makes two minorities quorate.
 * - Expected votes that last_man_standing or allow_downscale lowered bind only those who were there; a node counts
 *   towards them only if it comes from that electorate. Nodes that started again or lost that electorate join a
 *   quorate view, or wait for all, or are a majority none of whom was in an incomplete cluster (`QuorumMemory`).
 *   In Corosync three of five, one of which comes from the downsized rest, and that rest are both quorate.
 * - auto_tie_breaker: only exactly half of the votes, all of it from one quorate view, is a half. Corosync takes
 *   half of an odd number rounded down, and takes a list's later node after a start of both halves.
 * - wait_for_all waits for all votes of the nodelist, not for the votes expected just now.
 * - expected_votes_tracking: the stored number is really stored (3.1.7 closes the file before it writes), and
 *   `expected N` goes below it in memory, as the manual page says and 3.1.7 does not.
 * - two_node cannot be without wait_for_all.
 */
import { err, ok, type Result } from '../result.ts';
import { sameRing, type NodeId, type RingId } from '../totem/ids.ts';
import { carries, heldBy, later, latest, without, type Electorate, type Held } from './electorate.ts';
import { rulesOf, votesOf, type QuorumRules, type QuorumSettings } from './settings.ts';

export { quorumSettingsOf, type QuorumKeys, type QuorumSettings, type TieBreaker } from './settings.ts';

/** In the order in which corosync-quorumtool(8) prints them. */
export type QuorumFlag =
  '2Node' | 'Quorate' | 'WaitForAll' | 'LastManStanding' | 'AutoTieBreaker' | 'AllowDownscale' | 'Qdevice';

export interface QuorumStatus {
  readonly quorate: boolean;
  readonly expectedVotes: number;
  readonly highestExpected: number;
  readonly totalVotes: number;
  /** Votes needed. */
  readonly quorum: number;
  readonly flags: readonly QuorumFlag[];
}

/** What a member says of itself after a view. */
export interface QuorumWord {
  /** The view it belongs to. */
  readonly ring: RingId;
  /** The last quorate electorate it was in and has not lost. */
  readonly base: Electorate | null;
  /** Views since then, this one included, that it does not know to be settled. */
  readonly pending: readonly Electorate[];
  /** See QuorumMemory. */
  readonly incomplete: boolean;
  /** What the administrator set, while it is in effect. */
  readonly forced: number | null;
  readonly expected: number;
}

/** What outlives the engine. To be on stable storage before anything is done in the state that asks for it. */
export interface QuorumMemory {
  /** The last quorate view lacked votes: expected votes may have been lowered since, here or elsewhere. */
  readonly incomplete: boolean;
  /** expected_votes_tracking: the highest number of expected votes ever seen; never falls. */
  readonly highestExpected: number;
}

/** `now` is in milliseconds of a clock that only goes forward. */
export type QuorumInput =
  | {
      readonly kind: 'view';
      readonly ring: RingId;
      readonly members: readonly NodeId[];
      /** Those who come along from this node's view before: the transitional configuration, this node included. */
      readonly from: readonly NodeId[];
      /** Members of this node's view before that said goodbye in that view: stopped in order, not lost. */
      readonly left: readonly NodeId[];
      readonly now: number;
    }
  /** A member's word, in the ring's total order. Words of another view are ignored. */
  | { readonly kind: 'told'; readonly node: NodeId; readonly word: QuorumWord; readonly now: number }
  /** `deadline()` has come. */
  | { readonly kind: 'timer'; readonly now: number }
  /** The administrator's `pvecm expected N`, in the ring's total order. */
  | { readonly kind: 'expected'; readonly votes: number }
  /** The administrator ends wait_for_all, in the ring's total order (cmap's quorum.cancel_wait_for_all). */
  | { readonly kind: 'cancelWait' }
  | { readonly kind: 'settings'; readonly settings: QuorumSettings }
  /** This node leaves in order. Before anyone is told. */
  | { readonly kind: 'leave' };

export interface QuorumState {
  readonly settings: QuorumSettings;
  readonly rules: QuorumRules;
  readonly ring: RingId | null;
  readonly members: readonly NodeId[];
  /** Words of this view; null when it is settled. */
  readonly words: ReadonlyMap<NodeId, QuorumWord> | null;
  readonly quorate: boolean;
  readonly base: Held | null;
  readonly pending: readonly Held[];
  readonly expected: number;
  readonly forced: number | null;
  readonly memory: QuorumMemory;
  /** last_man_standing: when expected votes follow the members; Infinity: never. */
  readonly lowerAt: number;
}

/** More views than that without a settled one, and a node gives its electorate up: it is then like one that started. */
const MOST_PENDING = 16;

/** The state at the start of the engine, before the first view. Without a memory nothing good is assumed. */
export function startQuorum(settings: QuorumSettings, memory: QuorumMemory | null = null): QuorumState {
  const rules = rulesOf(settings);
  const state: QuorumState = {
    settings,
    rules,
    ring: null,
    members: [],
    words: null,
    quorate: false,
    base: null,
    pending: [],
    expected: rules.configured,
    forced: null,
    memory: memory ?? { incomplete: true, highestExpected: 0 },
    lowerAt: Infinity,
  };
  return tracked({ ...state, expected: wholeExpected(state) });
}

/** The next state. Fails, leaving the state as it was, when the administrator asks for an impossible number. */
export function stepQuorum(state: QuorumState, input: QuorumInput): Result<QuorumState, string> {
  switch (input.kind) {
    case 'view':
      return ok(view(state, input));
    case 'told':
      return ok(told(state, input.node, input.word, input.now));
    case 'timer':
      return ok(lower(state, input.now));
    case 'expected':
      return force(state, input.votes);
    case 'cancelWait': {
      const enough = votesOf(state.rules, state.members) * 2 > state.expected;
      return ok(state.rules.waitForAll && !state.quorate && enough ? install(state, state.expected) : state);
    }
    case 'settings':
      return ok(reload(state, input.settings));
    case 'leave':
      return ok(leave(state));
  }
}

/** What this node is to multicast in the view it is in; null before the first. */
export function quorumWord(state: QuorumState): QuorumWord | null {
  const { ring, base, pending, forced, expected } = state;
  if (ring === null) return null;
  const bare = ({ ring, members, expected }: Held): Electorate => ({ ring, members, expected });
  const told = { base: base === null ? null : bare(base), pending: pending.map(bare) };
  return { ring, ...told, forced, expected, incomplete: state.memory.incomplete };
}

/** When the state wants a `timer`, in the clock of `now`; Infinity: not at all. */
export const quorumDeadline = (state: QuorumState): number =>
  state.words === null && state.quorate ? state.lowerAt : Infinity;

/** What is to be stored. The same object as long as it says the same. */
export const quorumMemory = (state: QuorumState): QuorumMemory => state.memory;

/** The votes now. */
export function quorumStatus(state: QuorumState): QuorumStatus {
  const { rules, quorate, members } = state;
  const expectedVotes = rules.twoNode ? Math.max(rules.configured, state.expected) : state.expected;
  const flags: QuorumFlag[] = [];
  if (rules.twoNode) flags.push('2Node');
  if (quorate) flags.push('Quorate');
  if (rules.waitForAll) flags.push('WaitForAll');
  if (rules.lastManStanding) flags.push('LastManStanding');
  if (rules.tieBreaker !== null && !rules.twoNode) flags.push('AutoTieBreaker');
  if (rules.downscale) flags.push('AllowDownscale');
  return {
    quorate,
    expectedVotes,
    highestExpected: expectedVotes,
    totalVotes: votesOf(rules, members),
    quorum: rules.twoNode ? 1 : Math.floor(expectedVotes / 2) + 1,
    flags,
  };
}

type ViewInput = Extract<QuorumInput, { kind: 'view' }>;

function view(state: QuorumState, input: ViewInput): QuorumState {
  const { rules } = state;
  const members = [...input.members].sort((a, b) => a - b);
  const from = input.from.filter((node) => members.includes(node));
  // Struck only from what it held when it left: another run of it may have gone on to other views, or be back.
  const kept = (one: Held): Held => {
    const gone = input.left.filter((node) => one.holders.includes(node));
    const rest = without(rules, one, gone);
    return heldBy(
      rest,
      rest.holders.filter((node) => from.includes(node)),
    );
  };
  const base = state.base === null ? null : kept(state.base);
  const pending = state.pending.map(kept);
  const along = base !== null && [base, ...pending].every((one) => carries(rules, one, one.holders));
  const quorate = along || majorityAtOnce(state, members);
  // Once quorum is lost, wait_for_all waits again (measured).
  const lost = (rules.waitForAll && !quorate) || state.pending.length >= MOST_PENDING;
  const electorate: Held = { ring: input.ring, members, expected: votesOf(rules, members), holders: members };
  // Before the view is settled, because who settles it may lower expected votes before this node has heard of it.
  const leaves = state.base !== null && electorate.expected < rules.allVotes;
  const next: QuorumState = {
    ...state,
    ring: input.ring,
    members,
    words: new Map(),
    quorate: quorate && !lost,
    base: lost ? null : base,
    pending: lost ? [electorate] : [...pending, electorate],
    expected: Math.max(state.expected, electorate.expected),
    memory: leaves ? remembered(state.memory, true) : state.memory,
  };
  const own = quorumWord(next);
  const [only] = members;
  return members.length === 1 && only !== undefined && own !== null ? told(next, only, own, input.now) : next;
}

/**
 * Whether the votes alone decide, whatever the members may say: a majority of all votes is the only one where
 * expected votes are never lowered.
 */
function majorityAtOnce(state: QuorumState, members: readonly NodeId[]): boolean {
  const { rules } = state;
  if (rules.lowers || rules.tracking || (rules.waitForAll && state.base === null)) return false;
  return votesOf(rules, members) * 2 > state.expected;
}

function told(state: QuorumState, node: NodeId, word: QuorumWord, now: number): QuorumState {
  if (state.words === null || state.ring === null) return state;
  if (!sameRing(word.ring, state.ring) || !state.members.includes(node)) return state;
  const words = new Map(state.words).set(node, word);
  const complete = state.members.every((member) => words.has(member));
  return complete ? settle({ ...state, words: null }, words, now) : { ...state, words };
}

/** Decides the view from the members' words alone, so that every member decides the same. */
function settle(state: QuorumState, words: ReadonlyMap<NodeId, QuorumWord>, now: number): QuorumState {
  const { rules, members } = state;
  const total = votesOf(rules, members);
  const said = [...words.values()];
  const along = goesOn(rules, words);
  const forcedWords = said.flatMap((word) => word.forced ?? []);
  const forced = forcedWords.length > 0 ? Math.max(...forcedWords) : null;
  const whole = Math.max(wholeExpected(state), ...(rules.tracking ? said.map((word) => word.expected) : []));
  if (along !== null) {
    const expected = Math.max(along.expected, total);
    const lowered = rules.lowers || forced !== null || expected >= whole ? expected : Math.max(expected, whole);
    return armed(state, install({ ...state, forced }, lowered), along, now);
  }
  const open = said.some((word) => word.base !== null);
  const fresh = members.filter((member) => words.get(member)?.incomplete === false);
  const majority =
    forced !== null
      ? total * 2 > forced
      : rules.waitForAll
        ? !rules.lowers && open && total * 2 > whole
        : votesOf(rules, rules.lowers ? fresh : members) * 2 > whole;
  const everyone = total >= whole && total > 0;
  if (majority || everyone) {
    const expected = forced !== null && !everyone ? forced : whole;
    return install({ ...state, forced }, Math.max(expected, total));
  }
  // Nobody can have settled this view with quorum: all members decide as this one does.
  const { ring } = state;
  const pending = state.pending.filter((one) => ring === null || !sameRing(one.ring, ring));
  // The others may have open views that this node was not in: the next view is decided by words, not at once.
  const base = rules.waitForAll || state.base === null ? null : heldBy(state.base, []);
  const top = rules.waitForAll ? null : latest(said.flatMap((word) => word.base ?? []));
  const expected = forced ?? (top === null ? whole : Math.max(top.expected, rules.lowers ? 0 : whole));
  return tracked({
    ...state,
    quorate: false,
    base,
    pending: base === null ? [] : pending.map((one) => heldBy(one, [])),
    expected: Math.max(expected, total),
    forced,
    lowerAt: Infinity,
  });
}

/** The electorate that the members go on from; null when they may not. */
function goesOn(rules: QuorumRules, words: ReadonlyMap<NodeId, QuorumWord>): Electorate | null {
  const said = [...words.values()];
  const base = latest(said.flatMap((word) => word.base ?? []));
  if (base === null) return null;
  if (!carries(rules, base, holding(words, base.ring))) return null;
  const unsettled = said.flatMap((word) => word.pending).filter((one) => later(one.ring, base.ring));
  const safe = unsettled.every((one) => carries(rules, one, knowing(words, one.ring)));
  return safe ? base : null;
}

/** Who goes on from the electorate of this ring. */
function holding(words: ReadonlyMap<NodeId, QuorumWord>, ring: RingId): NodeId[] {
  return [...words].flatMap(([node, { base }]) => (base !== null && sameRing(base.ring, ring) ? [node] : []));
}

/** Who says that it was in the view of this ring. */
function knowing(words: ReadonlyMap<NodeId, QuorumWord>, ring: RingId): NodeId[] {
  const was = ({ base, pending }: QuorumWord): boolean =>
    [...(base === null ? [] : [base]), ...pending].some((one) => sameRing(one.ring, ring));
  return [...words].filter(([, word]) => was(word)).map(([node]) => node);
}

/** The view becomes the electorate that the next one is measured by. */
function install(state: QuorumState, expected: number): QuorumState {
  const { rules, ring, members } = state;
  if (ring === null) return state;
  const complete = votesOf(rules, members) >= rules.allVotes;
  return tracked({
    ...state,
    words: null,
    quorate: true,
    base: { ring, members, expected, holders: members },
    pending: [],
    expected,
    forced: state.forced !== null && expected < wholeExpected(state) ? expected : null,
    memory: remembered(state.memory, !complete),
  });
}

/** last_man_standing: the window opens anew with every loss, and only in a view that all its members have. */
function armed(before: QuorumState, next: QuorumState, electorate: Electorate, now: number): QuorumState {
  if (!next.rules.lastManStanding) return { ...next, lowerAt: Infinity };
  const lost = electorate.members.some((member) => !next.members.includes(member));
  return { ...next, lowerAt: lost ? now + next.settings.lastManStandingWindow : before.lowerAt };
}

function lower(state: QuorumState, now: number): QuorumState {
  if (now < quorumDeadline(state)) return state;
  return { ...install(state, votesOf(state.rules, state.members)), lowerAt: Infinity };
}

/**
 * The administrator's word that the absent are down. As in votequorum it reaches every member of the view, holds
 * for those who join it too, and ends when more votes than that are seen, at a reload, or with the engine.
 * Other than votequorum it is never above what the nodelist has.
 */
function force(state: QuorumState, votes: number): Result<QuorumState, string> {
  const { rules, members } = state;
  const total = votesOf(rules, members);
  const most = Math.max(wholeExpected(state), total);
  if (!Number.isInteger(votes) || votes < 1 || votes > most)
    return err(`expected votes must be a whole number from 1 to ${most}, the votes of all configured nodes`);
  if (votes < total) return err(`expected votes must be at least ${total}, the votes that are present`);
  const enough = total * 2 > votes && (!rules.waitForAll || state.quorate || total >= votes);
  if (state.quorate && !enough)
    return err(`with ${votes} expected votes the ${total} that are present would lose quorum`);
  const forced = { ...state, forced: votes, lowerAt: Infinity };
  return ok(enough ? install(forced, votes) : tracked({ ...forced, words: null, expected: votes }));
}

function reload(state: QuorumState, settings: QuorumSettings): QuorumState {
  const rules = rulesOf(settings);
  const next = { ...state, settings, rules, forced: null };
  const whole = wholeExpected(next);
  const total = votesOf(rules, state.members);
  const isLowered = rules.lowers && state.expected < state.rules.configured;
  const expected = Math.max(isLowered ? state.expected : whole, total);
  const base = state.base === null ? null : { ...state.base, expected };
  const here = state.base === null ? [] : state.members;
  const quorate = state.quorate && base !== null && carries(rules, base, here);
  return tracked({ ...next, expected, base, quorate, lowerAt: rules.lastManStanding ? state.lowerAt : Infinity });
}

/** Who left in order must not be counted by a majority that knows nothing of those it left behind. */
function leave(state: QuorumState): QuorumState {
  const memory = state.rules.leavesCount ? remembered(state.memory, true) : state.memory;
  return { ...state, quorate: false, base: null, pending: [], memory, lowerAt: Infinity };
}

const remembered = (memory: QuorumMemory, incomplete: boolean): QuorumMemory =>
  memory.incomplete === incomplete ? memory : { ...memory, incomplete };

/** Expected votes where nothing was lowered. */
function wholeExpected({ rules, memory }: Pick<QuorumState, 'rules' | 'memory'>): number {
  return Math.max(rules.configured, rules.tracking ? memory.highestExpected : 0);
}

function tracked(state: QuorumState): QuorumState {
  const { memory, expected } = state;
  if (!state.rules.tracking || expected <= memory.highestExpected) return state;
  return { ...state, memory: { ...memory, highestExpected: expected } };
}
