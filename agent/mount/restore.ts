/** Puts a backup in the database's place. What was there is kept beside it. */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileStamp, syncDirectory, syncFile } from './stable-files.ts';
import { DATABASE, UNFINISHED_RESTORE } from './store.ts';

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
 * `backup` must be whole (checkDatabase). Gives where the former database is; null when there was none.
 * Broken off between the two names, no pmxcfs starts until it is done again (Store.open).
 */
export function restoreFrom(backup: string, directory: string): string | null {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const unfinished = join(directory, UNFINISHED_RESTORE);
  rmSync(unfinished, { force: true });
  copyFileSync(backup, unfinished);
  if (existsSync(`${backup}-wal`)) copyFileSync(`${backup}-wal`, `${unfinished}-wal`);
  syncFile(unfinished);
  const aside = moveAside(directory, 'before-restore');
  if (existsSync(`${unfinished}-wal`)) {
    syncFile(`${unfinished}-wal`);
    renameSync(`${unfinished}-wal`, join(directory, `${DATABASE}-wal`));
  }
  renameSync(unfinished, join(directory, DATABASE));
  syncDirectory(directory);
  return aside;
}
