/** One cluster as its members report it, put together in one picture. A pure function. */
import { formatRingId } from '../../../agent/totem/ids.ts';
import type { MemberStatus, QuorumStatus } from '../../../agent/engine/engine.ts';
import type { NodeReport } from '../../../agent/rpc/api.ts';
import type { ClusterMember, ClusterView } from '../api.ts';

/** A host's last report, and whether the host can still be asked. */
export interface Witness {
  readonly hostId: string;
  readonly reachable: boolean;
  readonly report: NodeReport;
  /** When it came, by this computer's clock. */
  readonly toldMs: number;
}

/** A host entry, for members that no report links to it. */
export interface KnownHost {
  readonly id: string;
  readonly address: string;
}

type Engine = NonNullable<NodeReport['engine']>;
type Seen = Witness & { readonly report: NodeReport & { readonly engine: Engine } };

const hasEngine = (witness: Witness): witness is Seen => witness.report.engine !== null;

/**
 * The cluster from the reports of its members. The best informed reachable member is believed; with
 * none reachable the best last report is shown, `seenFrom` null. Null when no report knows a cluster.
 */
export function clusterView(
  id: string,
  name: string,
  witnesses: readonly Witness[],
  hosts: readonly KnownHost[],
  previous: ClusterView | null,
): ClusterView | null {
  const seen = witnesses.filter(hasEngine);
  const reachable = seen.filter((witness) => witness.reachable);
  const best = [...(reachable.length > 0 ? reachable : seen)].sort(betterInformed)[0];
  if (best === undefined) return null;
  const { engine, fileSystem } = best.report;
  const live = best.reachable;

  // An engine that is down may not know its nodelist; what was known of it stays on the screen.
  const ringMembers = engine.state.kind === 'down' ? [] : engine.members.filter((one) => one.state === 'member');
  const source: readonly (MemberStatus | ClusterMember)[] =
    engine.members.length > 0 ? engine.members : (previous?.members ?? []);
  const members = source.map((one): ClusterMember => {
    const state = engine.state.kind === 'down' && live ? 'absent' : one.state;
    const own = seen.find((witness) => witness.report.engine.localNode === one.nodeId);
    const answering = own?.reachable === true ? own.report : null;
    const runs = answering !== null && answering.engine.state.kind !== 'down';
    return {
      nodeId: one.nodeId,
      name: one.name ?? one.addresses[0]?.address ?? `node ${one.nodeId}`,
      votes: one.votes,
      addresses: one.addresses,
      state,
      hostId: own?.hostId ?? hostByAddress(one, hosts),
      runningVersion: runs ? answering.engine.configVersion : null,
      diskVersion: answering?.localConfigVersion ?? null,
      ifItFailed: live && state === 'member' ? withoutMember(one, ringMembers, engine.quorum) : null,
    };
  });
  members.sort((a, b) => a.nodeId - b.nodeId);

  return {
    id,
    name,
    engine: engine.engine,
    engineState: engine.state,
    transport: engine.transport,
    configVersion: engine.configVersion,
    ringId: engine.ringId === null ? null : formatRingId(engine.ringId),
    quorum: engine.quorum,
    members,
    links: live ? engine.links : [],
    seenFrom: live ? best.hostId : null,
    summary: summarise(best.report, engine, members, live),
    writability: live ? (fileSystem?.writability.kind ?? 'unknown') : 'unknown',
    apply: live ? openApply(reachable) : null,
    adopted: null,
  };
}

/** Serving before forming before down, quorate before not, larger ring before smaller, then node id. */
function betterInformed(a: Seen, b: Seen): number {
  const rank = { operational: 0, forming: 1, outdated: 2, down: 3 } as const;
  const size = ({ report }: Seen): number => report.engine.members.filter((one) => one.state === 'member').length;
  return (
    rank[a.report.engine.state.kind] - rank[b.report.engine.state.kind] ||
    Number(b.report.engine.quorum.quorate) - Number(a.report.engine.quorum.quorate) ||
    size(b) - size(a) ||
    b.report.engine.configVersion - a.report.engine.configVersion ||
    a.report.engine.localNode - b.report.engine.localNode
  );
}

function hostByAddress(member: MemberStatus | ClusterMember, hosts: readonly KnownHost[]): string | null {
  const addresses = member.addresses.map(({ address }) => address);
  const found = hosts.find(({ address }) => addresses.includes(address) || address === member.name);
  return found?.id ?? null;
}

