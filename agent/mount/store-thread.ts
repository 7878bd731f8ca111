/**
 * The store in a thread of its own: while it waits for the disk, messages of the cluster go on being delivered, and what
 * they bring is written together afterwards.
 */
import { openSync, closeSync, rmSync, writeSync, fsyncSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, type Worker } from 'node:worker_threads';
import type { ReplicaImage, StoreRecord } from '../replica/types.ts';
import { makeBackup } from './backups.ts';
import { startThread } from './start-thread.ts';
import { DiskRefuses, Store, StoreDamaged, StoreHeld } from './store.ts';

/** What the disk has to do, in order. Records in a row share one transaction. */
export type StoreJob = { readonly kind: 'record'; readonly record: StoreRecord } | { readonly kind: 'set-aside' };

/** What became of a backup that was asked for. `none`: the last one is recent. */
export type StoreBackup =
  | { readonly kind: 'made'; readonly file: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly words: string };

export interface StoreDone {
  /** A file for each job that set something aside. */
  readonly aside: readonly string[];
}

interface Request {
  readonly id: number;
  readonly ask:
    { readonly kind: 'jobs'; readonly jobs: readonly StoreJob[] } | { readonly kind: 'backup' | 'space' | 'close' };
}
type Said =
  | { readonly kind: 'opened'; readonly image: ReplicaImage }
  | ({ readonly kind: 'done' } & StoreDone)
  | { readonly kind: 'backup'; readonly backup: StoreBackup }
  | { readonly kind: 'failed'; readonly failure: Failure };
interface Answer {
  readonly id: number;
  readonly said: Said;
}
interface Failure {
  readonly kind: 'damaged' | 'held' | 'full' | 'disk' | 'other';
  readonly words: string;
}

interface StoreData {
  readonly ringmasterThread: 'store';
  readonly directory: string;
}

/** A node whose disk is full goes on when so much can be written again. */
const SPACE_BYTES = 4 * 1024 * 1024;
const CLOSE_MS = 10_000;
const YOUNG_MB = 8;

