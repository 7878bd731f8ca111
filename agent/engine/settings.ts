/** What corosync.conf says to the bundled engine. */
import { diagnose, model, parse, type ConfNode, type CorosyncConf } from '../conf/index.ts';
import { quorumSettingsOf, type QuorumSettings } from '../quorum/quorum.ts';
import { err, ok, type Result } from '../result.ts';
import { nodeId, type NodeId } from '../totem/ids.ts';
import type { RingTimeouts } from '../totem/ring-types.ts';

export interface EngineNode {
  readonly nodeId: NodeId;
  readonly name: string | null;
  readonly votes: number;
  readonly addresses: readonly { readonly link: number; readonly address: string }[];
}

export interface EngineSettings {
  readonly clusterName: string;
  readonly configVersion: number;
  readonly transport: string;
  readonly nodes: readonly EngineNode[];
  readonly port: number;
  readonly timeouts: RingTimeouts;
  readonly quorum: QuorumSettings;
}

/** corosync.conf(5): totem.interface.mcastport. */
const DEFAULT_PORT = 5405;
/** Milliseconds. The bundled engine's own defaults, shorter than Corosync's because a ring of ours is small. */
const DEFAULT_TOKEN = 1000;
const DEFAULT_TOKEN_COEFFICIENT = 125;

/** The settings in a file's text, or the reasons why the engine refuses it, one a line. */
export function engineSettings(text: string): Result<EngineSettings, string> {
  const errors = diagnose(text, { dialect: 'ringmaster' }).filter((found) => found.severity === 'error');
  if (errors.length > 0) return err(errors.map((found) => `line ${found.line}: ${found.message}`).join('\n'));
  const conf = model(parse(text));
  const nodes: EngineNode[] = [];
  for (const node of conf.nodelist) {
    if (node.nodeId === null) return err(`node ${node.name ?? '?'} has no nodeid`);
    if (node.addresses.length === 0) return err(`node ${node.name ?? node.nodeId} has no ring0_addr`);
    nodes.push({ nodeId: nodeId(node.nodeId), name: node.name, votes: node.votes, addresses: node.addresses });
  }
  if (nodes.length === 0) return err('the nodelist is empty');
  return ok({
    clusterName: conf.totem.clusterName ?? '',
    configVersion: conf.totem.configVersion ?? 0,
    transport: conf.totem.transport ?? 'udpu',
    nodes: nodes.sort((a, b) => a.nodeId - b.nodeId),
    port: conf.totem.interfaces.find((entry) => entry.linkNumber === 0)?.mcastport ?? DEFAULT_PORT,
    timeouts: timeoutsOf(conf),
    quorum: quorumOf(conf, nodes),
  });
}

/** What a file says of its nodes, however incomplete it is: for an engine that judges the file itself. */
export function listedNodes(
  text: string,
): Pick<EngineSettings, 'clusterName' | 'configVersion' | 'transport' | 'nodes'> {
  const conf = model(parse(text));
  const nodes = conf.nodelist.flatMap((node): EngineNode[] =>
    node.nodeId === null || node.nodeId < 1 ? [] : [{ ...node, nodeId: nodeId(node.nodeId) }],
  );
  return {
    clusterName: conf.totem.clusterName ?? '',
    configVersion: conf.totem.configVersion ?? 0,
    transport: conf.totem.transport ?? 'knet',
    nodes: nodes.sort((a, b) => a.nodeId - b.nodeId),
  };
}

/** The token grows with the ring, as corosync.conf(5) tells of token_coefficient. */
function timeoutsOf(conf: CorosyncConf): RingTimeouts {
  const { totem, nodelist } = conf;
  const coefficient = totem.tokenCoefficient ?? DEFAULT_TOKEN_COEFFICIENT;
  const token = (totem.token ?? DEFAULT_TOKEN) + coefficient * Math.max(0, nodelist.length - 2);
  return {
    token,
    retransmit: Math.max(10, Math.round(token / 12)),
    hold: Math.max(10, Math.round(token / 5)),
    join: totem.join ?? 50,
    consensus: totem.consensus ?? Math.round(token * 0.4),
    merge: 200,
  };
}

function quorumOf(conf: CorosyncConf, nodes: readonly EngineNode[]): QuorumSettings {
  return quorumSettingsOf(new Map(nodes.map((node) => [node.nodeId, node.votes])), conf.quorum);
}

/**
 * Which node of the list this machine is: by host name first, because on a lab's loopback every
 * address is local; then by an address that this machine has.
 */
export function localNode<N extends Pick<ConfNode, 'name' | 'addresses'>>(
  nodes: readonly N[],
  hostname: string,
  localAddresses: ReadonlySet<string>,
): N | null {
  const short = hostname.split('.')[0];
  const named = nodes.find((node) => node.name !== null && (node.name === hostname || node.name === short));
  const addressed = nodes.find((node) => node.addresses.some(({ address }) => localAddresses.has(address)));
  return named ?? addressed ?? null;
}
