/** A UDP socket made by system calls and read by dgram. */
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { ipBytes, sockaddr } from './socket-address.ts';
import { ERRNO, PMTUDISC, SOCKET_BUFFER, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP } from './socket-options.ts';
import type { SystemCalls } from './system-calls.ts';
import { cannotListen, listen, type Destination, type SocketPlan, type UdpSocket } from './udp-socket.ts';

/** The kernel takes at most 64 segments, and 64 KiB with headers, in one call (UDP_MAX_SEGMENTS). */
const MOST_SEGMENTS = 64;
const MOST_BYTES = 65_000;

const int32 = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

/** A socket with all that the kernel offers. */
export async function openNative(
  calls: SystemCalls,
  plan: SocketPlan,
  interfaceIndex: (ip: string) => number,
): Promise<UdpSocket> {
  const family = isIP(plan.ip.split('%')[0] ?? '') === 6 ? 6 : 4;
  const fd = calls.socket(family);
  if (fd < 0) throw new Error(`no socket for ${plan.ip}: error ${-fd}`);
  const set = (level: number, name: number, value: Uint8Array): number => calls.setOption(fd, level, name, value);
  const ip = family === 6 ? SOL_IPV6 : SOL_IP;
  if (family === 6) set(SOL_IPV6.level, SOL_IPV6.V6ONLY, int32(1));
  set(ip.level, ip.MTU_DISCOVER, int32(PMTUDISC.WANT));
  // Past net.core.rmem_max with CAP_NET_ADMIN; else what the system allows, and the ring asks again for what is lost.
  if (set(SOL_SOCKET.level, SOL_SOCKET.RCVBUFFORCE, int32(SOCKET_BUFFER)) !== 0)
    set(SOL_SOCKET.level, SOL_SOCKET.RCVBUF, int32(SOCKET_BUFFER));
  if (set(SOL_SOCKET.level, SOL_SOCKET.SNDBUFFORCE, int32(SOCKET_BUFFER)) !== 0)
    set(SOL_SOCKET.level, SOL_SOCKET.SNDBUF, int32(SOCKET_BUFFER));
  if (plan.receive !== null) set(SOL_UDP.level, SOL_UDP.GRO, int32(1));
  if (plan.member !== undefined) set(SOL_SOCKET.level, SOL_SOCKET.REUSEADDR, int32(1));
  const failed = calls.bind(fd, sockaddr(plan.ip, plan.port));
  if (failed !== 0) {
    calls.close(fd);
    throw cannotListen(plan, failed);
  }
  if (plan.member !== undefined) {
    const { local } = plan.member;
    const joined =
      family === 6
        ? set(SOL_IPV6.level, SOL_IPV6.ADD_MEMBERSHIP, Buffer.concat([ipBytes(plan.ip), int32(interfaceIndex(local))]))
        : set(SOL_IP.level, SOL_IP.ADD_MEMBERSHIP, Buffer.concat([ipBytes(plan.ip), ipBytes(local)]));
    if (joined !== 0) {
      calls.close(fd);
      throw new Error(`cannot join the multicast group ${plan.ip} on the interface of ${local}: error ${joined}`);
    }
  }
  if (plan.multicast !== undefined) {
    const { local, hops } = plan.multicast;
    if (family === 6) {
      set(SOL_IPV6.level, SOL_IPV6.MULTICAST_IF, int32(interfaceIndex(local)));
      set(SOL_IPV6.level, SOL_IPV6.MULTICAST_HOPS, int32(hops));
      set(SOL_IPV6.level, SOL_IPV6.MULTICAST_LOOP, int32(0));
    } else {
      set(SOL_IP.level, SOL_IP.MULTICAST_IF, ipBytes(local));
      set(SOL_IP.level, SOL_IP.MULTICAST_TTL, int32(hops));
      set(SOL_IP.level, SOL_IP.MULTICAST_LOOP, int32(0));
    }
  }
  const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
  listen(socket, plan);
  await new Promise<void>((resolve) => socket.bind({ fd, exclusive: true }, resolve));
  return nativeSocket(
    calls,
    fd,
    socket,
    () => set(ip.level, ip.MTU_DISCOVER, int32(PMTUDISC.DO)),
    () => {
      set(ip.level, ip.MTU_DISCOVER, int32(PMTUDISC.WANT));
    },
  );
}

function nativeSocket(
  calls: SystemCalls,
  fd: number,
  socket: Socket,
  forbidCutting: () => void,
  allowCutting: () => void,
): UdpSocket {
  const burst = Buffer.alloc(MOST_BYTES);
  let offload = true;
  let closed = false;
  const single = (packet: Uint8Array, to: Destination): void => {
    // No room at the moment: libuv keeps it and sends it when there is.
    if (calls.send(fd, packet, to.bytes) === ERRNO.EAGAIN) socket.send(packet, to.port, to.ip, () => undefined);
  };
  return {
    send: (packets, to) => {
      if (closed) return;
      for (let at = 0; at < packets.length;) {
        const count = offload ? runLength(packets, at) : 1;
        const [first] = packets.slice(at, at + 1);
        if (first === undefined) return;
        if (count === 1) single(first, to);
        else {
          let length = 0;
          for (let index = at; index < at + count; index += 1) {
            const packet = packets[index] ?? first; // at + count is within packets, by runLength
            burst.set(packet, length);
            length += packet.length;
          }
          const failed = calls.sendSegments(fd, burst, length, first.length, to.bytes);
          if (failed !== 0) {
            // This kernel or this device cannot (EINVAL, EIO; EMSGSIZE: a segment does not fit the path): one by one.
            if (failed === ERRNO.EINVAL || failed === ERRNO.EIO) offload = false;
            for (let index = at; index < at + count; index += 1) single(packets[index] ?? first, to);
          }
        }
        at += count;
      }
    },
    probe: (packet, to) => {
      if (closed) return true;
      forbidCutting();
      const failed = calls.send(fd, packet, to.bytes);
      allowCutting();
      return failed !== ERRNO.EMSGSIZE;
    },
    close: () => {
      closed = true;
      return new Promise((resolve) => socket.close(() => resolve()));
    },
  };
}

/** How many packets from `at` on go in one call: all of one size, but the last may be shorter. */
function runLength(packets: readonly Uint8Array[], at: number): number {
  const size = packets[at]?.length ?? 0;
  let bytes = size;
  let count = 1;
  while (count < MOST_SEGMENTS) {
    const next = packets[at + count]?.length;
    if (next === undefined || next > size || bytes + next > MOST_BYTES) break;
    bytes += next;
    count += 1;
    if (next < size) break;
  }
  return count;
}
