/** A small file that is replaced whole and is on stable storage when the call returns. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** Throws when the disk refuses. */
export function writeWhole(file: string, text: string): void {
  const directory = dirname(file);
  mkdirSync(directory, { recursive: true });
  const temporary = `${file}.new`;
  synced(openSync(temporary, 'w', 0o600), (fd) => writeSync(fd, text));
  renameSync(temporary, file);
  synced(openSync(directory, 'r'), () => undefined);
}

/** Null when the file is not there. Throws when it cannot be read. */
export function readWhole(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function synced(fd: number, work: (fd: number) => void): void {
  try {
    work(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
