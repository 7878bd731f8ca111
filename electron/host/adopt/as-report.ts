/** A host without an agent, as the report that its agent would give: so every screen shows it as any other. Pure. */
import { model, parse } from '../../../agent/conf/index.ts';
import type { CorosyncConf } from '../../../agent/conf/index.ts';
import type {
  EngineState,
  EngineStatus,
  LinkStatus,
  MemberStatus,
  QuorumStatus,
} from '../../../agent/engine/engine.ts';
import type { NodeReport, OpenApply } from '../../../agent/rpc/api.ts';
import { nodeId } from '../../../agent/totem/ids.ts';
import type { NodeId } from '../../../agent/totem/ids.ts';
import { isConfigured, localNode } from './facts.ts';
import type { AdoptedFacts } from './facts.ts';

/** The engine's part is null where the host belongs to no cluster. */
export function asReport(facts: AdoptedFacts): NodeReport {
  const engine = isConfigured(facts) ? engineStatus(facts) : null;
  return {
    hostname: facts.hostname,
    agentVersion: '',
    os: facts.os,
    supervision: facts.systemd ? 'systemd' : 'self',
    clockMs: facts.clockMs,
    addresses: facts.addresses.map((one) => ({ ...one, family: one.address.includes(':') ? 6 : 4 })),
    services: [],
    engine,
    fileSystem: null,
    localConfigVersion: versionOf(facts.conf),
    apply: openApply(facts),
  };
}

export const versionOf = (text: string | null): number | null =>
  text === null ? null : model(parse(text)).totem.configVersion;

/** The file that the cluster's settings are kept in on this host. */
export const clusterConf = (facts: AdoptedFacts): string | null =>
  facts.manager === 'proxmox' ? (facts.treeConf ?? facts.conf) : facts.conf;

function engineStatus(facts: AdoptedFacts): EngineStatus {
  const { cmap, quorum } = facts;
  const text = clusterConf(facts);
  const conf = model(parse(text ?? ''));
  const local = quorum?.localNode ?? localNode(cmap) ?? listedAs(conf, facts) ?? 1;
  return {
    engine: 'corosync',
    state: stateOf(facts),
    clusterName: cmap.get('totem.cluster_name') ?? conf.totem.clusterName ?? 'corosync',
    configVersion: numberOf(cmap.get('totem.config_version')) ?? conf.totem.configVersion ?? 0,
    // Corosync 3 speaks knet unless it is told otherwise, 1 and 2 multicast (corosync.conf(5) of each).
    transport:
      cmap.get('totem.transport') ?? conf.totem.transport ?? (facts.major === 1 || facts.major === 2 ? 'udp' : 'knet'),
    localNode: nodeId(local),
    ringId: ringIdOf(facts, local),
    members: membersOf(facts, conf, local),
    links: linksOf(facts, conf),
    quorum: quorumOf(facts),
  };
}

function stateOf({ running, quorum, cmap, units, gaps }: AdoptedFacts): EngineState {
  if (!running.corosync) {
    const failed = units.get('corosync') === 'failed';
    return { kind: 'down', reason: failed ? 'corosync.service has failed' : 'Corosync does not run' };
  }
  if (quorum !== null) return { kind: 'operational' };
  // Votes are not counted everywhere: a ring of Corosync 1 may have no quorum provider at all.
  return cmap.size > 0 ? { kind: 'operational' } : { kind: 'down', reason: gaps[0] ?? 'Corosync does not answer' };
}

/** A host that runs no Corosync is known by the addresses it has, or by its name. */
function listedAs(conf: CorosyncConf, { hostname, addresses }: AdoptedFacts): number | null {
  const own = new Set(addresses.map(({ address }) => address));
  const found =
    conf.nodelist.find((node) => node.addresses.some(({ address }) => own.has(address))) ??
    conf.nodelist.find(({ name }) => name === hostname);
  return found?.nodeId ?? null;
}

function ringIdOf({ quorum, runtime }: AdoptedFacts, local: number): EngineStatus['ringId'] {
  if (quorum === null || quorum.ringId === null) return null;
  const joined = runtime.filter((one) => one.joined).map((one) => one.nodeId);
  const { representative, sequence } = quorum.ringId;
  // Older versions print the sequence alone; the lowest node id of a ring is its representative.
  return { representative: nodeId(representative ?? Math.min(local, ...joined)), sequence };
}

