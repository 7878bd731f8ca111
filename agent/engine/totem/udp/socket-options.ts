/** Numbers of Linux's socket calls (socket(7), ip(7), ipv6(7), udp(7)), the same on x64 and arm64. */
export const SOL_SOCKET = { level: 1, REUSEADDR: 2, SNDBUF: 7, RCVBUF: 8, SNDBUFFORCE: 32, RCVBUFFORCE: 33 } as const;
export const SOL_IP = {
  ...{ level: 0, MTU_DISCOVER: 10, MULTICAST_IF: 32, MULTICAST_TTL: 33, MULTICAST_LOOP: 34, ADD_MEMBERSHIP: 35 },
} as const;
export const SOL_IPV6 = {
  ...{ level: 41, MULTICAST_IF: 17, MULTICAST_HOPS: 18, MULTICAST_LOOP: 19, ADD_MEMBERSHIP: 20 },
  ...{ MTU_DISCOVER: 23, V6ONLY: 26 },
} as const;
export const SOL_UDP = { level: 17, SEGMENT: 103, GRO: 104 } as const;
/** Cut only where the path is known to be too narrow; or never, and refuse. */
export const PMTUDISC = { WANT: 1, DO: 2 } as const;
export const ERRNO = { EIO: 5, EAGAIN: 11, EINVAL: 22, EMSGSIZE: 90, EADDRINUSE: 98, EADDRNOTAVAIL: 99 } as const;

/** Bytes. A burst of a whole window must not be lost while this process is busy. */
export const SOCKET_BUFFER = 8 * 1024 * 1024;
