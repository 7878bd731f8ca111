/**
 * What a reload changes at once and what waits for a restart of the engine.
 *
 * What all nodes must change in the same instant to understand each other waits: the name, the transport, encryption
 * on or off, ports. What one node alone decides, or what nodes may differ in for a moment, does not: votes, nodes,
 * timeouts (the hold of an idle token is bounded, see agent/conf/bundled.ts), priorities, probes, links that come and go.
 */
import type { NodeId } from '../../totem/ids.ts';
import type { EngineLink, EngineNode, EngineSettings } from '../settings.ts';

export interface Comparison {
  /** Sentences: in effect now. */
  readonly live: readonly string[];
  /** Sentences: what happens, when, and on which nodes. */
  readonly needsRestart: readonly string[];
  /** What the engine runs with from now on: the new settings but for what needs a restart. */
  readonly effective: EngineSettings;
}

const EVERYWHERE = 'when the engine restarts on every node; until then it stays as it is';
/** One engine at a time may be restarted: the others go on with nodes that have and nodes that have not. */
const ONE_BY_ONE = 'when the engine of each node has restarted, one after the other';

export function compareSettings(before: EngineSettings, after: EngineSettings, self: NodeId): Comparison {
  const live: string[] = [];
  const needsRestart: string[] = [];
  const waits = (what: string, old: string | number, next: string | number, when = EVERYWHERE): void => {
    if (old !== next) needsRestart.push(`${what} changes from ${old} to ${next} ${when}`);
  };
  const tell = (what: string, old: string | number | null, next: string | number | null, unit = ''): void => {
    if (old !== next) live.push(`${what} is ${next === null ? 'the engine’s own' : `${next}${unit}`}`);
  };
  waits('cluster_name', before.clusterName, after.clusterName);
  waits('transport', before.transport, after.transport);
  waits('rrp_mode', before.rrpMode, after.rrpMode);
  waits('the use of links', before.linkMode, after.linkMode, ONE_BY_ONE);
  waits('ip_version', before.ipVersion, after.ipVersion, ONE_BY_ONE);
  const encrypted = before.crypto !== 'none' || after.crypto !== 'none';
  if (before.crypto !== after.crypto && encrypted) {
    const [off, on] = [after.crypto === 'none', before.crypto === 'none'];
    const what = on ? 'encryption starts' : off ? 'encryption ends' : `the cipher changes to ${after.crypto}`;
    needsRestart.push(
      `${what} when the engine restarts on every node at once; nodes with it and nodes without do not hear each other`,
    );
  }
  if (after.crypto !== 'none') {
    if (before.keyFile !== after.keyFile)
      live.push(`the cluster key is read from ${after.keyFile ?? 'its usual file'}`);
    if (before.key !== after.key) live.push('the cluster key in the file is in use');
  }
  tell('the largest packet', before.netmtu, after.netmtu, ' bytes');
  waits('window_size', before.windowSize ?? 'its default', after.windowSize ?? 'its default', ONE_BY_ONE);
  waits('max_messages', before.maxMessages ?? 'its default', after.maxMessages ?? 'its default', ONE_BY_ONE);

  const sameTransport = before.transport === after.transport;
  const links = sameTransport ? compareLinks(before.links, after.links, live, needsRestart) : before.links;
  const nodes = compareNodes(before, after, self, live, needsRestart);
  for (const [name, what] of Object.entries(TIMEOUTS)) {
    const key = name as keyof typeof TIMEOUTS; // the table's own keys
    tell(what, before.timeouts[key], after.timeouts[key], ' ms');
  }
  const { clusterName, transport, rrpMode, linkMode, ipVersion, crypto, port, windowSize, maxMessages } = before;
  const kept = { clusterName, transport, rrpMode, linkMode, ipVersion, crypto, port, windowSize, maxMessages };
  return { live, needsRestart, effective: { ...after, ...kept, links, nodes } };
}

const TIMEOUTS = {
  token: 'the token timeout',
  retransmit: 'the pause before a token is sent again',
  hold: 'the hold of an idle token',
  join: 'the interval of join packets',
  consensus: 'the consensus timeout',
  merge: 'the interval of merge packets',
} as const;

/** Links may come and go while another stays; a port or a group of one in use is bound to its socket. */
function compareLinks(
  before: readonly EngineLink[],
  after: readonly EngineLink[],
  live: string[],
  needsRestart: string[],
): readonly EngineLink[] {
  const stays = after.some(({ link }) => before.some((old) => old.link === link));
  if (!stays) {
    needsRestart.push('no link stays: the new ones are used when the engine restarts on every node at once');
    return before;
  }
  for (const old of before) {
    if (!after.some(({ link }) => link === old.link)) live.push(`link ${old.link} is no longer used`);
  }
  return after.map((link) => {
    const old = before.find((one) => one.link === link.link);
    if (old === undefined) {
      live.push(`link ${link.link} is used on port ${link.port}`);
      return link;
    }
    if (old.priority !== link.priority) live.push(`link ${link.link} has priority ${link.priority}`);
    if (old.pingInterval !== link.pingInterval) live.push(`link ${link.link} is probed every ${link.pingInterval} ms`);
    if (old.pingTimeout !== link.pingTimeout) {
      live.push(`link ${link.link} is down after ${link.pingTimeout} ms of silence`);
    }
    if (old.pongCount !== link.pongCount) live.push(`link ${link.link} is up after ${link.pongCount} answers`);
    const { port, group, ttl } = old;
    if (port !== link.port) {
      needsRestart.push(`the port of link ${link.link} changes from ${port} to ${link.port} ${EVERYWHERE}`);
    }
    if (group?.ipv4 !== link.group?.ipv4 || group?.ipv6 !== link.group?.ipv6) {
      needsRestart.push(`the multicast address of link ${link.link} changes ${EVERYWHERE}`);
    }
    if (ttl !== link.ttl)
      needsRestart.push(`ttl of link ${link.link} changes from ${ttl} to ${link.ttl} ${ONE_BY_ONE}`);
    return { ...link, port, group, ttl };
  });
}

function compareNodes(
  before: EngineSettings,
  after: EngineSettings,
  self: NodeId,
  live: string[],
  needsRestart: string[],
): readonly EngineNode[] {
  for (const old of before.nodes) {
    if (!after.nodes.some((node) => node.nodeId === old.nodeId)) live.push(`node ${nameOf(old)} is no longer listed`);
  }
  return after.nodes.map((node) => {
    const old = before.nodes.find((entry) => entry.nodeId === node.nodeId);
    if (old === undefined) {
      live.push(`node ${nameOf(node)} is in the nodelist`);
      return node;
    }
    if (old.votes !== node.votes) live.push(`node ${nameOf(node)} has ${node.votes} votes`);
    if (old.name !== node.name) live.push(`node ${node.nodeId} is called ${nameOf(node)}`);
    const addresses = node.addresses.map((entry) => {
      const was = old.addresses.find(({ link }) => link === entry.link)?.address ?? null;
      if (was === entry.address) return entry;
      const place = entry.link === 0 ? '' : ` on link ${entry.link}`;
      if (was !== null && node.nodeId === self) {
        needsRestart.push(
          `this node listens on ${entry.address}${place} when its engine restarts; until then on ${was}, where those that have the new file no longer look for it`,
        );
        return { ...entry, address: was };
      }
      live.push(`node ${nameOf(node)} is reached at ${entry.address}${place}`);
      return entry;
    });
    return { ...node, addresses };
  });
}

const nameOf = (node: EngineNode): string => node.name ?? String(node.nodeId);
