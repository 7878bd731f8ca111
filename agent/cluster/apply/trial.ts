/**
 * An apply of corosync.conf while it is on trial: what all nodes know of it. It lies in the tree, so that
 * every node sees the same, and is kept there when it has ended, until the next one. Types and reading only.
 */
import * as z from 'zod/mini';

/** What brings a change into effect. */
export type Method = 'reload' | 'rolling-restart' | 'whole-restart';

/**
 * `prepare`: each node says whether it would take the file. `install`: each puts it on its disk. `effect`:
 * each loads it. `confirm`: it runs everywhere, and goes back unless somebody confirms it. `revert`: it goes back.
 */
export type Phase = 'prepare' | 'install' | 'effect' | 'confirm' | 'revert' | 'ended';

/** A change that takes the cluster from one engine to the other. */
const change = z.object({ from: z.enum(['totem', 'corosync']), to: z.enum(['totem', 'corosync']) });

export type EngineChange = z.infer<typeof change>;

const outcome = z.object({
  kind: z.enum(['confirmed', 'reverted', 'refused']),
  reason: z.string(),
  /** Who ended it: an author, or the node whose clock did. */
  by: z.string(),
  atMs: z.number(),
});

const trial = z.object({
  id: z.string(),
  /** Who asked for it, for instance root@laptop. */
  author: z.string(),
  /** The node that leads it, and the process there that does. */
  leader: z.string(),
  leaderNode: z.number(),
  leaderPid: z.number(),
  /** Milliseconds since 1970 by the leader's clock: for people. */
  startedMs: z.number(),
  fromVersion: z.number(),
  version: z.number(),
  /** The tree's file before, whole, and the file on trial. */
  before: z.string(),
  after: z.string(),
  changes: z.array(z.string()),
  method: z.enum(['reload', 'rolling-restart', 'whole-restart']),
  /** All nodes stop one engine and start the other with the new file. */
  engine: z.optional(change),
  /** Node ids of those in the ring when it began: these take part. */
  nodes: z.array(z.number()),
  /** Configured nodes that were not in the ring: they take the file when they return, if it was confirmed. */
  absent: z.array(z.number()),
  confirmWithinMs: z.number(),
  /** How long a node waits for the trial to run everywhere, from when it installed the file. */
  rolloutMs: z.number(),
  phase: z.enum(['prepare', 'install', 'effect', 'confirm', 'revert', 'ended']),
  /** Who asked for it to be taken back, and why; null while nobody has. */
  asked: z.nullable(z.object({ by: z.string(), reason: z.string() })),
  /** In a rolling restart: the node that may restart now. */
  turn: z.nullable(z.number()),
  outcome: z.nullable(outcome),
});

export type Trial = z.infer<typeof trial>;
export type Outcome = z.infer<typeof outcome>;

const version = z.object({ version: z.nullable(z.number()), digest: z.string() });

/** What one node says of the trial with this id. Its last word stands. */
const answer = z.object({
  id: z.string(),
  nodeId: z.number(),
  name: z.string(),
  /** `ready`: it would take the file. `back`: it runs the old file again. */
  state: z.enum(['ready', 'installed', 'effective', 'failed', 'back']),
  detail: z.string(),
  /** config_version that its engine runs. */
  running: z.nullable(z.number()),
});

export type Answer = z.infer<typeof answer>;

/** What a node has and runs; it writes this whenever it changes, so that drift can be seen from every node. */
const facts = z.object({
  nodeId: z.number(),
  name: z.string(),
  disk: z.nullable(version),
  running: z.nullable(z.number()),
  /** Version of its agent; not told by agents that know nothing of a change of engine. */
  agent: z.optional(z.string()),
});

export type NodeFacts = z.infer<typeof facts>;

const record = z.object({ trial, answers: z.array(answer) });

/** One line of the history: an ended trial, and what the nodes said last. */
export type TrialRecord = z.infer<typeof record>;

/** Paths in the tree. */
export const FOLDER = 'ringmaster';
export const TRIAL_FILE = `${FOLDER}/apply.json`;
export const LOCK = `${FOLDER}/lock`;
export const ANSWERS = `${FOLDER}/answers`;
export const FACTS = `${FOLDER}/nodes`;
export const HISTORY = `${FOLDER}/history`;

/** null for what is no trial: another version's, or damaged. It is then as if there were none. */
export const readTrial = (text: string): Trial | null => parsed(trial, text);
export const readAnswer = (text: string): Answer | null => parsed(answer, text);
export const readFacts = (text: string): NodeFacts | null => parsed(facts, text);
export const readRecord = (text: string): TrialRecord | null => parsed(record, text);

function parsed<T>(schema: z.ZodMiniType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export type OpenTrial = Trial & { readonly phase: Exclude<Phase, 'ended'> };
export const isOpen = (one: Trial | null): one is OpenTrial => one !== null && one.phase !== 'ended';

/** What a node keeps on its own disk while it has a file on trial, so that it goes back by its own clock. */
const journal = z.object({
  id: z.string(),
  before: z.string(),
  after: z.string(),
  method: z.enum(['reload', 'rolling-restart', 'whole-restart']),
  engine: z.optional(change),
  /** Milliseconds since 1970 by this node's clock: counts only after a restart of the node's own programs. */
  deadlineWallMs: z.number(),
  /** Has the engine been told of the file? */
  loaded: z.boolean(),
  /** The clock has been set anew for the time in which a confirmation is waited for. */
  confirming: z.boolean(),
  /** The old file is back on disk, and the engine runs it. */
  givenUp: z.boolean(),
});

export type Journal = z.infer<typeof journal>;
export const readJournal = (text: string): Journal | null => parsed(journal, text);
