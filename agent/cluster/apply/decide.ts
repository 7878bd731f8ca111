/**
 * What a node does next about an apply, by its own journal, the trial in the tree and its own clock. The
 * clock wins where the tree says nothing: a change that cuts the network must not need the network to heal.
 */
import { isOpen, type Journal, type Trial } from './trial.ts';

/** What the node sees when it decides. Times in milliseconds of a clock that never goes back. */
export interface Seen {
  readonly self: number;
  /** The tree's trial; null when there is none, or the tree cannot be read. */
  readonly trial: Trial | null;
  readonly treeConf: string | null;
  readonly localConf: string | null;
  /** config_version of the local file. */
  readonly localVersion: number;
  readonly journal: Journal | null;
  readonly now: number;
  /** When this node goes back unless it hears of a confirmation; null without a journal. */
  readonly deadline: number | null;
  /** Since when this phase of this trial is known here. */
  readonly phaseSince: number;
  readonly treeWritable: boolean;
  /** Node ids in the ring. The lowest of them clears up after a leader that is gone. */
  readonly ring: ReadonlySet<number>;
  /** What this node has answered for this trial so far. */
  readonly answered: ReadonlySet<string>;
  /** Node ids that have answered `back`. */
  readonly back: ReadonlySet<number>;
  /** Has the process ended that leads the trial? Only its own node can tell. */
  readonly leaderEnded: boolean;
  /** Does the cluster keep quorum while this node's engine restarts? */
  readonly spare: boolean;
}

export type Action =
  | { readonly kind: 'nothing' }
  /** Say whether this machine would take the file. */
  | { readonly kind: 'check'; readonly trial: Trial }
  | { readonly kind: 'install'; readonly trial: Trial }
  | { readonly kind: 'load'; readonly trial: Trial }
  /** Look whether the engine runs it, and say so. */
  | { readonly kind: 'read-back'; readonly trial: Trial }
  | { readonly kind: 'await-confirmation'; readonly trial: Trial }
  | { readonly kind: 'keep' }
  | { readonly kind: 'go-back'; readonly why: string }
  | { readonly kind: 'say-back'; readonly trial: Trial }
  | { readonly kind: 'forget' }
  /** Put the tree's file back and end the trial. */
  | { readonly kind: 'end'; readonly trial: Trial; readonly why: string }
  /** Nobody leads it any more: have every node go back now, and not only when its time is over. */
  | { readonly kind: 'have-all-go-back'; readonly trial: Trial; readonly why: string }
  /** The trial was confirmed while this node was away. */
  | { readonly kind: 'catch-up'; readonly trial: Trial }
  /** No apply is concerned: what the tree holds is installed as ever. */
  | { readonly kind: 'push' };

/** How long the nodes may take to say whether they would take the file. */
export const PREPARE_MS = 15_000;
/** Beyond everybody's clock: a leader that says nothing for so long is gone. */
const GONE_MS = 5_000;
/** On the way back from a rolling restart each node waits this long for the one before it. */
const TURN_MS = 12_000;
/** How long a node waits for a moment at which its restart would not cost the quorum. */
const SPARE_MS = 30_000;

/** Phases in which the leader has something to do. */
const LED: readonly Trial['phase'][] = ['prepare', 'install', 'effect'];

const NOTHING: Action = { kind: 'nothing' };

export function decide(seen: Seen): Action {
  const { journal, trial } = seen;
  if (isOpen(trial) && seen.leaderEnded && seen.treeWritable && LED.includes(trial.phase)) {
    const why = 'the program that led it has ended';
    return trial.phase === 'prepare' ? end(trial, why) : { kind: 'have-all-go-back', trial, why };
  }
  if (journal !== null) return journal.givenUp ? afterGivingUp(seen, journal) : onTrial(seen, journal);
  if (!isOpen(trial)) return atRest(seen);
  if (stale(seen, trial)) {
    return clearsUp(seen) ? end(trial, `${trial.leader}, which led it, is gone`) : NOTHING;
  }
  if (!trial.nodes.includes(seen.self)) return NOTHING;
  if (trial.phase === 'prepare') {
    return seen.answered.has('ready') || seen.answered.has('failed') ? NOTHING : { kind: 'check', trial };
  }
  return trial.phase === 'revert' ? backAlready(seen, trial) : { kind: 'install', trial };
}

