/** A cluster without our agent as the page shows it: what it is, what can be done, what is not as it should be. Pure. */
import type { AdoptedCluster, AdoptedManager, AdoptedNode, ClusterMember } from '../api.ts';
import type { AdoptedFacts } from './facts.ts';
import { findingsOf } from './findings.ts';
import type { AskedNode } from './findings.ts';
import { dialectOf, majorOf } from './read-versions.ts';

/** Packages that are worth a line, under the name that people use. */
const PROGRAMS: readonly (readonly [string, string])[] = [
  ['pacemaker', 'Pacemaker'],
  ['pcs', 'pcs'],
  ['crmsh', 'crmsh'],
  ['pve-cluster', 'pmxcfs'],
  ['libknet1', 'knet'],
];

export function adoptedNode(facts: AdoptedFacts): AdoptedNode {
  const { versions } = facts;
  const programs = PROGRAMS.flatMap(([name, shown]) => {
    const version = versions.packages.get(name);
    return version === undefined ? [] : [{ name: shown, version }];
  });
  const proxmox = versions.proxmox === null ? [] : [{ name: 'Proxmox VE', version: versions.proxmox }];
  return {
    manager: facts.manager,
    corosync: versions.corosync,
    programs: [...proxmox, ...programs],
    running: facts.running.corosync,
    links: facts.links.map(({ link, peer, connected, latencyUs, latencyMaxUs, mtu, downs }) => {
      return { link, peer, connected, latencyUs, latencyMaxUs, mtu, downs };
    }),
    statistics: facts.statistics,
    gaps: facts.gaps,
  };
}

export interface Asked extends AskedNode {
  readonly hostId: string;
}

/** Null when nobody of the cluster was asked. */
export function adoptedCluster(nodes: readonly Asked[], members: readonly ClusterMember[]): AdoptedCluster | null {
  const [first] = nodes;
  if (first === undefined) return null;
  const manager = managerOf(nodes);
  const versions = [...new Set(nodes.flatMap(({ facts }) => facts.versions.corosync ?? []))].sort(byVersion);
  const lowest = majorOf(versions[0] ?? null);
  return {
    manager,
    versions: versionWords(versions),
    dialect: dialectOf(lowest) === 'corosync2' ? 'corosync2' : 'corosync3',
    ...abilities(manager, lowest, nodes),
    findings: findingsOf(nodes, members),
    offers: members.flatMap(({ nodeId, name, hostId, addresses }) => {
      const address = addresses[0]?.address;
      return hostId !== null || address === undefined ? [] : [{ nodeId, name, address }];
    }),
  };
}

/** One node of Proxmox VE makes it a cluster of Proxmox VE: what belongs to pmxcfs is left to it. */
export function managerOf(nodes: readonly AskedNode[]): AdoptedManager {
  const all = nodes.map(({ facts }) => facts.manager);
  if (all.includes('proxmox')) return 'proxmox';
  return all.includes('pacemaker') ? 'pacemaker' : 'plain';
}

function versionWords(versions: readonly string[]): string {
  const [lowest, highest] = [versions[0], versions.at(-1)];
  if (lowest === undefined || highest === undefined) return 'Corosync';
  return lowest === highest ? `Corosync ${lowest}` : `Corosync ${lowest} to ${highest}`;
}

const byVersion = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

/** Null when changes can be made; else why not, a sentence. */
export function whyReadOnly(nodes: readonly AskedNode[]): string | null {
  const majors = new Set(nodes.flatMap(({ facts }) => facts.major ?? []));
  if (majors.has(1)) {
    return 'Corosync 1 keeps no nodelist that could be changed while it runs: this cluster is shown, and not changed.';
  }
  if (majors.size > 1)
    return 'The nodes run different releases of Corosync: nothing is changed until all run the same.';
  return null;
}

function abilities(
  manager: AdoptedManager,
  lowest: number | null,
  nodes: readonly AskedNode[],
): Pick<AdoptedCluster, 'can' | 'cannot'> {
  const readOnly = whyReadOnly(nodes);
  const cannot = ['Browse /etc/pve under Files, and follow events: both need the agent on the nodes.'];
  if (readOnly !== null) return { can: ['See its nodes, votes and links.'], cannot: [readOnly, ...cannot] };
  const can = {
    proxmox: [
      'Edit /etc/pve/corosync.conf on trial; pmxcfs carries it to every node, as ever.',
      'Add and remove nodes by Proxmox VE’s own pvecm.',
    ],
    pacemaker: [
      'Edit /etc/corosync/corosync.conf on trial, on every node at once.',
      'Add and remove nodes; Pacemaker is started and stopped around Corosync.',
    ],
    plain: [
      'Edit /etc/corosync/corosync.conf on trial, on every node at once.',
      'Add and remove nodes that have Corosync installed.',
    ],
  }[manager];
  if (manager === 'proxmox') {
    cannot.unshift(
      'Touch /etc/corosync/corosync.conf, which belongs to pmxcfs, except to go back from a change that cost the quorum.',
    );
  }
  if (manager === 'pacemaker') cannot.unshift('Change resources: pcs or crm does that.');
  if (lowest === 2) cannot.unshift('Use knet links: they come with Corosync 3.');
  return { can: ['See its nodes, votes, links and drift.', ...can], cannot };
}
