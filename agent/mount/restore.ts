/** Puts a backup in the database's place. What was there is kept beside it. */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileStamp, syncDirectory, syncFile } from './stable-files.ts';
import { DATABASE, markForgetful, UNFINISHED_RESTORE } from './store.ts';

/** Moves the present database aside, with its log; null when there is none. */
export function moveAside(directory: string, why: string): string | null {
  const file = join(directory, DATABASE);
  if (!existsSync(file)) {
    rmSync(`${file}-wal`, { force: true });
    return null;
  }
  const aside = join(directory, `${DATABASE}.${why}-${fileStamp(new Date())}`);
  if (existsSync(`${file}-wal`)) {
    copyFileSync(`${file}-wal`, `${aside}-wal`);
    syncFile(`${aside}-wal`);
  }
  renameSync(file, aside);
  syncDirectory(directory);
  for (const end of ['-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
  syncDirectory(directory);
  return aside;
}

/**
 * `backup` must be whole (checkDatabase); null: an empty database. Gives where the former one is; null when there was
 * none. What this node acknowledged since is not in it, and it says so to the others (ReplicaImage.forgetful).
 * Broken off between the two names, no pmxcfs starts until it is done again (Store.open).
 */
export function restoreFrom(backup: string | null, directory: string): string | null {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const unfinished = join(directory, UNFINISHED_RESTORE);
  for (const end of ['', '-wal', '-shm', '-journal']) rmSync(`${unfinished}${end}`, { force: true });
  if (backup !== null) {
    copyFileSync(backup, unfinished);
    if (existsSync(`${backup}-wal`)) copyFileSync(`${backup}-wal`, `${unfinished}-wal`);
  }
  markForgetful(unfinished);
  syncFile(unfinished);
  const aside = moveAside(directory, backup === null ? 'given-up' : 'before-restore');
  renameSync(unfinished, join(directory, DATABASE));
  syncDirectory(directory);
  return aside;
}

/** Beside everything else this agent keeps, not beside the database: it must outlive that. */
const witness = (home: string): string => join(home, 'took-part');

/** Once this node has had the state of a cluster, it may acknowledge writes to it. */
export function noteTookPart(home: string): void {
  if (existsSync(witness(home))) return;
  mkdirSync(home, { recursive: true });
  writeFileSync(witness(home), 'This node has taken part in the tree of a cluster.\n');
  syncFile(witness(home));
  syncDirectory(home);
}

/**
 * A node that took part and whose database is gone is not a new one: it begins with an empty database that says so.
 * True when it was gone.
 */
export function replaceLost(home: string, directory: string): boolean {
  const isThere = [DATABASE, UNFINISHED_RESTORE].some((name) => existsSync(join(directory, name)));
  if (isThere || !existsSync(witness(home))) return false;
  restoreFrom(null, directory);
  return true;
}
