/** A UDP socket of dgram alone, where koffi has no build for this machine. */
import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { SOCKET_BUFFER } from './socket-options.ts';
import { cannotListen, listen, type SocketPlan, type UdpSocket } from './udp-socket.ts';

/** Slower by far, and without a way to forbid cutting: `probe` always says that a packet went. */
export async function openPlain(plan: SocketPlan): Promise<UdpSocket> {
  const socket = createSocket({ type: isIP(plan.ip) === 6 ? 'udp6' : 'udp4', reuseAddr: plan.member !== undefined });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(plan, Math.abs(error.errno ?? 0))));
    socket.bind({ address: plan.ip, port: plan.port, exclusive: plan.member === undefined }, resolve);
  });
  socket.removeAllListeners('error');
  listen(socket, plan);
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER);
  } catch {
    // The system's limit (net.core.rmem_max) stands.
  }
  if (plan.member !== undefined) socket.addMembership(plan.ip, plan.member.local);
  if (plan.multicast !== undefined) {
    socket.setMulticastInterface(plan.multicast.local);
    socket.setMulticastTTL(plan.multicast.hops);
    socket.setMulticastLoopback(false);
  }
  return {
    send: (packets, to) => {
      for (const packet of packets) socket.send(packet, to.port, to.ip, () => undefined);
    },
    probe: (packet, to) => {
      socket.send(packet, to.port, to.ip, () => undefined);
      return true;
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}
