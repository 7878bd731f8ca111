/**
 * The kernel's side of FUSE (include/uapi/linux/fuse.h, protocol 7.31 and later): requests as they are
 * read from /dev/fuse, and the bytes of the answers. Little endian, as every architecture we ship for.
 */
import { encodeName } from '../../tree/names.ts';

export const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  notifyReply: 41,
  batchForget: 42,
  fallocate: 43,
  rename2: 45,
} as const;

/** errno of Linux, those that a tree can meet. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENOTSUP: 95,
  ESTALE: 116,
} as const;
export type ErrnoName = keyof typeof ERRNO;

/** open(2) flags, as asm-generic has them. */
export const O = {
  accessMode: 3,
  writeOnly: 1,
  readWrite: 2,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
} as const;

/** What an answer to OPEN and OPENDIR asks of the kernel (FOPEN_*). */
export const FOPEN = { directIo: 1, keepCache: 2, cacheDir: 8, noFlush: 32 } as const;

/** Which fields a SETATTR changes (FATTR_*). */
export const SETATTR = {
  mode: 1,
  uid: 2,
  gid: 4,
  size: 8,
  atime: 16,
  mtime: 32,
  fh: 64,
  atimeNow: 128,
  mtimeNow: 256,
} as const;

const HEADER_BYTES = 40;
const EMPTY = new Uint8Array();

export interface Request {
  readonly opcode: number;
  readonly unique: bigint;
  readonly node: number;
  readonly uid: number;
  readonly gid: number;
  /** The calling thread, as this process's namespace numbers it; 0 when it is not in it. */
  readonly pid: number;
  readonly body: Buffer;
}

/** One request of the kernel. `body` is a part of `bytes`. */
export function decodeRequest(bytes: Buffer): Request {
  return {
    opcode: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    node: Number(bytes.readBigUInt64LE(16)),
    uid: bytes.readUInt32LE(24),
    gid: bytes.readUInt32LE(28),
    pid: bytes.readUInt32LE(32),
    body: bytes.subarray(HEADER_BYTES, bytes.readUInt32LE(0)),
  };
}

export function answer(unique: bigint, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 16);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(length, 0);
  head.writeBigUInt64LE(unique, 8);
  return Buffer.concat([head, ...parts]);
}

export function failure(unique: bigint, errno: ErrnoName): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16, 0);
  head.writeInt32LE(-ERRNO[errno], 4);
  head.writeBigUInt64LE(unique, 8);
  return head;
}

export interface Attributes {
  readonly ino: number;
  readonly size: number;
  readonly mtimeS: number;
  /** Type and permission bits. */
  readonly mode: number;
  readonly links: number;
  readonly gid: number;
  /** The kernel must ask again each time: contents that are made up change without a word. */
  readonly fleeting: boolean;
}

export const BLOCK = 4096;

function writeAttributes(out: Buffer, at: number, attributes: Attributes): void {
  out.writeBigUInt64LE(BigInt(attributes.ino), at);
  out.writeBigUInt64LE(BigInt(attributes.size), at + 8);
  // Measured on pmxcfs: blocks = ceil(size / 4096).
  out.writeBigUInt64LE(BigInt(Math.ceil(attributes.size / BLOCK)), at + 16);
  for (const offset of [24, 32, 40]) out.writeBigUInt64LE(BigInt(attributes.mtimeS), at + offset);
  out.writeUInt32LE(attributes.mode, at + 60);
  out.writeUInt32LE(attributes.links, at + 64);
  out.writeUInt32LE(0, at + 68);
  out.writeUInt32LE(attributes.gid, at + 72);
  out.writeUInt32LE(BLOCK, at + 80);
}

/**
 * How long the kernel may go by attributes, in seconds. What changes is told to it at once (invalidation.ts);
 * this bounds the damage should a word of that be lost.
 */
const VALID_S = 10n;

