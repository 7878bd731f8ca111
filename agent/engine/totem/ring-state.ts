/** The highest ring sequence this node took part in, kept through crashes so that ring ids never repeat. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeId } from '../../totem/ids.ts';

export interface RingState {
  readonly sequence: number;
  /** On stable storage when it returns. Throws when the disk refuses: then no ring may be formed. */
  persist(sequence: number): void;
}

/** Throws when the file is there and does not hold a number: to start over could repeat a ring id. */
export function openRingState(directory: string, node: NodeId): RingState {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `ringmaster-ring-${node}`);
  return {
    sequence: readSequence(file),
    persist: (sequence) => {
      const temporary = `${file}.new`;
      const fd = openSync(temporary, 'w', 0o600);
      try {
        writeSync(fd, `${sequence}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, file);
      const parent = openSync(directory, 'r');
      try {
        fsyncSync(parent);
      } finally {
        closeSync(parent);
      }
    },
  };
}

function readSequence(file: string): number {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
    throw error;
  }
  const sequence = Number(content.trim());
  if (!Number.isSafeInteger(sequence) || sequence < 0 || content.trim() === '') {
    throw new Error(`${file} is damaged: remove it only after every node of the cluster has been stopped`);
  }
  return sequence;
}
