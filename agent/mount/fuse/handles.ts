/**
 * Open files. One opened with O_TRUNC, or just created, gathers what is written and commits it whole at
 * close or fsync, so that nobody ever reads half of it; any other writes through.
 */
import { LIMITS, type TreeNode } from '../../tree/types.ts';

export interface Handle {
  /** 0 while the file is still being created. */
  inode: number;
  /** Was it opened for writing? */
  readonly writes: boolean;
  /** Thread that opened it; 0 when it is not known. */
  readonly pid: number;
  /** The file was opened with O_TRUNC while it was created. */
  readonly truncates: boolean;
  /** Contents to be committed; null for a handle that writes through. */
  buffer: Uint8Array | null;
  /** The buffer is to be committed: something was written, or the old contents were cut off. */
  dirty: boolean;
  /** The contents that a reader is in the midst of; null between two passes. */
  pass: Uint8Array | null;
  /** Tables of open files (FUSE's lock_owner: one for each process) that wrote into the buffer. */
  readonly writers: Set<bigint>;
}

/** A file that was removed here while it was open here: it lives on until it is closed, for this node alone. */
export interface Orphan {
  data: Uint8Array;
  readonly mtimeS: number;
  readonly mode: number;
}

export class Handles {
  readonly #open = new Map<number, Handle>();
  /** How many handles an inode has. */
  readonly #counts = new Map<number, number>();
  readonly #orphans = new Map<number, Orphan>();
  #last = 0;

  open(
    inode: number,
    how: { readonly writes: boolean; readonly pid: number; readonly gathers: boolean; readonly truncates: boolean },
  ): number {
    this.#last += 1;
    const { writes, pid, truncates } = how;
    const buffer = how.gathers ? new Uint8Array() : null;
    this.#open.set(this.#last, { inode, writes, pid, truncates, buffer, dirty: false, pass: null, writers: new Set() });
    this.#count(inode, 1);
    return this.#last;
  }
  get(handle: number): Handle | undefined {
    return this.#open.get(handle);
  }
  close(handle: number): void {
    const found = this.#open.get(handle);
    if (found === undefined) return;
    this.#open.delete(handle);
    this.#count(found.inode, -1);
  }

  /** The file being created for this handle has this inode. */
  created(handle: number, inode: number): void {
    const found = this.#open.get(handle);
    if (found === undefined) return;
    found.inode = inode;
    this.#count(inode, 1);
  }

  isOpen(inode: number): boolean {
    return (this.#counts.get(inode) ?? 0) > 0;
  }

  /** The threads that opened it and have not closed it. */
  openersOf(inode: number): number[] {
    return [...this.#open.values()].filter((handle) => handle.inode === inode).map(({ pid }) => pid);
  }

  /** The newest handle for writing on this inode whose thread is not known, and that nothing was done with. */
  untouched(inode: number): Handle | undefined {
    let found: Handle | undefined;
    for (const handle of this.#open.values())
      if (handle.inode === inode && handle.writes && handle.pid === 0 && handle.buffer === null) found = handle;
    return found;
  }

  orphan(inode: number): Orphan | undefined {
    return this.#orphans.get(inode);
  }
  addOrphan(node: TreeNode, mode: number): void {
    this.#orphans.set(node.inode, { data: node.data, mtimeS: node.mtimeS, mode });
  }

  #count(inode: number, by: number): void {
    // While a file is being created its inode is not known.
    if (inode === 0) return;
    const count = (this.#counts.get(inode) ?? 0) + by;
    if (count > 0) this.#counts.set(inode, count);
    else {
      this.#counts.delete(inode);
      this.#orphans.delete(inode);
    }
  }
}

/** Writes into a gathering handle as far as a file may grow. Gives the bytes taken; 0 when none fits. */
export function gather(handle: Handle, at: number | 'end', data: Uint8Array): number {
  const before = handle.buffer ?? new Uint8Array();
  const offset = at === 'end' ? before.length : at;
  const size = Math.min(data.length, LIMITS.file - offset);
  if (size <= 0 && data.length > 0) return 0;
  const end = Math.max(before.length, offset + size);
  let buffer = before;
  if (end > before.buffer.byteLength) {
    // Room to grow, so that many small writes do not copy the file each time.
    buffer = new Uint8Array(Math.min(LIMITS.file, Math.max(end, before.length * 2)));
    buffer.set(before);
  }
  buffer = new Uint8Array(buffer.buffer, 0, end);
  buffer.set(data.subarray(0, size), offset);
  handle.buffer = buffer;
  handle.dirty = true;
  return size;
}

/** Cuts or grows a gathering handle. */
export function resize(handle: Handle, size: number): void {
  handle.buffer = sized(handle.buffer ?? new Uint8Array(), size);
  handle.dirty = true;
}

/** A copy of `data` of this length; what is added is zeros. */
export function sized(data: Uint8Array, size: number): Uint8Array {
  const next = new Uint8Array(size);
  next.set(data.subarray(0, Math.min(size, data.length)));
  return next;
}
