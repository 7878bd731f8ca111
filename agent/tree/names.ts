/**
 * Names are bytes on Linux and strings here. A byte that is not part of valid UTF-8 becomes the lone
 * surrogate U+DC00 + byte (PEP 383), so that every name survives the way there and back.
 */
import { err, ok, type Result } from '../result.ts';
import { LIMITS, type Errno } from './types.ts';

const encoder = new TextEncoder();
const ESCAPE = 0xdc00;

const isEscape = (unit: number): boolean => unit >= ESCAPE + 0x80 && unit <= ESCAPE + 0xff;

/** The bytes of a name. A lone surrogate that stands for no byte becomes U+FFFD, as TextEncoder does. */
export function encodeName(name: string): Uint8Array {
  if (name.isWellFormed()) return encoder.encode(name);
  const bytes: number[] = [];
  // By code points: a lone surrogate comes out alone.
  for (const character of name) {
    const code = character.charCodeAt(0);
    if (character.length === 1 && isEscape(code)) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** Bytes of the UTF-8 sequence at `at`, or 0 when there is none (RFC 3629, section 4). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const second = bytes[at + 1] ?? 0;
  const tail = (offset: number): boolean => ((bytes[at + offset] ?? 0) & 0xc0) === 0x80;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The name of these bytes; `encodeName` of it gives the same bytes back. */
export function decodeName(bytes: Uint8Array): string {
  const parts: string[] = [];
  let from = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    parts.push(decoder.decode(bytes.subarray(from, at)), String.fromCharCode(ESCAPE + (bytes[at] ?? 0)));
    at += 1;
    from = at;
  }
  parts.push(decoder.decode(bytes.subarray(from)));
  return parts.join('');
}

/** null when `name` may be one path component, otherwise why not. */
export function nameFault(name: string): Errno | null {
  if (name === '' || name === '.' || name === '..') return 'EINVAL';
  if (name.includes('/') || name.includes('\0')) return 'EINVAL';
  // A UTF-16 unit is at least one byte.
  if (name.length > LIMITS.name) return 'ENAMETOOLONG';
  if (!name.isWellFormed()) {
    const bytes = encodeName(name);
    if (bytes.length > LIMITS.name) return 'ENAMETOOLONG';
    // Two spellings of the same bytes would be two entries here and one on disk.
    return decodeName(bytes) === name ? null : 'EINVAL';
  }
  return name.length * 3 > LIMITS.name && encoder.encode(name).length > LIMITS.name ? 'ENAMETOOLONG' : null;
}

/** The components of a path; none for the root (''). */
export function splitPath(path: string): Result<readonly string[], Errno> {
  if (path === '') return ok([]);
  const names = path.split('/');
  for (const name of names) {
    const fault = nameFault(name);
    if (fault !== null) return err(fault);
  }
  return ok(names);
}

export const joinPath = (parent: string, name: string): string => (parent === '' ? name : `${parent}/${name}`);
