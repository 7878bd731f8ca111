/** Requests on open files: open, read, write, commit. See handles.ts for what gathers and what writes through. */
import { LIMITS, type Operation } from '../../tree/types.ts';
import { hasOpen, isSameProcess } from './callers.ts';
import { gather, resize, sized, type Handle, type Handles } from './handles.ts';
import type { Answers, Outlet } from './outlet.ts';
import * as fuse from './protocol.ts';
import type { Request } from './protocol.ts';
import { isVirtualInode, refusal, type TreeView } from './view.ts';

const EMPTY = new Uint8Array();
/** fallocate(2). */
const FALLOCATE = { keepSize: 1, punchHole: 2, zeroRange: 16 } as const;
const FALLOCATE_KNOWN = FALLOCATE.keepSize | FALLOCATE.punchHole | FALLOCATE.zeroRange;

export class FileServing {
  readonly #view: TreeView;
  readonly #handles: Handles;
  readonly #answers: Answers;
  readonly #out: Outlet;
  /** By thread, the handle it opened for writing with its last request. */
  readonly #justOpened = new Map<number, number>();

  constructor(view: TreeView, handles: Handles, answers: Answers, out: Outlet) {
    this.#view = view;
    this.#handles = handles;
    this.#answers = answers;
    this.#out = out;
  }

  /**
   * The word for an inode that is gone. A process that holds it open may mean that very file; any other has followed
   * a name that leads elsewhere by now, before the kernel heard of it: with ESTALE it looks the path up anew.
   */
  whyGone({ node, pid }: Request): 'ENOENT' | 'ESTALE' {
    const isHeld = this.#handles.openersOf(node).some((opener) => opener === 0 || isSameProcess(opener, pid));
    return isHeld ? 'ENOENT' : 'ESTALE';
  }

  open(request: Request): void {
    const { node, pid } = request;
    const flags = request.body.readUInt32LE(0);
    const data = this.#view.data(node);
    // Always by a path (whyGone).
    if (data === null) return this.#answers.fail(request, 'ESTALE');
    const writes = (flags & fuse.O.accessMode) !== 0;
    const handle = this.#handles.open(node, { writes, pid, gathers: false, truncates: false });
    if (writes) this.#justOpened.set(pid, handle);
    else this.#justOpened.delete(pid);
    // No page cache: a page must never hold what is not in the tree, and pages and the size that the kernel knows may
    // come from two versions (found under fault: contents cut off at the old length).
    const flush = writes || this.#view.isMadeUp(node) ? 0 : fuse.FOPEN.noFlush;
    this.#answers.ok(request, fuse.openOut(handle, fuse.FOPEN.directIo | flush));
  }

  /** A new file gathers from its beginning; `path` is where it is to be. */
  create(request: Request, path: string): void {
    if (!this.#view.writable) return this.#answers.fail(request, 'EACCES');
    const flags = request.body.readUInt32LE(0);
    const has = (bit: number): boolean => (flags & bit) !== 0;
    const how = { writes: true, pid: request.pid, gathers: !has(fuse.O.append), truncates: has(fuse.O.truncate) };
    const handle = this.#handles.open(0, how);
    const operation = { kind: 'create', path, exclusive: has(fuse.O.exclusive) } as const;
    this.#answers.submit(request, operation, { kind: 'created', path, handle });
  }

  read(request: Request): void {
    const { body, node } = request;
    const handle = this.#handles.get(Number(body.readBigUInt64LE(0)));
    const offset = Number(body.readBigUInt64LE(8));
    const gathered = handle?.dirty === true ? handle.buffer : null;
    const data = gathered ?? this.#passOf(handle, offset) ?? this.#view.data(node);
    if (data === null) return this.#answers.fail(request, 'ENOENT');
    if (handle !== undefined) handle.pass = offset < data.length ? data : null;
    this.#answers.ok(request, data.subarray(Math.min(offset, data.length), offset + body.readUInt32LE(16)));
  }

  /** One pass, from the beginning to the end that read(2) tells with 0 bytes, sees one version. */
  #passOf(handle: Handle | undefined, offset: number): Uint8Array | null {
    return handle === undefined || handle.writes || offset === 0 ? null : handle.pass;
  }

