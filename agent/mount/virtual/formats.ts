/** `.vmlist`, `.version` and `.clusterlog`, byte for byte as pmxcfs writes them (measured). Pure. */
import type { Guest } from '../../tree/tree.ts';
import type { Counters } from './counters.ts';

/** `guests` in ascending VMID. */
export function vmlistFile(guests: readonly Guest[], counters: Counters): string {
  const head = `{\n"version": ${counters.guestChanges}`;
  if (guests.length === 0) return `${head}\n\n}\n`;
  const ids = guests.map(
    ({ vmid, node, type }) =>
      `"${vmid}": { "node": ${JSON.stringify(node)}, "type": "${type}", "version": ${counters.guest(vmid)} }`,
  );
  return `${head},\n"ids": {\n${ids.join(',\n')}}\n\n}\n`;
}

export interface VersionFacts {
  /** Seconds since 1970 at which this pmxcfs was started. */
  readonly startTimeS: number;
  /** Changes of `.members`. */
  readonly clusterInfo: number;
  /** By node and key, changes of the node's status. */
  readonly keyValues: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export function versionFile(facts: VersionFacts, counters: Counters): string {
  const lines = [
    `"starttime": ${facts.startTimeS}`,
    `"clinfo": ${facts.clusterInfo}`,
    `"vmlist": ${counters.guestChanges}`,
    ...[...counters.files].map(([path, count]) => `${JSON.stringify(path)}: ${count}`),
  ];
  const nodes = Object.entries(facts.keyValues).map(([node, keys]) => {
    const entries = Object.entries(keys).map(([key, version]) => `${JSON.stringify(key)}: ${version}`);
    return `${JSON.stringify(node)}: {\n${entries.join(',\n')}\n}`;
  });
  return `{\n${lines.join(',\n')},\n"kvstore": {\n${nodes.join(',\n')}\n}\n}\n`;
}

/** One line of the log of the whole cluster. */
export interface LogEntry {
  /** Counts the entries of its node's process. */
  readonly uid: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** As of syslog(3). */
  readonly pri: number;
  readonly tag: string;
  readonly pid: number;
  readonly node: string;
  readonly user: string;
  readonly msg: string;
}

/** Newest first. */
export function clusterLogFile(entries: readonly LogEntry[]): string {
  const lines = entries.map(
    ({ uid, time, pri, tag, pid, node, user, msg }) =>
      `{"uid": ${uid}, "time": ${time}, "pri": ${pri}, "tag": ${JSON.stringify(tag)}, "pid": ${pid}, ` +
      `"node": ${JSON.stringify(node)}, "user": ${JSON.stringify(user)}, "msg": ${JSON.stringify(msg)}}`,
  );
  return `{\n"data": [\n${lines.join(',\n')}\n]\n}\n`;
}
