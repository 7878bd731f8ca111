/** What a file's bytes are, for showing them. Pure. */

export type Contents =
  | { readonly kind: 'text'; readonly text: string; /** Lines left out at the end. */ readonly more: boolean }
  | { readonly kind: 'binary'; readonly dump: string; readonly more: boolean }
  | { readonly kind: 'empty' };

/** More than this is cut off on the screen, in bytes; the whole file can still be saved. */
const SHOWN_BYTES = 256 * 1024;
const DUMPED_BYTES = 1024;

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

export function contentsOf(bytes: Uint8Array): Contents {
  if (bytes.length === 0) return { kind: 'empty' };
  const text = bytes.includes(0) ? null : utf8(bytes.subarray(0, SHOWN_BYTES));
  if (text !== null) return { kind: 'text', text, more: bytes.length > SHOWN_BYTES };
  return { kind: 'binary', dump: hexDump(bytes.subarray(0, DUMPED_BYTES)), more: bytes.length > DUMPED_BYTES };
}

/** Null when it is not UTF-8. A character that the cut at the end goes through is left out. */
function utf8(bytes: Uint8Array): string | null {
  for (let cut = 0; cut < 4; cut += 1) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, bytes.length - cut));
    } catch {
      if (bytes.length < SHOWN_BYTES) return null;
    }
  }
  return null;
}

/** As `hexdump -C` prints it. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const row = [...bytes.subarray(offset, offset + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const plain = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${offset.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  |${plain}|`);
  }
  return lines.join('\n');
}

/** Keys and passwords live here: shown only when asked for. */
export const isSecret = (path: string): boolean => /(^|\/)priv(\/|$)|\.key$|(^|\/)authkey/.test(path);

/** `rw-r-----` of permission bits. */
export function modeWords(mode: number): string {
  return [6, 3, 0]
    .map((shift) => {
      const bits = (mode >> shift) & 7;
      return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`;
    })
    .join('');
}
