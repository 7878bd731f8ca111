/** What a file system tells the kernel unasked (FUSE_NOTIFY_*). `unique` is 0, the code stands where an errno would. */
const CODE = { invalInode: 2, retrieve: 5, incEpoch: 8 } as const;

function notification(code: number, body: Uint8Array): Buffer {
  const out = Buffer.alloc(16 + body.length);
  out.writeUInt32LE(out.length, 0);
  out.writeInt32LE(code, 4);
  out.set(body, 16);
  return out;
}

/** Attributes of the inode are to be asked for again; with `contents` its cached pages are dropped too. */
export function invalidInode(inode: number, contents: boolean): Buffer {
  const body = Buffer.alloc(24);
  body.writeBigUInt64LE(BigInt(inode), 0);
  body.writeBigInt64LE(contents ? 0n : -1n, 8);
  return notification(CODE.invalInode, body);
}

/** Every name is to be looked up again. Takes no lock. */
export const newEpoch = (): Buffer => notification(CODE.incEpoch, new Uint8Array());

/** Asks the kernel for no bytes of the root: its answer is a request, which wakes whoever reads requests. */
export function wakeReader(): Buffer {
  const body = Buffer.alloc(32);
  body.writeBigUInt64LE(1n, 0);
  body.writeBigUInt64LE(1n, 8);
  return notification(CODE.retrieve, body);
}
