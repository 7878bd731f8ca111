/** What corosync.conf says to the bundled engine. */
import {
  bundledLinks,
  bundledTimers,
  bundledTransport,
  diagnose,
  model,
  multicastGroup,
  parse,
  type BundledLink,
  type BundledTransport,
  type ConfNode,
  type CorosyncConf,
} from '../conf/index.ts';
import { quorumSettingsOf, type QuorumSettings } from '../quorum/quorum.ts';
import { err, ok, type Result } from '../result.ts';
import { nodeId, type NodeId } from '../totem/ids.ts';
import type { LinkMode } from '../totem/links/link-types.ts';
import type { RingTimeouts } from '../totem/ring-types.ts';

export interface EngineNode {
  readonly nodeId: NodeId;
  readonly name: string | null;
  readonly votes: number;
  readonly addresses: readonly { readonly link: number; readonly address: string }[];
}

/** A link, or a ring of the redundant ring protocol, as all nodes use it. Times in milliseconds. */
export interface EngineLink extends Omit<BundledLink, 'mcastaddr'> {
  /**
   * With transport udp: the group to send to, by the family of the link's addresses (which is known once they are
   * resolved). Null with the other transports.
   */
  readonly group: { readonly ipv4: string; readonly ipv6: string } | null;
}

/** totem.ip_version: which addresses a name is resolved to; the first one is preferred. */
export type IpVersion = 'ipv4' | 'ipv6' | 'ipv4-6' | 'ipv6-4';

export type Cipher = 'none' | 'aes128' | 'aes192' | 'aes256';

export interface EngineSettings {
  readonly clusterName: string;
  readonly configVersion: number;
  /** `udp`: multicast. `udpu`: unicast. `knet`: unicast over up to eight links. */
  readonly transport: BundledTransport;
  readonly nodes: readonly EngineNode[];
  /** UDP port of the first link. */
  readonly port: number;
  /** In order of their numbers. */
  readonly links: readonly EngineLink[];
  /** How they are used, whether link_mode or rrp_mode says so. */
  readonly linkMode: LinkMode;
  /** As the file has it; `none` where it has none. */
  readonly rrpMode: 'none' | 'passive' | 'active';
  readonly ipVersion: IpVersion;
  /** Bytes of the largest IP packet. */
  readonly netmtu: number;
  readonly crypto: Cipher;
  /** The file with the cluster's key, where one is named. */
  readonly keyFile: string | null;
  /** The key itself, where the file holds it. */
  readonly key: string | null;
  /** Most messages of all nodes in one rotation of the token, and of one node a token; null: the engine's own. */
  readonly windowSize: number | null;
  readonly maxMessages: number | null;
  readonly timeouts: RingTimeouts;
  readonly quorum: QuorumSettings;
}

/** corosync.conf(5): totem.netmtu. Bytes. */
const NETMTU = 1500;

/** The settings in a file's text, or the reasons why the engine refuses it, one a line. */
export function engineSettings(text: string): Result<EngineSettings, string> {
  const errors = diagnose(text, { dialect: 'ringmaster' }).filter((found) => found.severity === 'error');
  if (errors.length > 0) return err(errors.map((found) => `line ${found.line}: ${found.message}`).join('\n'));
  const document = parse(text);
  const conf = model(document);
  const nodes: EngineNode[] = [];
  for (const node of conf.nodelist) {
    if (node.nodeId === null) return err(`node ${node.name ?? '?'} has no nodeid`);
    if (node.addresses.length === 0) return err(`node ${node.name ?? node.nodeId} has no ring0_addr`);
    nodes.push({ nodeId: nodeId(node.nodeId), name: node.name, votes: node.votes, addresses: node.addresses });
  }
  if (nodes.length === 0) return err('the nodelist is empty');
  const transport = bundledTransport(document);
  if (transport === null) return err(`the transport ${conf.totem.transport} is not known`);
  const links = linksOf(conf, transport);
  const { totem } = conf;
  return ok({
    clusterName: totem.clusterName ?? '',
    configVersion: totem.configVersion ?? 0,
    transport,
    nodes: nodes.sort((a, b) => a.nodeId - b.nodeId),
    port: links[0]?.port ?? 0,
    links,
    linkMode: linkModeOf(totem, transport),
    rrpMode: oneOf(totem.rrpMode, ['none', 'passive', 'active']) ?? 'none',
    ipVersion: oneOf(totem.ipVersion, ['ipv4', 'ipv6', 'ipv4-6', 'ipv6-4']) ?? 'ipv6-4',
    netmtu: totem.netmtu ?? NETMTU,
    crypto: cipherOf(totem),
    keyFile: totem.keyFile,
    key: totem.key,
    windowSize: totem.windowSize || null,
    maxMessages: totem.maxMessages || null,
    timeouts: bundledTimers(conf),
    quorum: quorumOf(conf, nodes),
  });
}

/** What a file says of its nodes, however incomplete it is: for an engine that judges the file itself. */
export function listedNodes(text: string): Pick<EngineSettings, 'clusterName' | 'configVersion' | 'nodes'> & {
  readonly transport: string;
} {
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

function linksOf(conf: CorosyncConf, transport: BundledTransport): EngineLink[] {
  const name = conf.totem.clusterName ?? '';
  return bundledLinks(conf, transport).map(({ mcastaddr, ...link }): EngineLink => {
    if (transport !== 'udp') return { ...link, group: null };
    const group = (family: 4 | 6): string => mcastaddr ?? multicastGroup(name, link.link, family);
    return { ...link, group: { ipv4: group(4), ipv6: group(6) } };
  });
}

/** The redundant rings of Corosync 2 in knet's words: its passive mode takes the rings in turn (Koch et al. 2002). */
function linkModeOf({ linkMode, rrpMode }: CorosyncConf['totem'], transport: BundledTransport): LinkMode {
  if (transport === 'knet') return oneOf(linkMode, ['passive', 'active', 'rr']) ?? 'passive';
  return rrpMode === 'active' ? 'active' : rrpMode === 'passive' ? 'rr' : 'passive';
}

/**
 * `secauth: on` means aes256, as in Corosync 3. A crypto_hash without a cipher asks for authentication only; every
 * cipher of ours authenticates, so such a file gets both.
 */
function cipherOf({ secauth, cryptoCipher, cryptoHash }: CorosyncConf['totem']): Cipher {
  const given = oneOf(cryptoCipher, ['none', 'aes128', 'aes192', 'aes256']);
  if (given !== null && given !== 'none') return given;
  const authenticates = cryptoHash !== null && cryptoHash !== 'none';
  return authenticates || (secauth === 'on' && given === null) ? 'aes256' : 'none';
}

const oneOf = <T extends string>(text: string | null, values: readonly T[]): T | null =>
  values.find((value) => value === text) ?? null;

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
