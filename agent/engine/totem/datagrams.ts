/** UDP unicast between the nodes of the list (transport udpu). */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { NodeId } from '../../totem/ids.ts';
import type { EngineNode } from '../settings.ts';

/** Bytes. A burst of a whole window must not be lost while this process is busy. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;

export interface Endpoint {
  readonly nodeId: NodeId;
  /** ring0_addr as the file has it. */
  readonly address: string;
  readonly ip: string;
}

/** Resolves ring0_addr of every node. Rejects with a sentence when a name is unknown. */
export async function endpointsOf(nodes: readonly EngineNode[]): Promise<Endpoint[]> {
  return Promise.all(
    nodes.map(async (node) => {
      const address = node.addresses[0]?.address ?? '';
      if (isIP(address) !== 0) return { nodeId: node.nodeId, address, ip: address };
      try {
        return { nodeId: node.nodeId, address, ip: (await lookup(address)).address };
      } catch {
        throw new Error(`the name ${address} (node ${node.name ?? node.nodeId}) cannot be resolved`);
      }
    }),
  );
}

/** The local address cannot be bound. */
export class AddressNotLocal extends Error {
  override readonly name = 'AddressNotLocal';
}

export class Datagrams {
  readonly #socket: Socket;
  readonly #port: number;
  #ipOf = new Map<NodeId, string>();
  #known = new Set<string>();

  private constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
  }

  /** Rejects with AddressNotLocal when this machine does not have the address. */
  static async open(ip: string, port: number, receive: (bytes: Uint8Array) => void): Promise<Datagrams> {
    const socket = createSocket({ type: isIP(ip) === 6 ? 'udp6' : 'udp4' });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => {
        const words = error.code === 'EADDRINUSE' ? 'another process listens there' : error.message;
        const sentence = `cannot listen on ${ip} port ${port}: ${words}`;
        reject(error.code === 'EADDRNOTAVAIL' ? new AddressNotLocal(sentence) : new Error(sentence));
      });
      socket.bind({ address: ip, port, exclusive: true }, resolve);
    });
    socket.removeAllListeners('error');
    // ICMP errors of absent peers: the ring has its own timeouts for them.
    socket.on('error', () => undefined);
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER);
    } catch {
      // The system's limit (net.core.rmem_max) stands; the ring asks again for what is lost.
    }
    const datagrams = new Datagrams(socket, port);
    socket.on('message', (bytes, from) => {
      if (datagrams.#known.has(from.address)) receive(bytes);
    });
    return datagrams;
  }

  /** From now on packets go to these nodes, and only theirs are taken. */
  setPeers(endpoints: readonly Endpoint[]): void {
    this.#ipOf = new Map(endpoints.map((endpoint) => [endpoint.nodeId, endpoint.ip]));
    this.#known = new Set(this.#ipOf.values());
  }

  send(to: NodeId, bytes: Uint8Array): void {
    const ip = this.#ipOf.get(to);
    if (ip !== undefined) this.#socket.send(bytes, this.#port, ip, () => undefined);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
