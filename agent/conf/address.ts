/** Addresses as Corosync reads them, which is as getaddrinfo(3) and inet_aton(3) do. */

/**
 * An IPv4 address as 32 bits; null when it is none. One to four parts, decimal, octal (`010`) or hexadecimal (`0x10`);
 * the last fills what is left: `10.9` is 10.0.0.9.
 */
export function readIpv4(text: string): number | null {
  const parts = text.split('.');
  if (parts.length > 4) return null;
  const numbers = parts.map(readPart);
  const last = numbers.pop();
  if (last === undefined || last === null || last >= 256 ** (4 - numbers.length)) return null;
  let bits = last;
  for (const [index, part] of numbers.entries()) {
    if (part === null || part > 255) return null;
    bits += part * 256 ** (3 - index);
  }
  return bits;
}

function readPart(part: string): number | null {
  if (/^0[xX][0-9a-fA-F]+$/.test(part)) return Number(part);
  if (/^0[0-7]+$/.test(part)) return Number.parseInt(part, 8);
  return /^(0|[1-9][0-9]*)$/.test(part) ? Number(part) : null;
}

/** An IPv6 address, a zone behind it allowed (RFC 4291, RFC 4007). */
export function isIpv6(text: string): boolean {
  const address = text.replace(/%[A-Za-z0-9._-]+$/, '');
  const halves = address.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const embedded = groups.at(-1)?.includes('.') === true && !address.endsWith('::') ? groups.pop() : undefined;
  if (embedded !== undefined && !isDotted(embedded)) return false;
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  const count = groups.length + (embedded === undefined ? 0 : 2);
  return halves.length === 2 ? count < 8 : count === 8;
}

const isDotted = (text: string): boolean =>
  text.split('.').length === 4 &&
  text.split('.').every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256);

/** The family of a literal address; null for names and for what is no address at all. */
export function familyOf(text: string): 4 | 6 | null {
  if (text.includes(':')) return 6;
  return readIpv4(text) === null ? null : 4;
}
