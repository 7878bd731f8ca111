/** What a host without an agent answered, as facts; what it did not answer, as sentences. Pure. */
import { model, parse } from '../../../agent/conf/index.ts';
import type { AdoptedManager } from '../api.ts';
import { knetLinks, readCmap, readObjects, ringStatistics, runtimeMembers } from './read-cmap.ts';
import type { KnetLink, RingStatistics, RuntimeMember } from './read-cmap.ts';
import { readCfgTool, readQuorumTool } from './read-tools.ts';
import type { QuorumTool, ToolLink } from './read-tools.ts';
import { corosyncVersion, majorOf, managerOf, packageVersions, proxmoxVersion } from './read-versions.ts';
import type { Major, Versions } from './read-versions.ts';
import { textOf } from './sections.ts';
import type { Answer } from './sections.ts';
import { readTrialState } from './trial-state.ts';
import type { TrialState } from './trial-state.ts';

/** What changes with an installation or a boot only. */
export interface Standing {
  readonly hostname: string;
  readonly os: string;
  readonly addresses: readonly { readonly interface: string; readonly address: string; readonly prefix: number }[];
  readonly versions: Versions;
  readonly systemd: boolean;
  /** Units that systemd knows, by name without `.service`, and their state (`active`, `failed`, ...). */
  readonly units: ReadonlyMap<string, string>;
  /** Programs that a trial with a watchdog needs and that are not there. */
  readonly toolsMissing: readonly string[];
}

export interface AdoptedFacts extends Standing {
  /** By the host's own clock, milliseconds since 1970. */
  readonly clockMs: number;
  /** Seconds since the host's boot; a watchdog counts in them. */
  readonly uptime: number;
  readonly major: Major | null;
  readonly manager: AdoptedManager;
  readonly running: { readonly corosync: boolean; readonly pacemaker: boolean; readonly pmxcfs: boolean };
  readonly treeMounted: boolean;
  /** /etc/corosync/corosync.conf, and on Proxmox VE /etc/pve/corosync.conf. */
  readonly conf: string | null;
  readonly treeConf: string | null;
  readonly cmap: ReadonlyMap<string, string>;
  readonly quorum: QuorumTool | null;
  readonly runtime: readonly RuntimeMember[];
  readonly links: readonly KnetLink[];
  readonly toolLinks: readonly ToolLink[];
  readonly statistics: RingStatistics | null;
  readonly trial: TrialState | null;
  /** What could not be found out, a sentence each. */
  readonly gaps: readonly string[];
}

type Answers = ReadonlyMap<string, Answer>;

/** From the answers to the whole list of questions. */
export function readStanding(answers: Answers): Standing {
  const units = new Map<string, string>();
  for (const block of (textOf(answers, 'units') ?? '').split(/\n\n+/)) {
    const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(block)?.[1] ?? '';
    if (value('LoadState') === 'loaded') units.set(value('Id').replace(/\.service$/, ''), value('ActiveState'));
  }
  const addresses = (textOf(answers, 'addresses') ?? '').split('\n').flatMap((line) => {
    const found = /^\d+:\s+(\S+)\s+inet6?\s+([0-9a-f.:]+)\/(\d+)/.exec(line);
    return found === null
      ? []
      : [{ interface: found[1] ?? '', address: found[2] ?? '', prefix: Number(found[3] ?? '0') }];
  });
  return {
    hostname: (textOf(answers, 'hostname') ?? '').trim(),
    os: (textOf(answers, 'os') ?? '').trim(),
    addresses,
    versions: {
      corosync: corosyncVersion(textOf(answers, 'corosync-version') ?? ''),
      proxmox: proxmoxVersion(textOf(answers, 'pve-version') ?? ''),
      packages: packageVersions(textOf(answers, 'packages') ?? ''),
    },
    systemd: answers.get('units')?.kind === 'said' && textOf(answers, 'units') !== null,
    units,
    toolsMissing: (textOf(answers, 'trial-tools') ?? '').split(/\s+/).filter((word) => word !== ''),
  };
}

