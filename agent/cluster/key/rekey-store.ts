/** The replacement of the key in the tree: read, and changed by one node at a time. */
import { fromBase64, toBase64 } from '../conf-write.ts';
import type { Clock, TreePort } from '../ports.ts';
import { sentence } from '../procedure.ts';
import { ANSWERS, FOLDER, isOpen, LOCK, readAnswer, readRekey, REKEY_FILE, type Answer, type Rekey } from './rekey.ts';

export interface RekeyStore {
  readonly tree: TreePort;
  readonly clock: Clock;
}

/** A lock is held for a few writes. One that has not changed for so long was left by a node that died. */
const LOCK_LEFT_MS = 6_000;
/** Longer than the longest lock. */
const LOCK_WAIT_MS = 25_000;

const hasErrno = (error: unknown, errno: string): boolean => sentence(error).startsWith(`${errno}:`);

async function unless<T>(errno: string, otherwise: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (hasErrno(error, errno)) return otherwise;
    throw error;
  }
}

const readOrNull = (tree: TreePort, path: string): Promise<string | null> =>
  unless<string | null>('ENOENT', null, async () => fromBase64(await tree.read(path)));

/** False when it was there. */
const makeFolder = (tree: TreePort, path: string): Promise<boolean> =>
  unless('EEXIST', false, async () => {
    await tree.makeDirectory(path);
    return true;
  });

const namesIn = (tree: TreePort, path: string): Promise<string[]> =>
  unless<string[]>('ENOENT', [], async () => (await tree.list(path)).map(({ name }) => name));

const write = (tree: TreePort, path: string, value: object): Promise<void> =>
  tree.write(path, toBase64(`${JSON.stringify(value)}\n`));

/** The last replacement, open or ended; null when there never was one. Rejects while pmxcfs does not run. */
export async function lastRekey(tree: TreePort): Promise<Rekey | null> {
  const text = await readOrNull(tree, REKEY_FILE);
  return text === null ? null : readRekey(text);
}

export async function answersTo(tree: TreePort, id: string): Promise<Answer[]> {
  const found: Answer[] = [];
  for (const name of await namesIn(tree, ANSWERS)) {
    const text = await readOrNull(tree, `${ANSWERS}/${name}`);
    const answer = text === null ? null : readAnswer(text);
    if (answer?.id === id) found.push(answer);
  }
  return found;
}

export const writeAnswer = (tree: TreePort, answer: Answer): Promise<void> =>
  write(tree, `${ANSWERS}/${answer.nodeId}.json`, answer);

/** Runs `work` while no other node changes the record. */
async function alone<T>({ tree, clock }: RekeyStore, work: () => Promise<T>): Promise<T> {
  await makeFolder(tree, 'priv');
  await makeFolder(tree, FOLDER);
  await makeFolder(tree, ANSWERS);
  const seen = { mtimeMs: -1, since: clock.now() };
  for (const end = clock.now() + LOCK_WAIT_MS; !(await makeFolder(tree, LOCK)); await clock.sleep(100)) {
    const entry = await tree.stat(LOCK).catch(() => null);
    if (entry !== null && entry.mtimeMs !== seen.mtimeMs)
      Object.assign(seen, { mtimeMs: entry.mtimeMs, since: clock.now() });
    if (clock.now() - seen.since > LOCK_LEFT_MS) await tree.remove(LOCK).catch(() => undefined);
    if (clock.now() > end) throw new Error('another node is replacing the key at this moment. Try again.');
  }
  try {
    return await work();
  } finally {
    await tree.remove(LOCK).catch(() => undefined);
  }
}

/** Begins a replacement. Rejects when there is one already. */
export function beginRekey(store: RekeyStore, rekey: Rekey): Promise<void> {
  return alone(store, async () => {
    const present = await lastRekey(store.tree);
    if (isOpen(present)) throw new Error(`${present.author} is replacing the key just now. Wait for its end.`);
    for (const name of await namesIn(store.tree, ANSWERS)) await store.tree.remove(`${ANSWERS}/${name}`);
    await write(store.tree, REKEY_FILE, rekey);
  });
}

/**
 * Changes the open replacement with this id; `change` returns null to leave it. Resolves to the record as it is then,
 * or null when that replacement is over.
 */
export function changeRekey(
  store: RekeyStore,
  id: string,
  change: (rekey: Rekey) => Rekey | null,
): Promise<Rekey | null> {
  return alone(store, async () => {
    const present = await lastRekey(store.tree);
    if (!isOpen(present) || present.id !== id) return null;
    const changed = change(present);
    if (changed === null) return present;
    await write(store.tree, REKEY_FILE, changed);
    return changed;
  });
}
