/**
 * The node's key files. Every step leaves keys with which the node can open what the others seal, wherever it is cut
 * off: a key is added before one is taken away.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { acceptedKeyFile, previousKeyFile, type NodeLayout } from '../../node-layout.ts';
import type { KeysOnDisk } from './decide.ts';

/** Each change is on stable storage when the call returns. Throws what the file system throws. */
export interface KeyDisk {
  read(): KeysOnDisk;
  /** Puts the key beside the sealing one. Base64. */
  accept(key: string): void;
  /** Makes it the sealing one, and the one before the previous one. */
  seal(key: string): void;
  /** Leaves the sealing key only. */
  forget(): void;
}

export const digestOf = (key: Uint8Array): string => createHash('sha256').update(key).digest('hex');

export function keyDisk(layout: Pick<NodeLayout, 'authkey'>): KeyDisk {
  const [sealing, accepted, previous] = [layout.authkey, acceptedKeyFile(layout), previousKeyFile(layout)];
  const digest = (file: string): string | null => {
    const key = readOrNull(file);
    return key === null ? null : digestOf(key);
  };
  return {
    read: () => ({ sealing: digest(sealing), accepted: digest(accepted), previous: digest(previous) }),
    accept: (key) => writeKey(accepted, Buffer.from(key, 'base64')),
    seal: (key) => {
      const next = Buffer.from(key, 'base64');
      const present = readOrNull(sealing);
      // When it was cut off after this the new key seals already, and the file keeps the one before it.
      if (present === null || !present.equals(next)) {
        if (present !== null) writeKey(previous, present);
        writeKey(sealing, next);
      }
      remove(accepted);
    },
    forget: () => {
      remove(accepted);
      remove(previous);
    },
  };
}

function readOrNull(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Mode 0400 from the first byte on. */
function writeKey(file: string, key: Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}`;
  rmSync(partial, { force: true });
  writeFileSync(partial, key, { mode: 0o400, flag: 'wx', flush: true });
  chmodSync(partial, 0o400);
  renameSync(partial, file);
  syncFolder(file);
}

function remove(file: string): void {
  rmSync(file, { force: true });
  syncFolder(file);
}

function syncFolder(file: string): void {
  const descriptor = openSync(dirname(file), 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
