/** What this node must remember through crashes: the highest ring sequence, so that ring ids never repeat, and its votes. */
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { QuorumMemory } from '../../quorum/quorum.ts';
import { sequenceWithoutDisk, type NodeId } from '../../totem/ids.ts';
import { readWhole, writeWhole } from './small-file.ts';

export interface RingState {
  readonly sequence: number;
  /** On stable storage when it returns. Throws when the disk refuses: then no ring may be formed. */
  persist(sequence: number): void;
}

/** `random` is from 0 up to 1. Throws when the file is there and does not hold a number: to start over could repeat a ring id. */
export function openRingState(directory: string, node: NodeId, now: number, random: number): RingState {
  const file = join(directory, `ringmaster-ring-${node}`);
  const content = readWhole(file)?.trim() ?? null;
  const sequence = content === null ? sequenceWithoutDisk(now, random) : Number(content);
  if (!Number.isSafeInteger(sequence) || sequence < 0 || content === '')
    throw new Error(`${file} is damaged: remove it only after every node of the cluster has been stopped`);
  return { sequence, persist: (next) => writeWhole(file, `${next}\n`) };
}

export interface VotesState {
  /** Null: nothing is remembered, and nothing good is assumed. */
  readonly memory: QuorumMemory | null;
  persist(memory: QuorumMemory): void;
}

const memory = z.object({ incomplete: z.boolean(), highestExpected: z.int().check(z.nonnegative()) });

/** A file that cannot be understood counts as none. */
export function openVotesState(directory: string, node: NodeId): VotesState {
  const file = join(directory, `ringmaster-votes-${node}.json`);
  const content = readWhole(file);
  return {
    memory: content === null ? null : understood(content),
    persist: (next) => writeWhole(file, `${JSON.stringify(next)}\n`),
  };
}

function understood(content: string): QuorumMemory | null {
  try {
    return memory.parse(JSON.parse(content));
  } catch {
    return null;
  }
}
