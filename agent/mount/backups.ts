/**
 * Copies of the database that are kept for a person: made at the start, which is before a node takes over the state of a
 * cluster, and daily. What a step takes the place of is kept by itself (Store.setAside, restore.ts).
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileStamp } from './stable-files.ts';
import { DATABASE, type Store } from './store.ts';

/** Kept of the ones made by themselves. */
const MOST = 7;
const HOUR_MS = 3_600_000;
/** A process that is started again and again must not push the good ones out. */
const APART_MS = 6 * HOUR_MS;
export const BACKUP_EVERY_MS = 24 * HOUR_MS;

const UNFINISHED = /\.unfinished(-journal|-wal)?$/;
const NAME = /^config-(\d{4}-\d\d-\d\dT[\d-]+Z)\.db$/;

export interface Backup {
  readonly file: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly madeMs: number;
}

export const backupsDirectory = (directory: string): string => join(directory, 'backup');

/** Backups by name, newest first, and what was set aside beside the database. */
export function backupsIn(directory: string): Backup[] {
  const found = [
    ...inDirectory(backupsDirectory(directory), (name) => NAME.test(name)),
    ...inDirectory(directory, (name) => name.startsWith(`${DATABASE}.`) && !name.endsWith('.unfinished')),
  ];
  return found.sort((left, right) => right.madeMs - left.madeMs);
}

function inDirectory(directory: string, counts: (name: string) => boolean): Backup[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter(counts)
    .map((name) => {
      const file = join(directory, name);
      const { size, mtimeMs } = statSync(file);
      return { file, bytes: size, madeMs: mtimeMs };
    });
}

/** Makes one and lets the oldest go. Null: the last one is recent. Rejects as Store.backUp does. */
export async function makeBackup(store: Store, directory: string, now: Date): Promise<string | null> {
  const folder = backupsDirectory(directory);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const own = inDirectory(folder, (name) => NAME.test(name)).sort((left, right) => right.madeMs - left.madeMs);
  const last = own[0]?.madeMs ?? -Infinity;
  // A clock that was set back leaves backups of the future.
  if (Math.abs(now.getTime() - last) < APART_MS) return null;
  // What a process that was ended meanwhile has left.
  for (const name of readdirSync(folder)) if (UNFINISHED.test(name)) rmSync(join(folder, name), { force: true });
  const file = join(folder, `config-${fileStamp(now)}.db`);
  await store.backUp(file);
  for (const { file: old } of own.slice(MOST - 1)) rmSync(old, { force: true });
  return file;
}
