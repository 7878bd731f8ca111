/** One UDP socket: packets out in bursts, whatever comes in to one function. Decides nothing. */
import type { Socket } from 'node:dgram';
import { sockaddr } from './socket-address.ts';
import { ERRNO } from './socket-options.ts';

/** The address is not this machine's. */
export class AddressNotLocal extends Error {
  override readonly name = 'AddressNotLocal';
}

/** Where a packet goes. */
export interface Destination {
  readonly ip: string;
  readonly port: number;
  /** As bytes, for the kernel. */
  readonly bytes: Uint8Array;
}

export const destination = (ip: string, port: number): Destination => ({ ip, port, bytes: sockaddr(ip, port) });

export interface UdpSocket {
  /** Sends in order. What the kernel has no room for is lost: the ring asks again. */
  send(packets: readonly Uint8Array[], to: Destination): void;
  /** Sends one packet that no router may cut. False when the kernel knows that it does not fit the path. */
  probe(packet: Uint8Array, to: Destination): boolean;
  close(): Promise<void>;
}

export interface SocketPlan {
  readonly ip: string;
  readonly port: number;
  readonly receive: ((bytes: Uint8Array, from: string) => void) | null;
  /** Receives packets sent to `ip`, a multicast group, on the interface that has `local`. */
  readonly member?: { readonly local: string };
  /** Sends multicast on the interface that has this address, through at most `hops` routers. */
  readonly multicast?: { readonly local: string; readonly hops: number };
}

/** Why a socket could not be had, for a person. */
export const cannotListen = (plan: SocketPlan, errno: number): Error => {
  const where = `cannot listen on ${plan.ip} port ${plan.port}`;
  if (errno === ERRNO.EADDRINUSE) return new Error(`${where}: another process listens there`);
  if (errno === ERRNO.EADDRNOTAVAIL) return new AddressNotLocal(`${where}: this machine does not have the address`);
  return new Error(`${where}: error ${errno}`);
};

/** Hands what comes in to the plan. */
export function listen(socket: Socket, plan: SocketPlan): void {
  // ICMP errors of absent peers: the ring has its own timeouts for them.
  socket.on('error', () => undefined);
  const { receive } = plan;
  if (receive !== null) socket.on('message', (bytes, from) => receive(bytes, from.address));
}
