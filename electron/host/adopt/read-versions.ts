/** Which programs a host has, by what they and its package manager say. Pure. */
import type { Dialect } from '../../../agent/conf/index.ts';
import type { AdoptedManager } from '../api.ts';

export interface Versions {
  /** Of the program itself; null when it is not there, or does not say. */
  readonly corosync: string | null;
  /** Of `pveversion`: the release of Proxmox VE. */
  readonly proxmox: string | null;
  /** Package name to version, of those that are installed. */
  readonly packages: ReadonlyMap<string, string>;
}

/** `Corosync Cluster Engine, version '3.1.7'` (as recorded; 1.x and 2.x print the same line). */
export const corosyncVersion = (output: string): string | null =>
  /Corosync Cluster Engine, version '([^']+)'/.exec(output)?.[1] ?? null;

/** `pve-manager/8.2.4/faa83925c9641325 (running kernel: 6.8.8-2-pve)`. */
export const proxmoxVersion = (output: string): string | null => /^pve-manager\/([^/\s]+)/m.exec(output)?.[1] ?? null;

/** Lines `name version ...`, of dpkg-query or rpm. */
export function packageVersions(output: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of output.split('\n')) {
    const [name = '', version = ''] = line.split(' ');
    if (/^[a-z0-9.+-]+$/.test(name) && version !== '') found.set(name, version);
  }
  return found;
}

export type Major = 1 | 2 | 3;

/** 1, 2 or 3. 1.9x was the way to 2, 2.99 that to 3. Null for what is none of them. */
export function majorOf(version: string | null): Major | null {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (major === undefined) return null;
  if (major === '1') return Number(minor) >= 90 ? 2 : 1;
  if (major === '2') return Number(minor) >= 90 ? 3 : 2;
  return major === '3' ? 3 : null;
}

export const dialectOf = (major: Major | null): Dialect => (major === 1 || major === 2 ? 'corosync2' : 'corosync3');

/** Who else looks after the cluster. Proxmox VE is known by its mounted tree or its program. */
export function managerOf(seen: {
  readonly versions: Versions;
  readonly treeMounted: boolean;
  readonly pacemaker: boolean;
}): AdoptedManager {
  if (seen.treeMounted || seen.versions.proxmox !== null || seen.versions.packages.has('pve-cluster')) return 'proxmox';
  return seen.pacemaker || seen.versions.packages.has('pacemaker') ? 'pacemaker' : 'plain';
}
