/** The first exchange with the kernel: what each side can do (fuse_init_in, fuse_init_out). */
import { BLOCK } from './protocol.ts';

const MAJOR = 7;
/** Newest minor that this was written for. */
const MINOR = 44;

/** Bytes of the largest WRITE. */
export const MAX_WRITE = 1024 * 1024;
/** A WRITE of the largest size with its headers, rounded up. */
export const READ_BUFFER = MAX_WRITE + 64 * 1024;

/**
 * FUSE_*, by the number of their bit. No atomicTrunc: with it the kernel sets the size to 0 by itself when a
 * file is opened with O_TRUNC, and another process could read it as empty before the new contents are there.
 */
const FLAG = {
  asyncRead: 0,
  bigWrites: 5,
  autoInvalData: 12,
  parallelDirops: 18,
  maxPages: 22,
  cacheSymlinks: 23,
  initExt: 30,
  requestTimeout: 42,
} as const;
const WANTED: readonly (keyof typeof FLAG)[] = [
  'asyncRead',
  'bigWrites',
  'autoInvalData',
  'parallelDirops',
  'maxPages',
  'cacheSymlinks',
  'initExt',
  'requestTimeout',
];

/**
 * A request unanswered for so long breaks the mount (kernel 6.15): the last resort when this process is stopped
 * altogether. Longer than any operation takes (waiting.ts).
 */
const REQUEST_TIMEOUT_S = 90;

/** What this kernel can do for us. */
export interface KernelFeatures {
  /** All names can be told to be looked up again (protocol 7.44). */
  readonly epochs: boolean;
}

/**
 * How long the kernel may go by a name it has learned, in seconds. Where it can be told of changes that bounds the
 * damage should a word be lost; where it cannot, a name that changed elsewhere is stale for so long.
 */
export const namesValidS = ({ epochs }: KernelFeatures): number => (epochs ? 10 : 1);

/** The answer to INIT, or null when the kernel speaks another major version. */
export function initOut(body: Buffer): { readonly bytes: Buffer; readonly features: KernelFeatures } | null {
  if (body.length < 16 || body.readUInt32LE(0) !== MAJOR) return null;
  const minor = body.readUInt32LE(4);
  const low = BigInt(body.readUInt32LE(12));
  const extended = body.length >= 20 && (low & (1n << BigInt(FLAG.initExt))) !== 0n;
  const offered = extended ? low | (BigInt(body.readUInt32LE(16)) << 32n) : low;
  let granted = 0n;
  for (const name of WANTED) granted |= offered & (1n << BigInt(FLAG[name]));
  const has = (name: keyof typeof FLAG): boolean => (granted & (1n << BigInt(FLAG[name]))) !== 0n;
  const bytes = Buffer.alloc(64);
  bytes.writeUInt32LE(MAJOR, 0);
  bytes.writeUInt32LE(Math.min(minor, MINOR), 4);
  bytes.writeUInt32LE(body.readUInt32LE(8), 8);
  bytes.writeUInt32LE(Number(granted & 0xffffffffn), 12);
  bytes.writeUInt16LE(16, 16);
  bytes.writeUInt16LE(12, 18);
  bytes.writeUInt32LE(MAX_WRITE, 20);
  // Whole seconds: what pmxcfs keeps (measured).
  bytes.writeUInt32LE(1_000_000_000, 24);
  bytes.writeUInt16LE(MAX_WRITE / BLOCK, 28);
  bytes.writeUInt32LE(Number(granted >> 32n), 32);
  if (has('requestTimeout')) bytes.writeUInt16LE(REQUEST_TIMEOUT_S, 40);
  return { bytes, features: { epochs: minor >= MINOR } };
}
