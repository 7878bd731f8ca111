/** The links between the members of a ring, as every member that can be asked reports its own. Pure. */
import type { ClusterMember, ClusterView, HostView, LinkStatus } from '../../electron/host/api.ts';
import { clockTime, latency } from '../words/time.ts';

/** One direction of a link: what the node `from` knows of its link to `to`. */
export interface SeenLink {
  readonly from: number;
  readonly to: number;
  readonly link: number;
  readonly status: LinkStatus;
}

/** Links from every member whose host answers. An engine that is down knows of none. */
export function seenLinks(cluster: ClusterView, hosts: readonly HostView[]): readonly SeenLink[] {
  return hosts.flatMap(({ clusterId, connection, report }) => {
    if (clusterId !== cluster.id || connection.kind !== 'connected') return [];
    const engine = report?.engine ?? null;
    if (engine === null || engine.state.kind === 'down') return [];
    const from = Number(engine.localNode);
    return engine.links.map((status) => ({ from, to: Number(status.peer), link: status.link, status }));
  });
}

/** Two members and the links between them that at least one of the two finds down. */
export interface BrokenPair {
  readonly nodes: readonly [number, number];
  readonly links: readonly number[];
}

/** Of an absent node every link is down: that is no news of its links. */
export function brokenPairs(members: readonly ClusterMember[], seen: readonly SeenLink[]): readonly BrokenPair[] {
  const inRing = new Set(members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId));
  const pairs = new Map<string, { nodes: [number, number]; links: Set<number> }>();
  for (const { from, to, link, status } of seen) {
    if (status.connected || isUntested(status) || !inRing.has(from) || !inRing.has(to)) continue;
    const nodes: [number, number] = from < to ? [from, to] : [to, from];
    const pair = pairs.get(nodes.join()) ?? { nodes, links: new Set() };
    pair.links.add(link);
    pairs.set(nodes.join(), pair);
  }
  return [...pairs.values()].map(({ nodes, links }) => ({ nodes, links: [...links].sort((a, b) => a - b) }));
}

/** Links of one member that are down to another member. */
export const brokenLinks = (nodeId: number, pairs: readonly BrokenPair[]): readonly number[] =>
  [...new Set(pairs.flatMap(({ nodes, links }) => (nodes.includes(nodeId) ? links : [])))].sort((a, b) => a - b);

/** `link 1`, `links 0, 1`. */
export const linkNames = (links: readonly number[]): string =>
  `${links.length === 1 ? 'link' : 'links'} ${links.join(', ')}`;

export interface PeerWords {
  readonly peer: string;
  readonly words: string;
  readonly broken: boolean;
}

/** More lines than this are summed up, and only what is broken is named. */
const MOST_LINES = 6;

/** What there is to say of one link of a member to each other member: a line a peer, or a sum. */
export function linkWords(
  member: ClusterMember,
  link: number,
  members: readonly ClusterMember[],
  seen: readonly SeenLink[],
): readonly PeerWords[] {
  if (member.state !== 'member') return [];
  const lines = members.flatMap((peer): { readonly peer: string; readonly status: LinkStatus }[] => {
    if (peer.state !== 'member' || peer.nodeId === member.nodeId) return [];
    const between = (from: number, to: number): SeenLink | undefined =>
      seen.find((one) => one.from === from && one.to === to && one.link === link);
    const [there, back] = [between(member.nodeId, peer.nodeId), between(peer.nodeId, member.nodeId)];
    // Of two that differ the worse one counts: packets have to go both ways.
    const found = back !== undefined && !back.status.connected ? back : (there ?? back);
    return found === undefined ? [] : [{ peer: peer.name, status: found.status }];
  });
  const worded = lines.map(({ peer, status }): PeerWords => ({
    peer,
    words: statusWords(status),
    broken: !status.connected && !isUntested(status),
  }));
  if (lines.length <= MOST_LINES) return worded;
  const up = lines.filter(({ status }) => status.connected);
  return [
    { peer: `${up.length} of ${lines.length} nodes`, words: sumWords(up.map(({ status }) => status)), broken: false },
    ...worded.filter(({ broken }) => broken),
  ];
}

function statusWords(status: LinkStatus): string {
  if (isUntested(status)) return 'no answer yet';
  if (!status.connected) return status.since ? `down since ${clockTime(status.since)}` : 'no answer';
  const parts = [status.latencyUs === null ? 'up' : latency(status.latencyUs)];
  // Engines of older agents do not tell of it.
  if (status.mtu) parts.push(`MTU ${status.mtu}`);
  if (status.failures > 0) parts.push(status.failures === 1 ? 'failed once' : `failed ${status.failures} times`);
  return parts.join(' · ');
}

function sumWords(up: readonly LinkStatus[]): string {
  const times = up.flatMap(({ latencyUs }) => latencyUs ?? []);
  const sizes = up.flatMap(({ mtu }) => mtu ?? []);
  const parts = [
    times.length === 0 ? 'up' : `${latency(Math.min(...times))} to ${latency(Math.max(...times))}`,
    ...(sizes.length === 0 ? [] : [`MTU ${Math.min(...sizes)}`]),
  ];
  return parts.join(' · ');
}

const isUntested = ({ state }: LinkStatus): boolean => state === 'untested';