/**
 * Votes and quorum if one member of the ring failed now, as votequorum counts: the votes needed stay
 * what they are, and with auto_tie_breaker an even half wins if it holds the lowest node id.
 */
export function withoutMember(
  member: { readonly nodeId: number; readonly votes: number },
  ring: readonly { readonly nodeId: number }[],
  quorum: QuorumStatus,
): { votes: number; quorate: boolean } {
  const votes = Math.max(0, quorum.totalVotes - member.votes);
  const rest = ring.filter(({ nodeId }) => nodeId !== member.nodeId);
  if (!quorum.quorate || rest.length === 0) return { votes, quorate: false };
  const lowest = Math.min(...ring.map(({ nodeId }) => nodeId));
  const tie =
    quorum.flags.includes('AutoTieBreaker') &&
    votes * 2 === quorum.expectedVotes &&
    rest.some(({ nodeId }) => nodeId === lowest);
  return { votes, quorate: votes >= quorum.quorum || tie };
}

function summarise(
  { hostname, agentVersion, fileSystem }: NodeReport,
  engine: Engine,
  members: readonly ClusterMember[],
  live: boolean,
): string {
  const { quorum } = engine;
  // An agent has a version; a host without one may have no /etc/pve that could be read-only.
  const halt = agentVersion === '' ? 'What needs quorum stands still' : 'Everything is read-only';
  const count = `${quorum.totalVotes} of ${quorum.expectedVotes} votes, ${quorum.quorum} needed`;
  if (!live) {
    return `No member can be reached. When last seen: ${quorum.quorate ? 'quorate' : 'no quorum'}, ${count}.`;
  }
  if (engine.state.kind === 'down') {
    return `No reachable member is in the ring. On ${hostname} the engine is down: ${sentence(engine.state.reason)}`;
  }
  if (engine.state.kind === 'outdated')
    return `Out of the ring until its corosync.conf is newer: ${sentence(engine.state.reason)}`;
  if (engine.state.kind === 'forming')
    return `The ring is being formed. ${quorum.quorate ? 'Quorate' : 'No quorum'}: ${count}.`;
  if (quorum.quorate) {
    const readOnly = fileSystem?.writability.kind === 'read-only' ? fileSystem.writability.reason : null;
    return readOnly === null ? `Quorate: ${count}.` : `Quorate: ${count}. Read-only for now: ${sentence(readOnly)}`;
  }
  if (quorum.totalVotes >= quorum.quorum) {
    if (quorum.flags.includes('2Node') && engine.engine === 'totem')
      return (
        `No quorum: ${count}. With two_node, of two that lose each other the one with the lower id goes on, and so does ` +
        `one whose peer was stopped in order. If the other is really off: pvecm expected 1. ${halt}.`
      );
    const until = quorum.flags.includes('WaitForAll')
      ? 'wait_for_all holds until every node has been seen at once'
      : 'the engine holds quorum back';
    return `No quorum: ${count}, but ${until}. ${halt}.`;
  }
  const missing = nodesMissing(members, quorum);
  const until =
    missing === null ? 'enough nodes return' : missing === 1 ? 'one more node returns' : `${missing} more nodes return`;
  return `No quorum: ${count}. ${halt} until ${until}.`;
}

/** The fewest absent nodes whose return brings quorum; null when all of them are not enough. */
function nodesMissing(members: readonly ClusterMember[], quorum: QuorumStatus): number | null {
  const votes = members.filter(({ state }) => state === 'absent').map((one) => one.votes);
  votes.sort((a, b) => b - a);
  let sum = quorum.totalVotes;
  for (const [index, vote] of votes.entries()) {
    sum += vote;
    if (sum >= quorum.quorum) return index + 1;
  }
  return null;
}

const sentence = (words: string): string => (/[.!?]$/.test(words) ? words : `${words}.`);

/** The apply that is not over, with the least time that any node has left. */
function openApply(seen: readonly Seen[]): ClusterView['apply'] {
  const all = seen.flatMap(({ report, toldMs }) => (report.apply === null ? [] : [{ ...report.apply, atMs: toldMs }]));
  const [first] = all;
  if (first === undefined) return null;
  const same = all.filter(({ id }) => id === first.id);
  const ends = same.flatMap(({ remainingMs, atMs }) => (remainingMs === null ? [] : [atMs + remainingMs]));
  return ends.length === 0 ? first : { ...first, remainingMs: Math.min(...ends) - first.atMs };
}
