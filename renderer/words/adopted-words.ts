/** What an adopted cluster is called. Pure. */
import type { AdoptedCluster, AdoptedManager, AdoptedNode, ClusterView, HostView } from '../../electron/host/api.ts';
import type { Tone } from './host-words.ts';

const MANAGERS: Readonly<Record<AdoptedManager, string>> = {
  proxmox: 'Proxmox VE',
  pacemaker: 'Pacemaker',
  plain: 'Corosync alone',
};

export const managerWords = (manager: AdoptedManager): string => MANAGERS[manager];

/** `Corosync 3.1.7 · Pacemaker`. */
export const adoptedWords = ({ versions, manager }: AdoptedCluster): string =>
  manager === 'plain' ? versions : `${versions} · ${MANAGERS[manager]}`;

/** Of one host: `Corosync 3.1.7, Pacemaker 2.1.5`. */
export const programWords = ({ corosync, programs }: AdoptedNode): string =>
  [
    `Corosync${corosync === null ? '' : ` ${corosync}`}`,
    ...programs.map(({ name, version }) => `${name} ${version}`),
  ].join(', ');

export const findingTone = (tone: AdoptedCluster['findings'][number]['tone']): Tone =>
  tone === 'info' ? 'quiet' : tone;

/** A host of a cluster that runs without our agent. */
export const isAdopted = ({ adopted, clusterId }: HostView): boolean => adopted !== null && clusterId !== null;

/** Nodes that can be taken out: all but the last one. */
export const canRemove = ({ adopted, members }: ClusterView): boolean => adopted !== null && members.length > 1;