/** The file on trial is on this node's disk. */
function onTrial(seen: Seen, journal: Journal): Action {
  const { trial, now, deadline } = seen;
  const mine = trial?.id === journal.id ? trial : null;
  if (mine?.outcome?.kind === 'confirmed') return { kind: 'keep' };
  // While this node was away its trial ended and another began: the tree's file tells how.
  if (mine === null && trial !== null && seen.treeConf === journal.after) return { kind: 'keep' };
  if (mine === null && trial !== null) return goBack('its apply has ended and was not kept');
  if (deadline !== null && now >= deadline) {
    return goBack(journal.confirming ? 'nobody confirmed it in time' : 'it did not come into effect in time');
  }
  if (mine === null) return NOTHING;
  if (mine.outcome !== null || mine.phase === 'revert') {
    return mayRestart(seen, mine, journal)
      ? goBack(mine.outcome?.reason ?? mine.asked?.reason ?? 'it is taken back')
      : NOTHING;
  }
  if (mine.phase === 'effect' && !journal.loaded) {
    const due = mine.method !== 'rolling-restart' || mine.turn === seen.self;
    return due ? { kind: 'load', trial: mine } : NOTHING;
  }
  if (journal.loaded && !seen.answered.has('effective')) return { kind: 'read-back', trial: mine };
  if (mine.phase === 'confirm' && !journal.confirming) return { kind: 'await-confirmation', trial: mine };
  return NOTHING;
}

/** One after the other, and not while a restart would cost the quorum: the way back is a rolling restart too. */
function mayRestart(seen: Seen, trial: Trial, journal: Journal): boolean {
  if (trial.method !== 'rolling-restart' || !journal.loaded) return true;
  const before = trial.nodes.filter((node) => node < seen.self);
  const waited = seen.now - seen.phaseSince;
  const turn = before.every((node) => seen.back.has(node)) || waited > TURN_MS * before.length;
  return turn && (seen.spare || waited > SPARE_MS + TURN_MS * before.length);
}

/** The old file is back here; the tree still holds the one on trial, unless another node was quicker. */
function afterGivingUp(seen: Seen, journal: Journal): Action {
  const { trial } = seen;
  if (trial === null) return NOTHING;
  if (trial.id !== journal.id) return { kind: 'forget' };
  if (trial.outcome?.kind === 'confirmed') return { kind: 'catch-up', trial };
  if (!isOpen(trial)) return { kind: 'forget' };
  if (trial.phase === 'revert') return backAlready(seen, trial);
  return clearsUp(seen) ? end(trial, 'nobody confirmed it in time') : NOTHING;
}

/** This node runs the old file. Nodes out of the ring are not waited for: their own clocks take them back. */
function backAlready(seen: Seen, trial: Trial): Action {
  if (!seen.treeWritable) return NOTHING;
  if (!seen.answered.has('back')) return { kind: 'say-back', trial };
  if (!clearsUp(seen)) return NOTHING;
  const all = trial.nodes.every((node) => seen.back.has(node) || !seen.ring.has(node));
  const longest = GONE_MS + TURN_MS * trial.nodes.length + SPARE_MS;
  return all || seen.now - seen.phaseSince > longest ? end(trial, trial.asked?.reason ?? 'it was taken back') : NOTHING;
}

const clearsUp = (seen: Seen): boolean => seen.treeWritable && Math.min(...seen.ring) === seen.self;

function atRest(seen: Seen): Action {
  const { trial, treeConf, localConf } = seen;
  if (treeConf === null || treeConf === localConf) return NOTHING;
  const wasKept = trial?.outcome?.kind === 'confirmed' && treeConf === trial.after;
  return wasKept && seen.localVersion < trial.version ? { kind: 'catch-up', trial } : { kind: 'push' };
}

function stale(seen: Seen, trial: Trial): boolean {
  const waited = seen.now - seen.phaseSince;
  const longest = {
    prepare: PREPARE_MS,
    install: trial.rolloutMs,
    effect: trial.rolloutMs,
    confirm: trial.confirmWithinMs,
    revert: Infinity,
    ended: Infinity,
  }[trial.phase];
  return waited > longest + GONE_MS;
}

const goBack = (why: string): Action => ({ kind: 'go-back', why });
const end = (trial: Trial, why: string): Action => ({ kind: 'end', trial, why });
