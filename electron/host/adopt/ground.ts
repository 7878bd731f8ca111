/** The cluster that a procedure works on: its nodes as they are now, and whether it can be changed from here. */
import { createHash } from 'node:crypto';
import type { EngineStatus } from '../../../agent/engine/engine.ts';
import type { AdoptedManager, ClusterView } from '../api.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { HostLink } from '../fleet/host-link.ts';
import { managerOf, whyReadOnly } from './adopted-cluster.ts';
import { asReport, clusterConf } from './as-report.ts';
import type { AdoptedFacts } from './facts.ts';
import { TrialHost } from './trial-host.ts';

export interface GroundNode {
  readonly name: string;
  readonly nodeId: number;
  readonly link: HostLink;
  readonly facts: AdoptedFacts;
  readonly host: TrialHost;
}

export interface Ground {
  readonly view: ClusterView;
  readonly manager: AdoptedManager;
  /** Nodes that answer, the best informed first. */
  readonly nodes: readonly GroundNode[];
  /** As the first of them sees the cluster. */
  readonly status: EngineStatus;
  /** The cluster's corosync.conf, of the first of them. */
  readonly present: string;
}

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Looks at every reachable node anew. Rejects with a sentence when nobody answers. */
export async function survey(fleet: Fleet, clusterId: string): Promise<Ground> {
  const view = fleet.cluster(clusterId);
  const looked = await Promise.all(
    fleet.adoptedMembers(clusterId).map(async (link): Promise<GroundNode | null> => {
      const facts = await link.look().catch(() => null);
      const status = facts === null ? null : asReport(facts).engine;
      if (facts === null || status === null || link.ssh === null) return null;
      const member = status.members.find(({ local }) => local);
      const name = member?.name ?? facts.hostname;
      return { name, nodeId: status.localNode, link, facts, host: new TrialHost(name, status.localNode, link.ssh) };
    }),
  );
  const nodes = looked.filter((node) => node !== null);
  nodes.sort((a, b) => knows(b) - knows(a));
  const [first] = nodes;
  const status = first === undefined ? null : asReport(first.facts).engine;
  const present = first === undefined ? null : clusterConf(first.facts);
  if (first === undefined || status === null) throw new Error(`No node of ${view.name} can be reached now.`);
  if (present === null) throw new Error(`${first.name} has no corosync.conf.`);
  return { view, manager: managerOf(asked(nodes)), nodes, status, present };
}

/** A node that is stopped has its file to tell of, and nothing of the ring. */
const knows = ({ facts }: GroundNode): number => (facts.quorum?.quorate === true ? 2 : facts.running.corosync ? 1 : 0);

const asked = (nodes: readonly GroundNode[]) => nodes.map(({ name, facts }) => ({ name, facts, live: true }));

/** Why this cluster cannot be changed from here; null when it can. */
export function whyNotChanged({ nodes, status, manager }: Ground): string | null {
  const readOnly = whyReadOnly(asked(nodes));
  if (readOnly !== null) return readOnly;
  const lacking = nodes.find(({ facts }) => facts.toolsMissing.length > 0);
  if (lacking !== undefined) {
    return `${lacking.name} lacks ${lacking.facts.toolsMissing.join(', ')}, which a change on trial needs there.`;
  }
  if (status.state.kind === 'down') return `Corosync does not answer: ${status.state.reason}.`;
  if (manager === 'proxmox' && !status.quorum.quorate) {
    return 'The cluster has no quorum, so /etc/pve takes no change. Bring nodes back, or read "Write Configuration When Not Quorate" in the manual.';
  }
  if (!status.quorum.quorate) return 'The cluster has no quorum. Bring nodes back first: a change now could part it.';
  const known = new Set(nodes.map(({ nodeId }) => nodeId));
  const strangers = status.members.filter(({ nodeId, state }) => state === 'member' && !known.has(nodeId));
  // pmxcfs carries the file to nodes that we do not reach; elsewhere nobody would.
  if (manager !== 'proxmox' && strangers.length > 0) {
    const names = strangers.map(({ nodeId, name }) => name ?? `node ${nodeId}`).join(', ');
    return `${names} ${strangers.length === 1 ? 'is' : 'are'} in the ring and cannot be reached from here. Add every node as a host first: each needs the same file.`;
  }
  return null;
}
