/** Writes tar archives whose bytes depend on nothing but their entries (POSIX ustar; no dates, no owners). */

export interface TarEntry {
  /** Path with forward slashes, of which the part after some slash is at most 100 bytes and the rest 155. */
  readonly name: string;
  readonly mode: number;
  readonly data: Buffer;
}

const BLOCK = 512;

/** 2020-01-01: GNU tar warns of files from 1970 as it unpacks them. */
const SOME_DAY = 1_577_836_800;

/** The archive in pieces, for a stream. Throws a RangeError for a path too long for ustar. */
export function* tarOf(entries: readonly TarEntry[]): Generator<Buffer> {
  for (const entry of entries) {
    yield header(entry);
    yield entry.data;
    const rest = entry.data.length % BLOCK;
    if (rest > 0) yield Buffer.alloc(BLOCK - rest);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** Field offsets as in pax(1), "ustar Interchange Format". */
function header({ name, mode, data }: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const [prefix, rest] = split(name);
  block.write(rest, 0);
  block.write(octal(mode, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(data.length, 11), 124);
  block.write(octal(SOME_DAY, 11), 136);
  block.write(' '.repeat(8), 148);
  block.write('0', 156);
  block.write('ustar\x0000', 257);
  block.write('root', 265);
  block.write('root', 297);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');

function split(name: string): [prefix: string, rest: string] {
  if (Buffer.byteLength(name) <= 100) return ['', name];
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
    const parts: [string, string] = [name.slice(0, at), name.slice(at + 1)];
    if (Buffer.byteLength(parts[0]) <= 155 && Buffer.byteLength(parts[1]) <= 100) return parts;
  }
  throw new RangeError(`${name} is too long a path for a tar archive`);
}
