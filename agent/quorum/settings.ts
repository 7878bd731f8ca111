/** What the section `quorum` asks for (votequorum(5)), and what of it has effect. */
import type { NodeId } from '../totem/ids.ts';

/** `auto_tie_breaker_node`: an end of the ids, or ids of which the first that was there decides. */
export type TieBreaker = 'lowest' | 'highest' | readonly NodeId[];

export interface QuorumSettings {
  /** Votes of every node of the nodelist. */
  readonly votes: ReadonlyMap<NodeId, number>;
  /** `quorum.expected_votes`, or null: then the sum of the nodelist counts. */
  readonly expectedVotes: number | null;
  readonly twoNode: boolean;
  readonly waitForAll: boolean;
  readonly autoTieBreaker: boolean;
  readonly tieBreaker: TieBreaker;
  readonly lastManStanding: boolean;
  /** Milliseconds. */
  readonly lastManStandingWindow: number;
  readonly allowDownscale: boolean;
  readonly expectedVotesTracking: boolean;
}

/** The keys of the section `quorum`, as far as they say how votes are counted. */
export interface QuorumKeys {
  readonly expectedVotes: number | null;
  readonly twoNode: boolean;
  readonly waitForAll: boolean;
  readonly autoTieBreaker: boolean;
  /** The text of `auto_tie_breaker_node`. */
  readonly autoTieBreakerNode: string | null;
  readonly lastManStanding: boolean;
  /** Milliseconds. */
  readonly lastManStandingWindow: number | null;
  readonly allowDownscale: boolean;
  readonly expectedVotesTracking: boolean;
}

/** votequorum(5): last_man_standing_window, milliseconds. */
const DEFAULT_WINDOW = 10_000;

const NO_KEYS: QuorumKeys = {
  expectedVotes: null,
  twoNode: false,
  waitForAll: false,
  autoTieBreaker: false,
  autoTieBreakerNode: null,
  lastManStanding: false,
  lastManStandingWindow: null,
  allowDownscale: false,
  expectedVotesTracking: false,
};

/** Settings from what a file says; what it does not say has votequorum's default. */
export function quorumSettingsOf(votes: ReadonlyMap<NodeId, number>, given: Partial<QuorumKeys> = {}): QuorumSettings {
  const keys = { ...NO_KEYS, ...given };
  const tieBreaker = tieBreakerOf(keys.autoTieBreakerNode);
  return {
    votes,
    expectedVotes: keys.expectedVotes,
    twoNode: keys.twoNode,
    waitForAll: keys.waitForAll,
    // A value that names nobody switches it off (measured: a warning, and no flag).
    autoTieBreaker: keys.autoTieBreaker && tieBreaker !== null,
    tieBreaker: tieBreaker ?? 'lowest',
    lastManStanding: keys.lastManStanding,
    lastManStandingWindow: keys.lastManStandingWindow ?? DEFAULT_WINDOW,
    allowDownscale: keys.allowDownscale,
    expectedVotesTracking: keys.expectedVotesTracking,
  };
}

/** Null where the text names no node. Ids are read up to the first word that is not one, as Corosync does. */
function tieBreakerOf(text: string | null): TieBreaker | null {
  if (text === null || text === 'lowest') return 'lowest';
  if (text === 'highest') return 'highest';
  const ids: NodeId[] = [];
  for (const word of text.trim().split(/\s+/)) {
    if (!/^\d+$/.test(word) || Number(word) < 1 || Number(word) > 0xffffffff) break;
    ids.push(Number(word) as NodeId);
  }
  return ids.length > 0 ? ids : null;
}

/** What has effect once the settings have been held against each other. */
export interface QuorumRules {
  readonly votes: ReadonlyMap<NodeId, number>;
  /** Votes of all nodes of the nodelist. */
  readonly allVotes: number;
  /** Expected votes of a whole cluster. */
  readonly configured: number;
  readonly twoNode: boolean;
  readonly waitForAll: boolean;
  readonly tieBreaker: TieBreaker | null;
  readonly lastManStanding: boolean;
  readonly downscale: boolean;
  /** Expected votes do not fall below this when nodes leave in order. */
  readonly floor: number;
  readonly tracking: boolean;
  /** A node that leaves in order is no longer expected. */
  readonly leavesCount: boolean;
  /** Expected votes may fall below the configured ones without the administrator. */
  readonly lowers: boolean;
}

export function rulesOf(settings: QuorumSettings): QuorumRules {
  const counts = [...settings.votes.values()];
  const allVotes = counts.reduce((sum, count) => sum + count, 0);
  const configured = Math.max(settings.expectedVotes ?? 0, allVotes);
  const waitForAll = settings.waitForAll || settings.twoNode;
  // Corosync drops the tie-breaker here: a half of an odd number is a minority (measured).
  const ties = settings.autoTieBreaker && (allVotes % 2 === 0 || waitForAll);
  const twoNode = settings.twoNode && !ties && counts.length === 2 && counts.every((count) => count === 1);
  // votequorum(5): "each node must vote 1".
  const lastManStanding = settings.lastManStanding && counts.every((count) => count <= 1);
  return {
    votes: settings.votes,
    allVotes,
    configured,
    twoNode,
    waitForAll,
    tieBreaker: twoNode ? 'lowest' : ties ? settings.tieBreaker : null,
    lastManStanding,
    downscale: settings.allowDownscale,
    floor: twoNode ? 0 : (settings.expectedVotes ?? configured),
    // votequorum(5): allow_downscale switches it on.
    tracking: settings.expectedVotesTracking || settings.allowDownscale,
    leavesCount: settings.allowDownscale || twoNode,
    lowers: settings.allowDownscale || twoNode || lastManStanding,
  };
}

/** Votes of some nodes; a node that the nodelist does not name has none. */
export function votesOf(rules: Pick<QuorumRules, 'votes'>, nodes: readonly NodeId[]): number {
  return nodes.reduce((sum, node) => sum + (rules.votes.get(node) ?? 0), 0);
}
