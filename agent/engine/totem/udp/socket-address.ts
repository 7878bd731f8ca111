/** Addresses as the kernel's socket calls want them (ip(7), ipv6(7)). */
import { SocketAddress, isIP } from 'node:net';

const AF_INET = 2;
const AF_INET6 = 10;

/** One spelling for each address, so that two can be compared as text. A zone (%eth0) is left out. */
export function canonical(ip: string): string {
  const [plain = ip] = ip.split('%');
  return isIP(plain) === 6 ? new SocketAddress({ address: plain, family: 'ipv6' }).address : plain;
}

/** struct sockaddr_in or sockaddr_in6 of an address and a port, in bytes. `ip` must be an IP address. */
export function sockaddr(ip: string, port: number): Uint8Array {
  const v6 = isIP(ip) === 6;
  const bytes = Buffer.alloc(v6 ? 28 : 16);
  bytes.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0); // little-endian on every machine that we have a runtime for
  bytes.writeUInt16BE(port, 2);
  bytes.set(ipBytes(ip), v6 ? 8 : 4);
  return bytes;
}

/** 4 or 16 bytes in network order. */
export function ipBytes(ip: string): Uint8Array {
  if (isIP(ip) === 4) return Uint8Array.from(ip.split('.').map(Number));
  const [plain = ''] = ip.split('%');
  // A dotted IPv4 tail is two groups.
  const text = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = text.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = Array<number>(tail === undefined ? 0 : 8 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]));
}
