/**
 * Open files. One opened with O_TRUNC, or just created, gathers what is written and commits it whole at
 * close or fsync, so that nobody ever reads half of it; any other writes through.
 */
import { LIMITS } from '../../tree/types.ts';

export interface Handle {
  /** 0 while the file is still being created. */
  inode: number;
  readonly append: boolean;
  /** Contents to be committed; null for a handle that writes through. */
  buffer: Uint8Array | null;
  dirty: boolean;
}

export class Handles {
  readonly #open = new Map<number, Handle>();
  #last = 0;

  open(inode: number, flags: { readonly append: boolean; readonly gathers: boolean; readonly dirty: boolean }): number {
    this.#last += 1;
    const buffer = flags.gathers ? new Uint8Array() : null;
    this.#open.set(this.#last, { inode, append: flags.append, buffer, dirty: flags.dirty });
    return this.#last;
  }
  get(handle: number): Handle | undefined {
    return this.#open.get(handle);
  }
  close(handle: number): void {
    this.#open.delete(handle);
  }
}

/** Writes into a gathering handle as far as a file may grow. Gives the bytes taken; 0 when none fits. */
export function gather(handle: Handle, offset: number, data: Uint8Array): number {
  const before = handle.buffer ?? new Uint8Array();
  const at = handle.append ? before.length : offset;
  const size = Math.min(data.length, LIMITS.file - at);
  if (size <= 0 && data.length > 0) return 0;
  const end = Math.max(before.length, at + size);
  let buffer = before;
  if (end > before.buffer.byteLength) {
    // Room to grow, so that many small writes do not copy the file each time.
    buffer = new Uint8Array(Math.min(LIMITS.file, Math.max(end, before.length * 2)));
    buffer.set(before);
  }
  buffer = new Uint8Array(buffer.buffer, 0, end);
  buffer.set(data.subarray(0, size), at);
  handle.buffer = buffer;
  handle.dirty = true;
  return size;
}

/** Cuts or grows a gathering handle. */
export function resize(handle: Handle, size: number): void {
  const buffer = new Uint8Array(size);
  const before = handle.buffer ?? new Uint8Array();
  buffer.set(before.subarray(0, Math.min(size, before.length)));
  handle.buffer = buffer;
  handle.dirty = true;
}
