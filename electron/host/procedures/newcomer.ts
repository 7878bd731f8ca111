/** A host that is to join: what it is called, and which of its addresses the ring should use. */
import { BlockList, isIP } from 'node:net';
import type { NodeReport } from '../../../agent/rpc/api.ts';
import type { HostLink } from '../fleet/host-link.ts';

export interface Newcomer {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** From its agent's report, or by shell where it has no agent yet. Rejects when it is not connected. */
export async function newcomerFacts(link: HostLink): Promise<Newcomer> {
  if (link.reachable && link.report !== null) {
    return { name: link.report.hostname, addresses: link.report.addresses.map(({ address }) => address) };
  }
  if (link.ssh === null) throw new Error(`${link.host.name} is not connected.`);
  const { stdout } = await link.ssh.exec('uname -n; ip -o addr show scope global 2>/dev/null; exit 0');
  const [name = '', ...lines] = stdout.split('\n');
  const addresses = lines.flatMap((line) => / inet6? ([0-9a-f.:]+)\//.exec(line)?.[1] ?? []);
  return { name: name.trim() === '' ? link.host.name : name.trim(), addresses };
}

/**
 * The address in the network that the members' ring uses; else the one the app reaches the host by.
 * Pure.
 */
export function chooseRing0(member: NodeReport, newcomer: Newcomer, reachedBy: string): string {
  const ring0 = (member.engine?.members ?? []).flatMap((one) =>
    one.addresses.filter(({ link }) => link === 0).map(({ address }) => address),
  );
  const networks = new BlockList();
  for (const { address, prefix } of member.addresses) {
    if (ring0.includes(address)) networks.addSubnet(address, prefix, family(address));
  }
  const within = (address: string): boolean => isIP(address) !== 0 && networks.check(address, family(address));
  if (within(reachedBy)) return reachedBy;
  return newcomer.addresses.find(within) ?? (isIP(reachedBy) === 0 ? (newcomer.addresses[0] ?? reachedBy) : reachedBy);
}

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
