/** Files that are there after a power cut: synced, and so is the directory that names them. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';

export function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The same where a large file must not hold up this thread. */
export async function syncLater(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A new or renamed file's name is on stable storage after this. */
export const syncDirectory = syncFile;

/** A point in time as part of a file's name; sorts as time does. */
export const fileStamp = (time: Date): string => time.toISOString().replaceAll(/[:.]/g, '-');