/** From the answers to the brief list, beside what stands. Null where neither Corosync nor a file of it is. */
export function readFacts(answers: Answers, standing: Standing): AdoptedFacts | null {
  const [seconds = '', uptime = ''] = (textOf(answers, 'now') ?? '').split('\n');
  const running = new Set((textOf(answers, 'running') ?? '').split(/\s+/));
  const conf = textOf(answers, 'conf');
  const treeMounted = textOf(answers, 'tree-mount') !== null;
  const treeConf = textOf(answers, 'tree-conf');
  const { versions } = standing;
  const installed = versions.corosync !== null || versions.packages.has('corosync');
  if (!installed && conf === null && !running.has('corosync')) return null;
  const major = majorOf(versions.corosync ?? versions.packages.get('corosync') ?? null);
  const cmapText = textOf(answers, 'cmap');
  const cmap = cmapText !== null ? readCmap(cmapText) : readObjects(textOf(answers, 'objects') ?? '');
  const stats = readCmap(textOf(answers, 'stats') ?? '');
  const quorum = readQuorumTool(saidText(answers, 'quorum'));
  const manager = managerOf({ versions, treeMounted, pacemaker: running.has('pacemakerd') });
  return {
    ...standing,
    clockMs: Number(seconds) * 1000,
    uptime: Math.floor(Number(uptime.split(' ')[0] ?? '0')),
    major,
    manager,
    running: {
      corosync: running.has('corosync') || cmap.size > 0,
      pacemaker: running.has('pacemakerd'),
      pmxcfs: running.has('pmxcfs'),
    },
    treeMounted,
    conf,
    treeConf: manager === 'proxmox' ? treeConf : null,
    cmap,
    quorum,
    runtime: runtimeMembers(cmap),
    links: knetLinks(stats, quorum?.localNode ?? localNode(cmap) ?? 0),
    toolLinks: readCfgTool(textOf(answers, 'links') ?? ''),
    statistics: ringStatistics(stats, cmap),
    trial: readTrialState(textOf(answers, 'trial') ?? ''),
    gaps: gapsOf(answers, { running: running.has('corosync'), major, manager, treeMounted }),
  };
}

/** corosync-quorumtool ends with 2 where there is no quorum (as seen on 3.1.7); what it says counts all the same. */
function saidText(answers: Answers, name: string): string {
  const answer = answers.get(name);
  return answer?.kind === 'said' ? answer.text : '';
}

/** The node id that cmap knows the host by. */
export function localNode(cmap: ReadonlyMap<string, string>): number | null {
  const position = cmap.get('nodelist.local_node_pos');
  const id = Number(
    cmap.get('runtime.votequorum.this_node_id') ?? cmap.get(`nodelist.node.${position ?? ''}.nodeid`) ?? '0',
  );
  return Number.isInteger(id) && id > 0 ? id : null;
}

const WHAT: Readonly<Record<string, string>> = {
  conf: '/etc/corosync/corosync.conf',
  'tree-conf': '/etc/pve/corosync.conf',
  cmap: 'Corosync’s keys (corosync-cmapctl)',
  stats: 'its statistics (corosync-cmapctl -m stats)',
  quorum: 'its votes (corosync-quorumtool)',
  links: 'its links (corosync-cfgtool)',
  packages: 'the versions of its packages',
};

function gapsOf(
  answers: Answers,
  seen: {
    readonly running: boolean;
    readonly major: Major | null;
    readonly manager: AdoptedManager;
    readonly treeMounted: boolean;
  },
): string[] {
  const gaps: string[] = [];
  for (const [name, what] of Object.entries(WHAT)) {
    const answer = answers.get(name);
    if (answer === undefined) continue;
    if (name === 'tree-conf' && seen.manager !== 'proxmox') continue;
    // Corosync 1 keeps its keys elsewhere, and only Corosync 3 has the map of statistics.
    if ((name === 'cmap' || name === 'stats') && seen.major === 1) continue;
    if (name === 'stats' && seen.major === 2) continue;
    if (answer.kind === 'late') gaps.push(`${what} did not come in time.`);
    else if (answer.kind === 'cut') gaps.push(`${what}: the connection broke off.`);
    else if (answer.kind === 'missing' && seen.running) gaps.push(`${what}: the command is not installed.`);
    else if (answer.kind === 'said' && answer.code !== 0 && seen.running && name !== 'quorum' && name !== 'packages') {
      gaps.push(`${what}: ${lastLine(answer.text)}`);
    }
  }
  if (seen.manager === 'proxmox' && !seen.treeMounted) gaps.push('/etc/pve is not mounted: pve-cluster does not run.');
  return gaps;
}

function lastLine(text: string): string {
  const line = text.trim().split('\n').at(-1) ?? '';
  return line === '' ? 'it cannot be read.' : /[.!?]$/.test(line) ? line : `${line}.`;
}

/**
 * Is it a cluster that the file speaks of? Debian's package comes with a file of one node at 127.0.0.1, and starts
 * Corosync on it: such a host is free.
 */
export function isConfigured(facts: AdoptedFacts): boolean {
  const text = facts.treeConf ?? facts.conf;
  if (text === null) return facts.cmap.size > 0;
  const { nodelist, totem } = model(parse(text));
  const addresses = nodelist.flatMap(({ addresses: all }) => all.map(({ address }) => address));
  if (addresses.length === 0) {
    const bound = totem.interfaces.flatMap(({ bindnetaddr }) => bindnetaddr ?? []);
    return bound.length > 0 && !bound.every((address) => address.startsWith('127.'));
  }
  return !addresses.every((address) => address.startsWith('127.') || address === '::1');
}
