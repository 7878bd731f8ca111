/**
 * Votes as votequorum counts them (votequorum(5)): who may go on when the cluster is in pieces.
 * A pure state machine; the engine feeds it views and asks for the status.
 */
import { err, ok, type Result } from '../result.ts';
import type { NodeId } from '../totem/ids.ts';

export interface QuorumSettings {
  /** Votes of every node of the nodelist. */
  readonly votes: ReadonlyMap<NodeId, number>;
  /** `quorum.expected_votes`, or null: then the sum of the nodelist counts. */
  readonly expectedVotes: number | null;
  readonly twoNode: boolean;
  readonly waitForAll: boolean;
  readonly autoTieBreaker: boolean;
  readonly lastManStanding: boolean;
  readonly allowDownscale: boolean;
}

export type QuorumFlag =
  'Quorate' | '2Node' | 'WaitForAll' | 'LastManStanding' | 'AutoTieBreaker' | 'AllowDownscale' | 'Qdevice';

export interface QuorumStatus {
  readonly quorate: boolean;
  readonly expectedVotes: number;
  readonly highestExpected: number;
  readonly totalVotes: number;
  /** Votes needed. */
  readonly quorum: number;
  readonly flags: readonly QuorumFlag[];
}

export type QuorumInput =
  | { readonly kind: 'view'; readonly members: readonly NodeId[] }
  /** The administrator's `pvecm expected N`. */
  | { readonly kind: 'expected'; readonly votes: number }
  | { readonly kind: 'settings'; readonly settings: QuorumSettings };

export interface QuorumState {
  readonly settings: QuorumSettings;
  readonly members: readonly NodeId[];
  /** Set by the administrator; lasts until more votes than that are seen. */
  readonly forced: number | null;
  /** wait_for_all: every node has been seen together once since this start. */
  readonly allSeen: boolean;
}

const sum = (numbers: Iterable<number>): number => {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
};

const votesOf = (settings: QuorumSettings, members: readonly NodeId[]): number =>
  sum(members.map((member) => settings.votes.get(member) ?? 0));

const configuredVotes = (settings: QuorumSettings): number => sum(settings.votes.values());

const baseExpected = (settings: QuorumSettings): number => settings.expectedVotes ?? configuredVotes(settings);

/** two_node implies wait_for_all (votequorum(5)). */
const waitsForAll = (settings: QuorumSettings): boolean => settings.waitForAll || settings.twoNode;

/** The state at the start of the engine, before the first view. */
export function startQuorum(settings: QuorumSettings): QuorumState {
  return { settings, members: [], forced: null, allSeen: false };
}

/** The next state. Fails, leaving the state as it was, when the administrator asks for an impossible number. */
export function stepQuorum(state: QuorumState, input: QuorumInput): Result<QuorumState, string> {
  switch (input.kind) {
    case 'settings':
      return ok(settle({ ...state, settings: input.settings, forced: null }));
    case 'view':
      return ok(settle({ ...state, members: [...input.members].sort((a, b) => a - b) }));
    case 'expected': {
      const most = Math.max(baseExpected(state.settings), configuredVotes(state.settings));
      if (!Number.isInteger(input.votes) || input.votes < 1 || input.votes > most) {
        return err(`expected votes must be a whole number from 1 to ${most}, the votes of all configured nodes`);
      }
      // Forcing a number is the administrator's word that the absent nodes are down: it ends the wait too.
      return ok(settle({ ...state, forced: input.votes, allSeen: true }));
    }
  }
}

/** Carries what a view teaches into the state: all seen, forced number outgrown. */
function settle(state: QuorumState): QuorumState {
  const total = votesOf(state.settings, state.members);
  const forced = state.forced !== null && total > state.forced ? total : state.forced;
  const allSeen = state.allSeen || (state.settings.votes.size > 0 && total >= configuredVotes(state.settings));
  return { ...state, forced, allSeen };
}

/** The votes now. */
export function quorumStatus(state: QuorumState): QuorumStatus {
  const { settings, members } = state;
  const totalVotes = votesOf(settings, members);
  const highestExpected = Math.max(baseExpected(settings), totalVotes);
  const expectedVotes = Math.max(state.forced ?? baseExpected(settings), totalVotes);
  const twoNode = settings.twoNode && settings.votes.size === 2;
  const quorum = twoNode ? 1 : Math.floor(expectedVotes / 2) + 1;
  const evenSplit = settings.autoTieBreaker && !twoNode && totalVotes * 2 === expectedVotes;
  const tieBroken = evenSplit && holdsTieBreaker(state);
  const waiting = waitsForAll(settings) && !state.allSeen;
  const quorate = totalVotes > 0 && (totalVotes >= quorum || tieBroken) && !waiting;
  const flags: QuorumFlag[] = [];
  if (quorate) flags.push('Quorate');
  if (twoNode) flags.push('2Node');
  if (waitsForAll(settings)) flags.push('WaitForAll');
  if (settings.lastManStanding) flags.push('LastManStanding');
  if (settings.autoTieBreaker) flags.push('AutoTieBreaker');
  if (settings.allowDownscale) flags.push('AllowDownscale');
  return { quorate, expectedVotes, highestExpected, totalVotes, quorum, flags };
}

/**
 * Of two equal halves the one with the lowest configured node id goes on. It is the lowest of the
 * nodelist, not of the last view, so that two halves with different memories cannot both claim it.
 */
function holdsTieBreaker(state: QuorumState): boolean {
  const lowest = Math.min(...state.settings.votes.keys());
  return state.members.some((member) => member === lowest);
}
