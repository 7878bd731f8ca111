/** Where every node of the list is reached on every link: names of corosync.conf become IP addresses. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { NodeId } from '../../../totem/ids.ts';
import type { EngineNode } from '../../settings.ts';
import { canonical } from './socket-address.ts';

export interface Endpoint {
  readonly nodeId: NodeId;
  readonly link: number;
  /** ringX_addr as the file has it. */
  readonly address: string;
  /** In one spelling. */
  readonly ip: string;
}

/** totem.ip_version (corosync.conf(5)): which family a name stands for, and which is preferred. */
export type IpVersion = 'ipv4' | 'ipv6' | 'ipv4-6' | 'ipv6-4';

/** Resolves every ringX_addr. Rejects with a sentence when a name is unknown. */
export async function endpointsOf(nodes: readonly EngineNode[], version: IpVersion): Promise<Endpoint[]> {
  const wanted = nodes.flatMap((node) => node.addresses.map((entry) => ({ node, ...entry })));
  return Promise.all(
    wanted.map(async ({ node, link, address }) => {
      if (isIP(address) !== 0) return { nodeId: node.nodeId, link, address, ip: canonical(address) };
      const ip = await resolved(address, version);
      if (ip === null) throw new Error(`the name ${address} (node ${node.name ?? node.nodeId}) cannot be resolved`);
      return { nodeId: node.nodeId, link, address, ip: canonical(ip) };
    }),
  );
}

async function resolved(name: string, version: IpVersion): Promise<string | null> {
  const families = { ipv4: [4], ipv6: [6], 'ipv4-6': [4, 6], 'ipv6-4': [6, 4] } as const;
  for (const family of families[version]) {
    try {
      return (await lookup(name, { family })).address;
    } catch {
      continue;
    }
  }
  return null;
}
