/** What the app remembers between runs: the hosts, in hosts.json of the settings directory. No secrets. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { HostAddress } from './api.ts';

export interface SavedHost {
  readonly id: string;
  readonly host: HostAddress;
}

const file = z.object({
  version: z.literal(1),
  hosts: z.array(
    z.object({
      id: z.string().min(1),
      host: z.object({
        name: z.string(),
        address: z.string().min(1),
        port: z.number().int().min(1).max(65535),
        user: z.string(),
        identityFile: z.string().nullable(),
      }),
    }),
  ),
});

export interface LoadedSettings {
  readonly hosts: SavedHost[];
  /** A sentence for the user when the file was damaged and set aside; null otherwise. */
  readonly warning: string | null;
}

const FILE = 'hosts.json';

/** Reads the hosts. A damaged file is renamed, not lost, and the app starts without hosts. */
export function loadSettings(directory: string): LoadedSettings {
  const path = join(directory, FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { hosts: [], warning: null };
    return { hosts: [], warning: `${path} cannot be read: ${(error as Error).message}.` };
  }
  try {
    return { hosts: file.parse(JSON.parse(text)).hosts, warning: null };
  } catch {
    const aside = `${path}.damaged-${Date.now()}`;
    renameSync(path, aside);
    return { hosts: [], warning: `${path} was damaged. It is kept as ${aside}; the list of hosts starts empty.` };
  }
}

/** Writes the hosts: a crash at any instant leaves the old file or the new one. */
export function saveSettings(directory: string, hosts: readonly SavedHost[]): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, FILE);
  const fresh = `${path}.new`;
  const handle = openSync(fresh, 'w', 0o600);
  try {
    writeSync(handle, `${JSON.stringify({ version: 1, hosts }, null, 2)}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(fresh, path);
}
