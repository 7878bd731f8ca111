/** The links of this node as sockets: unicast to each peer, and multicast to all where the transport has it. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { NodeId } from '../../../totem/ids.ts';
import type { Endpoint } from './endpoints.ts';
import { canonical } from './socket-address.ts';
import { joinSmall } from './join-small.ts';
import { openUdpSocket } from './open-socket.ts';
import { destination, type Destination, type UdpSocket } from './udp-socket.ts';

export interface LinkPlan {
  readonly link: number;
  readonly port: number;
  /** Transport udp: everything for several nodes goes to this group, through at most `hops` routers. */
  readonly multicast: { readonly group: string; readonly hops: number } | null;
}

/** Packets for these nodes, over this link. */
export interface Departure {
  readonly link: number;
  readonly to: readonly NodeId[];
  readonly packets: readonly Uint8Array[];
}

/** Bytes that came over a link: one datagram, or several that the kernel glued together. */
export type Receive = (link: number, bytes: Uint8Array) => void;

interface OpenLink {
  readonly plan: LinkPlan;
  /** Our own address on it. */
  readonly ip: string;
  readonly unicast: UdpSocket;
  readonly multicast: { readonly to: Destination; readonly out: UdpSocket; readonly in: UdpSocket } | null;
  peers: ReadonlyMap<NodeId, Destination>;
  known: ReadonlySet<string>;
}

export class Datagrams {
  readonly #self: NodeId;
  readonly #receive: Receive;
  readonly #links = new Map<number, OpenLink>();

  constructor(self: NodeId, receive: Receive) {
    this.#self = self;
    this.#receive = receive;
  }

  /**
   * Opens links that are new, closes those that are gone, and from now on sends to and takes from these endpoints
   * only. Rejects with AddressNotLocal or a sentence; links opened before stay open.
   */
  async configure(plans: readonly LinkPlan[], endpoints: readonly Endpoint[]): Promise<void> {
    for (const [link, open] of this.#links) {
      const plan = plans.find((one) => one.link === link);
      const own = endpoints.find((endpoint) => endpoint.link === link && endpoint.nodeId === this.#self);
      if (plan !== undefined && own !== undefined && own.ip === open.ip && samePlan(plan, open.plan)) continue;
      this.#links.delete(link);
      await closeLink(open);
    }
    for (const plan of plans) {
      const own = endpoints.find((endpoint) => endpoint.link === plan.link && endpoint.nodeId === this.#self);
      if (own !== undefined && !this.#links.has(plan.link)) this.#links.set(plan.link, await this.#open(plan, own.ip));
    }
    for (const [link, open] of this.#links) {
      const others = endpoints.filter((endpoint) => endpoint.link === link && endpoint.nodeId !== this.#self);
      open.peers = new Map(others.map((peer) => [peer.nodeId, destination(peer.ip, open.plan.port)]));
      open.known = new Set(others.map((peer) => peer.ip));
    }
  }

  /** Sends in order. To several nodes at once by multicast where there is; small packets for one node go in one. */
  send(departures: readonly Departure[]): void {
    const unicast = new Map<Destination, { readonly socket: UdpSocket; readonly packets: Uint8Array[] }>();
    for (const { link, to, packets } of departures) {
      const open = this.#links.get(link);
      if (open === undefined) continue;
      if (open.multicast !== null && to.length > 1) {
        open.multicast.out.send(packets, open.multicast.to);
        continue;
      }
      for (const node of to) {
        const peer = open.peers.get(node);
        if (peer === undefined) continue;
        const earlier = unicast.get(peer);
        if (earlier === undefined) unicast.set(peer, { socket: open.unicast, packets: [...packets] });
        else earlier.packets.push(...packets);
      }
    }
    for (const [peer, { socket, packets }] of unicast) socket.send(joinSmall(packets), peer);
  }

  /** Sends a packet that must not be cut on its way. False when it is known not to fit. */
  probe(link: number, to: NodeId, packet: Uint8Array): boolean {
    const open = this.#links.get(link);
    const peer = open?.peers.get(to);
    return open === undefined || peer === undefined || open.unicast.probe(packet, peer);
  }

  async close(): Promise<void> {
    const open = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(open.map(closeLink));
  }

  async #open(plan: LinkPlan, ip: string): Promise<OpenLink> {
    const opened: UdpSocket[] = [];
    const open = async (socket: Promise<UdpSocket>): Promise<UdpSocket> => {
      opened.push(await socket);
      return socket;
    };
    const take = (bytes: Uint8Array, from: string): void => {
      // Only configured nodes: everything else costs this one look.
      if (this.#links.get(plan.link)?.known.has(canonicalOnce(from)) === true) this.#receive(plan.link, bytes);
    };
    try {
      const unicast = await open(openUdpSocket({ ip, port: plan.port, receive: take }, interfaceIndex));
      return {
        ...{ plan, ip, unicast, peers: new Map(), known: new Set() },
        multicast: plan.multicast === null ? null : await openMulticast(plan.multicast, plan.port, ip, take, open),
      };
    } catch (error) {
      await Promise.all(opened.map((socket) => socket.close()));
      throw error;
    }
  }
}

/** corosync.conf(5), mcastport: multicast is received at the port and sent from the port below it (5405 and 5404). */
async function openMulticast(
  { group, hops }: { readonly group: string; readonly hops: number },
  port: number,
  local: string,
  receive: (bytes: Uint8Array, from: string) => void,
  open: (socket: Promise<UdpSocket>) => Promise<UdpSocket>,
): Promise<NonNullable<OpenLink['multicast']>> {
  return {
    to: destination(group, port),
    in: await open(openUdpSocket({ ip: group, port, receive, member: { local } }, interfaceIndex)),
    out: await open(
      openUdpSocket({ ip: local, port: port - 1, receive: null, multicast: { local, hops } }, interfaceIndex),
    ),
  };
}

async function closeLink(open: OpenLink): Promise<void> {
  await Promise.all([open.unicast.close(), open.multicast?.in.close(), open.multicast?.out.close()]);
}

const samePlan = (a: LinkPlan, b: LinkPlan): boolean =>
  a.port === b.port && a.multicast?.group === b.multicast?.group && a.multicast?.hops === b.multicast?.hops;

/** The kernel gives a peer's address in the same spelling each time; a zone is seldom there. */
const canonicalOnce = (ip: string): string => (ip.includes('%') ? canonical(ip) : ip);

/**
 * The number of the interface that has this IPv6 address; 0 lets the kernel choose. From /proc, because what is mounted
 * at /sys may show another network namespace's interfaces.
 */
function interfaceIndex(ip: string): number {
  const named = Object.entries(networkInterfaces()).find(([, entries]) =>
    (entries ?? []).some((entry) => canonical(entry.address) === ip),
  );
  if (named === undefined) return 0;
  try {
    // Address, number, prefix length, scope and flags in hexadecimal, then the name.
    const line = readFileSync('/proc/net/if_inet6', 'latin1')
      .split('\n')
      .map((text) => text.trim().split(/ +/))
      .find((fields) => fields[5] === named[0]);
    return Number.parseInt(line?.[1] ?? '0', 16);
  } catch {
    return 0;
  }
}
