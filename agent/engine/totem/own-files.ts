/** The files that the bundled engine reads when it starts and at a reload: corosync.conf and the cluster's key. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { NodeLayout } from '../../node-layout.ts';
import type { ClusterKey } from '../../totem/security/cluster-key.ts';
import { engineSettings, type EngineSettings } from '../settings.ts';
import { clusterKeys, readKeys } from './cipher.ts';

/** corosync.conf is missing or not to be used. */
export class ConfRefused extends Error {
  override readonly name = 'ConfRefused';
}

/** Throws ConfRefused. */
export function readSettings(layout: NodeLayout): EngineSettings {
  let text: string;
  try {
    text = readFileSync(layout.corosyncConf, 'utf8');
  } catch (error) {
    throw new ConfRefused(`${layout.corosyncConf} cannot be read: ${error instanceof Error ? error.message : ''}`);
  }
  const settings = engineSettings(text);
  if (!settings.ok) throw new ConfRefused(`${layout.corosyncConf} is refused:\n${settings.error}`);
  return settings.value;
}

/**
 * The keys that packets are sealed and opened with; none without encryption. A key in the file counts only where no
 * file with a key is named (corosync.conf(5)). Throws ConfRefused.
 */
export function readClusterKeys(
  layout: NodeLayout,
  { crypto, keyFile, key }: Pick<EngineSettings, 'crypto' | 'keyFile' | 'key'>,
): readonly ClusterKey[] {
  if (crypto === 'none') return [];
  if (keyFile === null && key !== null) return clusterKeys({ sealing: Buffer.from(key), accepted: [] }, crypto);
  const named = keyFile === null ? layout.authkey : layout.root === '' ? keyFile : join(layout.root, keyFile);
  const files = readKeys({ ...layout, authkey: named });
  if (!files.ok) throw new ConfRefused(files.error);
  return clusterKeys(files.value, crypto);
}

/** Puts a newer corosync.conf in place; the one before stays beside it. Throws what the disk says. */
export function installConf(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o644, flush: true });
  renameSync(file, `${file}.bak`);
  renameSync(`${file}.new`, file);
}

/** Addresses of this machine. */
export function localAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return new Set(all.map((entry) => entry.address));
}
