/** What corosync.conf and the names' addresses make of links, sockets and keys. */
import { isIP } from 'node:net';
import type { NodeId } from '../../totem/ids.ts';
import type { LinksConfig } from '../../totem/links/link-types.ts';
import type { ClusterKey } from '../../totem/security/cluster-key.ts';
import { envelopeBytes } from '../../totem/security/envelope.ts';
import type { EngineSettings } from '../settings.ts';
import type { Endpoint } from './udp/endpoints.ts';
import type { LinkPlan } from './udp/datagrams.ts';
import type { WireConfig } from './wire.ts';

/** Bytes of the headers of IP (without options, without extensions) and UDP. */
const IPV4_HEADERS = 20 + 8;
const IPV6_HEADERS = 40 + 8;

export function wireConfig(
  settings: EngineSettings,
  endpoints: readonly Endpoint[],
  keys: readonly ClusterKey[],
  self: NodeId,
): WireConfig {
  const envelope = envelopeBytes(keys.length > 0);
  const own = endpoints.filter((endpoint) => endpoint.nodeId === self);
  const usable = settings.links.filter(({ link }) => own.some((endpoint) => endpoint.link === link));
  const version = (link: number): number => isIP(own.find((endpoint) => endpoint.link === link)?.ip ?? '');
  const links: LinksConfig = {
    self,
    mode: settings.linkMode,
    netmtu: settings.netmtu,
    links: usable.map(({ link, priority, pingInterval, pingTimeout, pongCount, group }) => ({
      ...{ link, priority, pingInterval, pingTimeout, pongCount },
      multicast: group !== null,
      overhead: envelope + (version(link) === 6 ? IPV6_HEADERS : IPV4_HEADERS),
    })),
    peers: settings.nodes
      .filter((node) => node.nodeId !== self)
      .map(({ nodeId }) => ({
        node: nodeId,
        links: endpoints
          .filter((endpoint) => endpoint.nodeId === nodeId)
          .map(({ link, ip }) => ({ link, address: ip })),
      })),
  };
  const plans = usable.map(({ link, port, group, ttl }): LinkPlan => {
    if (group === null) return { link, port, multicast: null };
    return { link, port, multicast: { group: version(link) === 6 ? group.ipv6 : group.ipv4, hops: ttl } };
  });
  return { links, plans, endpoints, keys };
}
