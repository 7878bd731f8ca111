/** The trial in the tree: read, changed by one node at a time, ended and put into the history. */
import { sentence } from '../procedure.ts';
import type { Clock, TreePort } from '../ports.ts';
import { fromBase64, readTreeConf, toBase64, TREE_CONF } from '../conf-write.ts';
import {
  ANSWERS,
  FACTS,
  FOLDER,
  HISTORY,
  isOpen,
  LOCK,
  readAnswer,
  readFacts,
  readRecord,
  readTrial,
  TRIAL_FILE,
  type Answer,
  type NodeFacts,
  type Outcome,
  type Trial,
  type TrialRecord,
} from './trial.ts';

export interface TrialStore {
  readonly tree: TreePort;
  readonly clock: Clock;
}

/** A lock is held for a few writes. One that has not changed for so long was left by a node that died. */
const LOCK_LEFT_MS = 6_000;
/** Longer than the longest lock. */
const LOCK_WAIT_MS = 25_000;
/** Ended applies that are kept. */
const KEPT = 50;

const hasErrno = (error: unknown, errno: string): boolean => sentence(error).startsWith(`${errno}:`);

async function readOrNull(tree: TreePort, path: string): Promise<string | null> {
  try {
    return fromBase64(await tree.read(path));
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

async function namesIn(tree: TreePort, path: string): Promise<string[]> {
  try {
    return (await tree.list(path)).map(({ name }) => name).sort();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Makes a folder unless it is there. False when it was. */
async function makeFolder(tree: TreePort, path: string): Promise<boolean> {
  try {
    await tree.makeDirectory(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

async function writeIn(tree: TreePort, folder: string, name: string, value: object): Promise<void> {
  const path = `${folder}/${name}.json`;
  const contents = toBase64(`${JSON.stringify(value)}\n`);
  try {
    await tree.write(path, contents);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
    await makeFolder(tree, FOLDER);
    await makeFolder(tree, folder);
    await tree.write(path, contents);
  }
}

/** The last trial, open or ended; null when there never was one. Rejects while pmxcfs does not run. */
export async function lastTrial({ tree }: Pick<TrialStore, 'tree'>): Promise<Trial | null> {
  const text = await readOrNull(tree, TRIAL_FILE);
  return text === null ? null : readTrial(text);
}

const writeTrial = (tree: TreePort, trial: Trial): Promise<void> =>
  tree.write(TRIAL_FILE, toBase64(`${JSON.stringify(trial)}\n`));

/** Runs `work` while no other node changes the trial. */
async function alone<T>({ tree, clock }: TrialStore, work: () => Promise<T>): Promise<T> {
  await makeFolder(tree, FOLDER);
  const seen = { mtimeMs: -1, since: clock.now() };
  for (const end = clock.now() + LOCK_WAIT_MS; !(await makeFolder(tree, LOCK)); await clock.sleep(100)) {
    const entry = await tree.stat(LOCK).catch(() => null);
    if (entry !== null && entry.mtimeMs !== seen.mtimeMs)
      Object.assign(seen, { mtimeMs: entry.mtimeMs, since: clock.now() });
    if (clock.now() - seen.since > LOCK_LEFT_MS) await tree.remove(LOCK).catch(() => undefined);
    if (clock.now() > end) throw new Error('another node is changing corosync.conf at this moment. Try again.');
  }
  try {
    return await work();
  } finally {
    await tree.remove(LOCK).catch(() => undefined);
  }
}

/** Begins a trial. Rejects with who is in the way when there is one already. */
export function beginTrial(store: TrialStore, trial: Trial): Promise<void> {
  return alone(store, async () => {
    const present = await lastTrial(store);
    if (isOpen(present)) throw new Error(inTheWay(present));
    for (const name of await namesIn(store.tree, ANSWERS)) await store.tree.remove(`${ANSWERS}/${name}`);
    await writeTrial(store.tree, trial);
  });
}

export function inTheWay(trial: Trial): string {
  const who = `${trial.author} is applying corosync.conf version ${trial.version} on ${trial.leader}`;
  return trial.phase === 'confirm'
    ? `${who}; it runs and waits for its confirmation. Wait for its end, or say "pvecm conf confirm" or "pvecm conf revert".`
    : `${who} just now. Wait for its end, or say "pvecm conf revert".`;
}

/** Changes the open trial with this id; rejects when it is no longer open. Resolves to the changed one. */
export function changeTrial(store: TrialStore, id: string, change: (trial: Trial) => Trial): Promise<Trial> {
  return alone(store, async () => {
    const present = await lastTrial(store);
    if (!isOpen(present) || present.id !== id) throw new Error(overWords(present, id));
    const changed = change(present);
    await writeTrial(store.tree, changed);
    return changed;
  });
}

/**
 * Ends the trial and puts it into the history. Unless it was confirmed, the tree's corosync.conf becomes the
 * old one again, if it still is the one on trial. Resolves to the trial as it is; another's end stands.
 */
export function endTrial(store: TrialStore, id: string, outcome: Outcome): Promise<Trial> {
  return alone(store, async () => {
    const { tree } = store;
    const present = await lastTrial(store);
    if (present === null || present.id !== id) throw new Error(overWords(present, id));
    if (present.outcome !== null) return present;
    const ended: Trial = { ...present, phase: 'ended', turn: null, outcome };
    if (outcome.kind !== 'confirmed' && (await readTreeConf({ tree })) === present.after) {
      await tree.write(`${TREE_CONF}.new`, toBase64(present.before));
      await tree.rename(`${TREE_CONF}.new`, TREE_CONF);
    }
    await writeIn(tree, HISTORY, `${present.startedMs}-${present.id}`, {
      trial: ended,
      answers: await answersTo(store, id),
    });
    await writeTrial(tree, ended);
    const names = await namesIn(tree, HISTORY);
    for (const name of names.slice(0, -KEPT)) await tree.remove(`${HISTORY}/${name}`);
    return ended;
  });
}

function overWords(present: Trial | null, id: string): string {
  if (present?.id !== id || present.outcome === null) return 'this apply is over: another one has taken its place';
  const { kind, by, reason } = present.outcome;
  return kind === 'confirmed' ? `it was confirmed by ${by}` : `it was taken back: ${reason} (${by})`;
}

export async function answersTo({ tree }: Pick<TrialStore, 'tree'>, id: string): Promise<Answer[]> {
  const found: Answer[] = [];
  for (const name of await namesIn(tree, ANSWERS)) {
    const text = await readOrNull(tree, `${ANSWERS}/${name}`);
    const answer = text === null ? null : readAnswer(text);
    if (answer?.id === id) found.push(answer);
  }
  return found;
}

export const writeAnswer = (tree: TreePort, answer: Answer): Promise<void> =>
  writeIn(tree, ANSWERS, String(answer.nodeId), answer);

export const writeFacts = (tree: TreePort, facts: NodeFacts): Promise<void> =>
  writeIn(tree, FACTS, String(facts.nodeId), facts);

/** What each node said last of what it has and runs, by node id. */
export async function allFacts({ tree }: Pick<TrialStore, 'tree'>): Promise<Map<number, NodeFacts>> {
  const found = new Map<number, NodeFacts>();
  for (const name of await namesIn(tree, FACTS)) {
    const text = await readOrNull(tree, `${FACTS}/${name}`);
    const facts = text === null ? null : readFacts(text);
    if (facts !== null) found.set(facts.nodeId, facts);
  }
  return found;
}

/** Ended applies, the newest first. */
export async function history({ tree }: Pick<TrialStore, 'tree'>): Promise<TrialRecord[]> {
  const found: TrialRecord[] = [];
  for (const name of (await namesIn(tree, HISTORY)).reverse()) {
    const text = await readOrNull(tree, `${HISTORY}/${name}`);
    const record = text === null ? null : readRecord(text);
    if (record !== null) found.push(record);
  }
  return found;
}