function membersOf(facts: AdoptedFacts, conf: CorosyncConf, local: number): MemberStatus[] {
  const { quorum, runtime, running } = facts;
  const inRing = running.corosync
    ? new Set([...(quorum?.members ?? []).map((one) => one.nodeId), ...joinedOf(facts)])
    : new Set<number>();
  const found = new Map<number, MemberStatus>();
  const put = (id: NodeId, name: string | null, votes: number, addresses: MemberStatus['addresses']): void => {
    const state = inRing.has(id) ? 'member' : 'absent';
    found.set(id, { nodeId: id, name, votes, addresses, state, local: id === local });
  };
  for (const { nodeId: id, name, votes, addresses } of conf.nodelist) {
    if (id === null || id < 1 || id > 0xffffffff) continue;
    put(nodeId(id), name, quorum?.members.find((one) => one.nodeId === id)?.votes ?? votes, addresses);
  }
  // Without a nodelist, or beside it: whoever is in the ring is a node.
  for (const id of inRing) {
    if (found.has(id)) continue;
    const row = quorum?.members.find((one) => one.nodeId === id);
    const addresses = runtime.find((one) => one.nodeId === id)?.addresses ?? [];
    const name = row !== undefined && /[A-Za-z]/.test(row.name) ? row.name : null;
    put(nodeId(id), name, row?.votes ?? 1, addresses);
  }
  return [...found.values()].sort((a, b) => a.nodeId - b.nodeId);
}

/** The quorum tool tells who votes; where votes are not counted the keys tell who has joined. */
const joinedOf = ({ quorum, runtime }: AdoptedFacts): number[] =>
  quorum !== null && quorum.members.length > 0 ? [] : runtime.filter((one) => one.joined).map((one) => one.nodeId);

function linksOf({ links, toolLinks }: AdoptedFacts, conf: CorosyncConf): LinkStatus[] {
  const addressOf = (peer: number, link: number): string =>
    conf.nodelist.find((node) => node.nodeId === peer)?.addresses.find((one) => one.link === link)?.address ?? '';
  if (links.length > 0) {
    return links.map(({ peer, link, connected, latencyUs, downs }) => {
      // knet tells how much payload fits, not the size of the IP packet: that is shown beside, not here.
      const told = { since: null, latencyUs, mtu: null, failures: downs };
      return {
        link,
        peer: nodeId(peer),
        address: addressOf(peer, link),
        connected,
        state: stateWord(connected),
        ...told,
      };
    });
  }
  const local = new Set(toolLinks.flatMap(({ address }) => address));
  return toolLinks.flatMap(({ link, peers }) =>
    peers.flatMap(({ nodeId: peer, connected }) => {
      const address = addressOf(peer, link);
      if (peer < 1 || local.has(address)) return [];
      const told = { since: null, latencyUs: null, mtu: null, failures: 0 };
      return [{ link, peer: nodeId(peer), address, connected, state: stateWord(connected), ...told }];
    }),
  );
}

const stateWord = (connected: boolean): LinkStatus['state'] => (connected ? 'up' : 'down');

function quorumOf({ quorum, runtime, running }: AdoptedFacts): QuorumStatus {
  const none = { quorate: false, expectedVotes: 0, highestExpected: 0, totalVotes: 0, quorum: 0, flags: [] };
  if (!running.corosync) return none;
  if (quorum !== null && quorum.votes !== null) {
    const { expected, highestExpected, total, quorum: needed } = quorum.votes;
    const { quorate, flags } = quorum;
    return { quorate, expectedVotes: expected, highestExpected, totalVotes: total, quorum: needed, flags };
  }
  // Votes are not counted: every ring counts itself as quorate (corosync.conf(5), quorum.provider).
  const joined = runtime.filter((one) => one.joined).length;
  return { ...none, quorate: quorum?.quorate ?? joined > 0, expectedVotes: joined, totalVotes: joined };
}

function numberOf(text: string | undefined): number | null {
  const value = Number(text);
  return text !== undefined && Number.isSafeInteger(value) ? value : null;
}

/** The trial on this host as the apply that it is part of; null when it is over. */
export function openApply({ trial, uptime }: AdoptedFacts): OpenApply | null {
  if (trial?.decided !== 'open') return null;
  const { confirmWithinMs: _, ...meta } = trial.meta;
  return { ...meta, phase: trial.phase, remainingMs: Math.max(0, trial.deadline - uptime) * 1000 };
}