/** fuse_entry_out. `nameS`: how long the kernel may go by the name, in seconds (init.ts). */
export function entryOut(attributes: Attributes, nameS: number): Buffer {
  const out = Buffer.alloc(128);
  out.writeBigUInt64LE(BigInt(attributes.ino), 0);
  out.writeBigUInt64LE(attributes.fleeting ? 0n : BigInt(nameS), 16);
  out.writeBigUInt64LE(attributes.fleeting ? 0n : VALID_S, 24);
  writeAttributes(out, 40, attributes);
  return out;
}

/** fuse_entry_out that says: there is no such name, and the kernel may remember that. */
export function noEntryOut(nameS: number): Buffer {
  const out = Buffer.alloc(128);
  out.writeBigUInt64LE(BigInt(nameS), 16);
  return out;
}

/** fuse_attr_out. */
export function attributesOut(attributes: Attributes): Buffer {
  const out = Buffer.alloc(104);
  out.writeBigUInt64LE(attributes.fleeting ? 0n : VALID_S, 0);
  writeAttributes(out, 16, attributes);
  return out;
}

/** fuse_open_out. */
export function openOut(handle: number, flags: number): Buffer {
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(BigInt(handle), 0);
  out.writeUInt32LE(flags, 8);
  return out;
}

/** fuse_write_out. */
export function writeOut(size: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32LE(size, 0);
  return out;
}

/** fuse_statfs_out. Sizes in bytes. */
export function statfsOut(total: number, used: number, files: number, entries: number): Buffer {
  const out = Buffer.alloc(80);
  const blocks = Math.floor(total / BLOCK);
  const free = Math.max(0, blocks - Math.ceil(used / BLOCK));
  out.writeBigUInt64LE(BigInt(blocks), 0);
  out.writeBigUInt64LE(BigInt(free), 8);
  out.writeBigUInt64LE(BigInt(free), 16);
  out.writeBigUInt64LE(BigInt(files), 24);
  out.writeBigUInt64LE(BigInt(Math.max(0, files - entries)), 32);
  out.writeUInt32LE(BLOCK, 40);
  out.writeUInt32LE(255, 44);
  out.writeUInt32LE(BLOCK, 48);
  return out;
}

export interface DirectoryItem {
  readonly ino: number;
  readonly name: string;
  readonly type: 'directory' | 'file' | 'link';
}
/** DT_* of dirent.h. */
const DIRENT_TYPE = { directory: 4, file: 8, link: 10 } as const;

/** Items of a directory as they were at one moment, ready to be sent. An item's place is its offset. */
export interface Listing {
  /** Whole items from `offset` on that fit into `size` bytes. */
  page(offset: number, size: number): Uint8Array;
}

export function listingOf(items: readonly DirectoryItem[]): Listing {
  const names = items.map(({ name }) => encodeName(name));
  /** Where each item begins; the last is the end. */
  const starts = new Uint32Array(items.length + 1);
  names.forEach((name, index) => {
    starts[index + 1] = (starts[index] ?? 0) + 24 + Math.ceil(name.length / 8) * 8;
  });
  const bytes = Buffer.alloc(starts[items.length] ?? 0);
  items.forEach(({ ino, type }, index) => {
    const [start, name] = [starts[index] ?? 0, names[index] ?? EMPTY];
    bytes.writeBigUInt64LE(BigInt(ino), start);
    bytes.writeBigUInt64LE(BigInt(index + 1), start + 8);
    bytes.writeUInt32LE(name.length, start + 16);
    bytes.writeUInt32LE(DIRENT_TYPE[type], start + 20);
    bytes.set(name, start + 24);
  });
  return {
    page: (offset, size) => {
      const first = Math.min(offset, items.length);
      const start = starts[first] ?? bytes.length;
      let [low, high] = [first, items.length];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((starts[middle] ?? bytes.length) - start <= size) low = middle;
        else high = middle - 1;
      }
      return bytes.subarray(start, starts[low]);
    },
  };
}