  write(request: Request): void {
    const { body, node } = request;
    const handle = this.#handles.get(Number(body.readBigUInt64LE(0)));
    if (handle === undefined) return this.#answers.fail(request, 'EBADF');
    const at = body.readBigUInt64LE(8);
    const data = body.subarray(40, 40 + body.readUInt32LE(16));
    if (isVirtualInode(this.#view, node)) return this.#writeVirtual(request, at, data);
    const refused = refusal(this.#view, node);
    if (refused !== null) return this.#answers.fail(request, refused);
    const before = this.#view.data(node);
    if (before === null) return this.#answers.fail(request, 'ENOENT');
    if (at > BigInt(LIMITS.file)) return this.#answers.fail(request, 'EFBIG');
    // The flags as they are now: fcntl(2) may have changed them since the file was opened.
    const append = (body.readUInt32LE(32) & fuse.O.append) !== 0;
    const offset = append ? 'end' : Number(at);
    if (handle.buffer !== null) {
      const size = gather(handle, offset, data);
      if (size === 0 && data.length > 0) return this.#answers.fail(request, 'EFBIG');
      handle.writers.add(body.readBigUInt64LE(24));
      return this.#answers.ok(request, fuse.writeOut(size));
    }
    if (this.#view.isOrphan(node)) return this.#writeOrphan(request, offset, data);
    if (offset === 'end') {
      const operation = { kind: 'append', target: node, data: new Uint8Array(data) } as const;
      return this.#answers.submit(request, operation, { kind: 'written', size: data.length });
    }
    const size = Math.min(data.length, LIMITS.file - offset);
    if (size === 0 && data.length > 0) return this.#answers.fail(request, 'EFBIG');
    const operation = {
      kind: 'patch',
      target: node,
      offset,
      data: new Uint8Array(data.subarray(0, size)),
      size: null,
    } as const;
    this.#answers.submit(request, operation, { kind: 'written', size });
  }

  #writeOrphan(request: Request, at: number | 'end', data: Uint8Array): void {
    const orphan = this.#handles.orphan(request.node);
    if (orphan === undefined) return this.#answers.fail(request, 'ENOENT');
    const offset = at === 'end' ? orphan.data.length : at;
    const size = Math.min(data.length, LIMITS.file - offset);
    if (size <= 0 && data.length > 0) return this.#answers.fail(request, 'EFBIG');
    orphan.data = sized(orphan.data, Math.max(orphan.data.length, offset + size));
    orphan.data.set(data.subarray(0, size), offset);
    this.#answers.ok(request, fuse.writeOut(size));
  }

  /** Only `.debug` takes anything: 0 or 1 with a line's end (measured). */
  #writeVirtual(request: Request, at: bigint, data: Buffer): void {
    const text = data.toString('latin1');
    const isDebug = this.#view.virtualName(request.node) === '.debug';
    if (!isDebug || at !== 0n || (text !== '0\n' && text !== '1\n')) return this.#answers.fail(request, 'EIO');
    this.#out.debug(text === '1\n');
    this.#answers.ok(request, fuse.writeOut(data.length));
  }

  /**
   * open(2) with O_TRUNC: what was just opened gathers from nothing, and everyone else reads the old contents. The
   * kernel opens first and then cuts off the contents by the inode, with the very words of truncate(2) (measured):
   * O_TRUNC is what comes from a thread that has just opened this file for writing, and has asked for nothing since.
   */
  truncateAtOpen(request: Request): boolean {
    const { node, pid } = request;
    const handle = pid === 0 ? this.#handles.untouched(node) : this.#handles.get(this.#justOpened.get(pid) ?? 0);
    if (handle === undefined || handle.inode !== node || handle.buffer !== null) return false;
    handle.buffer = new Uint8Array();
    handle.dirty = true;
    return true;
  }

  /** Of every request that is done with: what its thread opened before it was not opened just now. */
  done(request: Request): void {
    // Before it cuts a file off, the kernel asks once whether it has capabilities to lose.
    if (request.opcode !== fuse.OPCODE.open && request.opcode !== fuse.OPCODE.getxattr)
      this.#justOpened.delete(request.pid);
  }

  truncate(request: Request, handleId: number | null, size: number): void {
    const { node } = request;
    const handle = handleId === null ? undefined : this.#handles.get(handleId);
    const attributes = this.#view.attributes(node);
    if (attributes === null) return this.#answers.fail(request, 'ENOENT');
    if (handle !== undefined && handle.buffer !== null) {
      resize(handle, size);
      // Everyone else goes on seeing what is committed, and the kernel has one size for all.
      return this.#answers.ok(request, fuse.attributesOut(attributes));
    }
    const orphan = this.#handles.orphan(node);
    if (orphan !== undefined) {
      orphan.data = sized(orphan.data, size);
      return this.#answers.ok(request, fuse.attributesOut({ ...attributes, size }));
    }
    const operation = { kind: 'patch', target: node, offset: 0, data: EMPTY, size } as const;
    this.#answers.submit(request, operation, { kind: 'attributes', inode: node });
  }

  fallocate(request: Request): void {
    const { body, node } = request;
    const handle = this.#handles.get(Number(body.readBigUInt64LE(0)));
    const [offset, length] = [body.readBigUInt64LE(8), body.readBigUInt64LE(16)];
    const mode = body.readUInt32LE(24);
    if (handle === undefined) return this.#answers.fail(request, 'EBADF');
    if ((mode & ~FALLOCATE_KNOWN) !== 0) return this.#answers.fail(request, 'ENOTSUP');
    const refused = refusal(this.#view, node);
    if (refused !== null) return this.#answers.fail(request, refused);
    const before = handle.buffer ?? this.#view.data(node);
    if (before === null) return this.#answers.fail(request, 'ENOENT');
    if (offset + length > BigInt(LIMITS.file)) return this.#answers.fail(request, 'EFBIG');
    const [from, end] = [Number(offset), Number(offset + length)];
    const grown = (mode & FALLOCATE.keepSize) === 0 ? Math.max(before.length, end) : before.length;
    const zeroes = (mode & (FALLOCATE.punchHole | FALLOCATE.zeroRange)) !== 0;
    const cleared = zeroes ? new Uint8Array(Math.max(0, Math.min(end, grown) - from)) : EMPTY;
    if (grown === before.length && cleared.length === 0) return this.#answers.ok(request);
    if (handle.buffer !== null) {
      if (grown !== before.length) resize(handle, grown);
      gather(handle, from, cleared);
      return this.#answers.ok(request);
    }
    const size = grown === before.length ? null : grown;
    const operation = { kind: 'patch', target: node, offset: from, data: cleared, size } as const;
    this.#answers.submit(request, operation, { kind: 'empty' });
  }

  /**
   * Commits what was gathered. What is written through is with a majority already; whoever only reads has nothing
   * else to ask for than that what is read from now on is as new as it can be.
   */
  fsync(request: Request): void {
    const handle = this.#handles.get(Number(request.body.readBigUInt64LE(0)));
    if (handle?.writes === false) this.#answers.submit(request, { kind: 'sync' }, { kind: 'fresh' });
    else this.#commit(request, handle);
  }

  /** A descriptor was closed; others may still be open on the same file, of this process or another one. */
  flush(request: Request): void {
    const handle = this.#handles.get(Number(request.body.readBigUInt64LE(0)));
    if (handle !== undefined && handle.dirty && !this.#isLastWord(request, handle)) return this.#answers.ok(request);
    this.#commit(request, handle);
  }

  /**
   * `command > file` in a shell opens the file, duplicates the descriptor and closes the first one before anything
   * is written; a child closes on its exit what it only inherited. Neither may publish an empty file.
   */
  #isLastWord(request: Request, handle: Handle): boolean {
    if (handle.writers.size > 0) return handle.writers.has(request.body.readBigUInt64LE(16));
    if (!isSameProcess(request.pid, handle.pid)) return false;
    const path = this.#view.tree.pathOf(handle.inode);
    return path === null || !hasOpen(request.pid, `/${path}`);
  }

  #commit(request: Request, handle: Handle | undefined): void {
    if (handle === undefined || !handle.dirty || handle.buffer === null) return this.#answers.ok(request);
    const refused = refusal(this.#view, handle.inode);
    if (refused !== null) {
      handle.dirty = false;
      return this.#answers.fail(request, refused);
    }
    const operation = this.#takeOut(handle, handle.buffer);
    if (operation === null) this.#answers.ok(request);
    else this.#answers.submit(request, operation, { kind: 'empty' });
  }

  /** After this the handle writes through: what it holds may be changed by others meanwhile. */
  #takeOut(handle: Handle, buffer: Uint8Array): Operation | null {
    handle.dirty = false;
    handle.buffer = null;
    handle.writers.clear();
    const orphan = this.#handles.orphan(handle.inode);
    if (orphan === undefined) return { kind: 'write', target: handle.inode, data: buffer.slice(), create: false };
    orphan.data = buffer.slice();
    return null;
  }

  /** close() has flushed; only a handle whose flush was not its last word still has something to say. */
  release(request: Request): void {
    const id = Number(request.body.readBigUInt64LE(0));
    const handle = this.#handles.get(id);
    if (handle?.dirty === true && handle.buffer !== null && this.#view.writable) {
      const operation = this.#takeOut(handle, handle.buffer);
      if (operation !== null) this.#answers.submitUnasked(operation);
    }
    this.#handles.close(id);
    this.#answers.ok(request);
  }
}