export class StoreThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(said: Said): void; reject(error: Error): void }>();
  #last = 0;
  #ended = false;

  /** Opens the store as Store.open does, and loads it. Rejects with what Store.open and load throw. */
  static async open(directory: string): Promise<{ store: StoreThread; image: ReplicaImage }> {
    const store = new StoreThread(directory);
    try {
      const said = await store.#answer(0);
      if (said.kind !== 'opened') throw new Error('the thread of the store has another version');
      return { store, image: said.image };
    } catch (error) {
      await store.#worker.terminate();
      throw error;
    }
  }

  private constructor(directory: string) {
    const data: StoreData = { ringmasterThread: 'store', directory };
    // Its objects live for one commit: a young generation of the usual size would be memory that nobody needs.
    this.#worker = startThread(data, { maxYoungGenerationSizeMb: YOUNG_MB });
    this.#worker.on('message', ({ id, said }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (said.kind === 'failed') waiting?.reject(errorOf(said.failure));
      else waiting?.resolve(said);
    });
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(new Error('the thread of the store ended')));
  }

  /** Resolves when all is on stable storage. After a rejection nothing may be handed over any more. */
  async run(jobs: readonly StoreJob[]): Promise<StoreDone> {
    const said = await this.#ask({ kind: 'jobs', jobs });
    return { aside: said.kind === 'done' ? said.aside : [] };
  }

  /** Beside what is run: commits go on meanwhile. */
  async backUp(): Promise<StoreBackup> {
    const said = await this.#ask({ kind: 'backup' });
    return said.kind === 'backup' ? said.backup : { kind: 'none' };
  }

  /** Is there room again on a disk that was full? */
  async hasSpace(): Promise<boolean> {
    return this.#ask({ kind: 'space' }).then(
      () => true,
      () => false,
    );
  }

  /** After what was handed over before; a disk that hangs is not waited for. */
  async close(): Promise<void> {
    if (this.#ended) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
    await Promise.race([this.#ask({ kind: 'close' }).catch(() => undefined), late]);
    clearTimeout(timer);
    await Promise.race([this.#worker.terminate(), new Promise((resolve) => setTimeout(resolve, 1_000).unref())]);
  }

  #ask(ask: Request['ask']): Promise<Said> {
    if (this.#ended) return Promise.reject(new Error('the thread of the store ended'));
    this.#last += 1;
    const request: Request = { id: this.#last, ask };
    this.#worker.postMessage(request);
    return this.#answer(this.#last);
  }
  #answer(id: number): Promise<Said> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }
  #end(error: Error): void {
    this.#ended = true;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function failureOf(error: unknown): Failure {
  const words = error instanceof Error ? error.message : String(error);
  if (error instanceof StoreDamaged) return { kind: 'damaged', words };
  if (error instanceof StoreHeld) return { kind: 'held', words };
  if (error instanceof DiskRefuses) return { kind: error.full ? 'full' : 'disk', words };
  return { kind: 'other', words };
}

function errorOf({ kind, words }: Failure): Error {
  if (kind === 'damaged') return new StoreDamaged(words);
  if (kind === 'held') return new StoreHeld(words);
  return kind === 'other' ? new Error(words) : new DiskRefuses(words, kind === 'full', null);
}

/** The thread's own part. `data` is the Worker's workerData. */
export function runStoreThread(data: unknown): void {
  const { directory } = data as StoreData; // set by StoreThread, nobody else
  const port = parentPort;
  if (port === null) throw new Error('this runs in a worker thread only');
  const say = (id: number, said: Said): void => port.postMessage({ id, said } satisfies Answer);
  const guarded = (id: number, act: () => Said): void => {
    try {
      say(id, act());
    } catch (error) {
      say(id, { kind: 'failed', failure: failureOf(error) });
    }
  };
  let store: Store | null = null;
  guarded(0, () => {
    const opened = Store.open(directory);
    store = opened;
    return { kind: 'opened', image: opened.load() };
  });
  port.on('message', ({ id, ask }: Request) => {
    if (ask.kind === 'backup' && store !== null)
      return void backUp(store, directory).then((backup) => say(id, { kind: 'backup', backup }));
    guarded(id, () => {
      if (store === null) throw new Error('the store is not open');
      if (ask.kind === 'jobs') return { kind: 'done', aside: runJobs(store, ask.jobs) };
      if (ask.kind === 'space') writeSpace(directory);
      else store.close();
      return { kind: 'done', aside: [] };
    });
  });
}

/** Throws what Store.commit and Store.setAside throw. */
export function runJobs(store: Store, jobs: readonly StoreJob[]): string[] {
  const aside: string[] = [];
  let records: StoreRecord[] = [];
  const commit = (): void => {
    if (records.length > 0) store.commit(records);
    records = [];
  };
  for (const job of jobs) {
    if (job.kind === 'record') {
      records.push(job.record);
      continue;
    }
    commit();
    aside.push(store.setAside('set-aside'));
  }
  commit();
  return aside;
}

/**
 * A backup is for a bad day; that there is none must not make one. A disk with room for writes and not for a copy of the
 * whole database would otherwise count as full, be found free, and count as full again.
 */
export async function backUp(store: Store, directory: string): Promise<StoreBackup> {
  try {
    const file = await makeBackup(store, directory, new Date());
    return file === null ? { kind: 'none' } : { kind: 'made', file };
  } catch (error) {
    return { kind: 'failed', words: failureOf(error).words };
  }
}

/** Throws where the disk has no room for it. */
function writeSpace(directory: string): void {
  const file = join(directory, 'config.db-room');
  try {
    const fd = openSync(file, 'w', 0o600);
    try {
      writeSync(fd, new Uint8Array(SPACE_BYTES));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } finally {
    rmSync(file, { force: true });
  }
}
