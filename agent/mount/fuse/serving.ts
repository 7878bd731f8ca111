/** One request of the kernel, answered from the tree or turned into an operation. */
import { joinPath, decodeName, encodeName } from '../../tree/names.ts';
import { LIMITS, type Operation } from '../../tree/types.ts';
import { gather, resize, type Handles } from './handles.ts';
import type { LateAnswer } from './messages.ts';
import * as fuse from './protocol.ts';
import type { ErrnoName, Request } from './protocol.ts';
import { refusal, type TreeView } from './view.ts';

export interface Outlet {
  /** To the kernel, at once. */
  reply(bytes: Uint8Array): void;
  /** To the replicating thread, which replies when it is done. */
  submit(unique: bigint, operation: Operation, answer: LateAnswer): void;
}

const NO_REPLACE = 1;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const PERMISSIONS = 0o7777;
const ROOT_USER = 0;
const SAME = 0xffffffff;

export class Serving {
  readonly #view: TreeView;
  readonly #handles: Handles;
  readonly #out: Outlet;

  constructor(view: TreeView, handles: Handles, out: Outlet) {
    this.#view = view;
    this.#handles = handles;
    this.#out = out;
  }

  /** False when the conversation is over. */
  take(request: Request): boolean {
    const { opcode, unique, node, body } = request;
    switch (opcode) {
      case fuse.OPCODE.init: {
        const out = fuse.initOut(body);
        if (out === null) this.#fail(request, 'EIO');
        else this.#ok(request, out);
        return true;
      }
      case fuse.OPCODE.destroy:
        this.#ok(request);
        return false;
      case fuse.OPCODE.forget:
      case fuse.OPCODE.batchForget:
      case fuse.OPCODE.interrupt:
        // Nothing is remembered per inode; an operation under way goes on, and its answer frees the caller.
        return true;
      case fuse.OPCODE.lookup:
        this.#entry(request, this.#view.child(node, name(body, 0)));
        return true;
      case fuse.OPCODE.getattr:
        this.#getattr(request);
        return true;
      case fuse.OPCODE.setattr:
        this.#setattr(request);
        return true;
      case fuse.OPCODE.readlink: {
        const target = this.#view.linkTarget(node);
        if (target === null) this.#fail(request, 'EINVAL');
        else this.#ok(request, encodeName(target));
        return true;
      }
      case fuse.OPCODE.mknod:
        if ((body.readUInt32LE(0) & S_IFMT) !== S_IFREG) this.#fail(request, 'ENOSYS');
        else this.#make(request, name(body, 16), (path) => ({ kind: 'create', path, exclusive: true }));
        return true;
      case fuse.OPCODE.mkdir:
        this.#make(request, name(body, 8), (path) => ({ kind: 'mkdir', path }));
        return true;
      case fuse.OPCODE.unlink:
        this.#take(request, name(body, 0), (path) => ({ kind: 'unlink', path }));
        return true;
      case fuse.OPCODE.rmdir:
        this.#take(request, name(body, 0), (path) => ({ kind: 'rmdir', path }));
        return true;
      case fuse.OPCODE.rename:
        this.#rename(request, 8, 0);
        return true;
      case fuse.OPCODE.rename2:
        this.#rename(request, 16, body.readUInt32LE(8));
        return true;
      case fuse.OPCODE.link:
        this.#fail(request, 'EPERM');
        return true;
      case fuse.OPCODE.open:
        this.#open(request);
        return true;
      case fuse.OPCODE.create:
        this.#create(request);
        return true;
      case fuse.OPCODE.read:
        this.#read(request);
        return true;
      case fuse.OPCODE.write:
        this.#write(request);
        return true;
      case fuse.OPCODE.flush:
      case fuse.OPCODE.fsync:
        this.#commit(request);
        return true;
      case fuse.OPCODE.release:
        this.#release(request);
        return true;
      case fuse.OPCODE.opendir:
        this.#ok(request, fuse.openOut(0, 0));
        return true;
      case fuse.OPCODE.readdir: {
        const offset = Number(body.readBigUInt64LE(8));
        this.#ok(request, fuse.directoryOut(this.#view.items(node), offset, body.readUInt32LE(16)));
        return true;
      }
      case fuse.OPCODE.releasedir:
      case fuse.OPCODE.fsyncdir:
        this.#ok(request);
        return true;
      case fuse.OPCODE.statfs: {
        const { tree } = this.#view;
        this.#ok(request, fuse.statfsOut(LIMITS.bytes, tree.bytes, LIMITS.entries, tree.entries));
        return true;
      }
      default:
        this.#out.reply(fuse.failure(unique, 'ENOSYS'));
        return true;
    }
  }

  // --- attributes ---

  #getattr(request: Request): void {
    const attributes = this.#view.attributes(request.node);
    if (attributes === null) return this.#fail(request, 'ENOENT');
    const byHandle = (request.body.readUInt32LE(0) & 1) !== 0;
    const handle = byHandle ? this.#handles.get(Number(request.body.readBigUInt64LE(8))) : undefined;
    const size = handle?.dirty === true && handle.buffer !== null ? handle.buffer.length : attributes.size;
    this.#ok(request, fuse.attributesOut({ ...attributes, size }));
  }

  #setattr(request: Request): void {
    const { body, node } = request;
    const valid = body.readUInt32LE(0);
    const has = (bit: number): boolean => (valid & bit) !== 0;
    const attributes = this.#view.attributes(node);
    if (attributes === null) return this.#fail(request, 'ENOENT');
    // Owner and mode follow from the path: only what is so already may be asked for (measured).
    if (has(fuse.SETATTR.mode) && (body.readUInt32LE(68) & PERMISSIONS) !== (attributes.mode & PERMISSIONS))
      return this.#fail(request, 'EPERM');
    if (has(fuse.SETATTR.uid) && ![ROOT_USER, SAME].includes(body.readUInt32LE(76)))
      return this.#fail(request, 'EPERM');
    if (has(fuse.SETATTR.gid) && ![attributes.gid, SAME].includes(body.readUInt32LE(80)))
      return this.#fail(request, 'EPERM');
    if (has(fuse.SETATTR.size)) return this.#truncate(request, has(fuse.SETATTR.fh), body.readBigUInt64LE(16));
    if (has(fuse.SETATTR.mtime) || has(fuse.SETATTR.mtimeNow)) {
      const refused = node === 1 ? 'EACCES' : refusal(this.#view, node);
      if (refused !== null) return this.#fail(request, refused);
      const now = Math.floor(Date.now() / 1000);
      const mtimeS = has(fuse.SETATTR.mtimeNow) ? now : Number(body.readBigInt64LE(40));
      return this.#submit(request, { kind: 'setTime', target: node, mtimeS }, { kind: 'attributes', inode: node });
    }
    this.#ok(request, fuse.attributesOut(attributes));
  }

  #truncate(request: Request, byHandle: boolean, wanted: bigint): void {
    if (wanted > BigInt(LIMITS.file)) return this.#fail(request, 'EFBIG');
    const size = Number(wanted);
    const refused = refusal(this.#view, request.node);
    if (refused !== null) return this.#fail(request, refused);
    const handle = byHandle ? this.#handles.get(Number(request.body.readBigUInt64LE(8))) : undefined;
    const attributes = this.#view.attributes(request.node);
    if (handle !== undefined && handle.buffer !== null && attributes !== null) {
      resize(handle, size);
      return this.#ok(request, fuse.attributesOut({ ...attributes, size }));
    }
    const operation = { kind: 'patch', target: request.node, offset: 0, data: new Uint8Array(), size } as const;
    this.#submit(request, operation, { kind: 'attributes', inode: request.node });
  }

  // --- names ---

  #entry(request: Request, inode: number | null): void {
    const attributes = inode === null ? null : this.#view.attributes(inode);
    if (attributes === null) this.#fail(request, 'ENOENT');
    else this.#ok(request, fuse.entryOut(attributes));
  }

  /** Null when the directory has gone. */
  #path(parent: number, last: string): string | null {
    const above = this.#view.tree.pathOf(parent);
    return above === null ? null : joinPath(above, last);
  }

  #make(request: Request, last: string, operation: (path: string) => Operation): void {
    const path = this.#path(request.node, last);
    if (path === null) return this.#fail(request, 'ENOENT');
    if (!this.#view.writable) return this.#fail(request, 'EACCES');
    this.#submit(request, operation(path), { kind: 'entry', path });
  }

  #take(request: Request, last: string, operation: (path: string) => Operation): void {
    const path = this.#path(request.node, last);
    const inode = this.#view.child(request.node, last);
    if (path === null || inode === null) return this.#fail(request, 'ENOENT');
    const refused = refusal(this.#view, inode);
    if (refused !== null) return this.#fail(request, refused);
    this.#submit(request, operation(path), { kind: 'empty' });
  }

  #rename(request: Request, start: number, flags: number): void {
    const { body, node } = request;
    if (flags !== 0 && flags !== NO_REPLACE) return this.#fail(request, 'EINVAL');
    const second = body.indexOf(0, start) + 1;
    const from = this.#path(node, name(body, start));
    const to = this.#path(Number(body.readBigUInt64LE(0)), name(body, second));
    if (from === null || to === null) return this.#fail(request, 'ENOENT');
    const inode = this.#view.child(node, name(body, start));
    const refused = inode === null ? null : refusal(this.#view, inode);
    if (refused !== null) return this.#fail(request, refused);
    this.#submit(request, { kind: 'rename', from, to, noReplace: flags === NO_REPLACE }, { kind: 'empty' });
  }

  // --- open files ---

  #open(request: Request): void {
    const flags = request.body.readUInt32LE(0);
    const attributes = this.#view.attributes(request.node);
    if (attributes === null) return this.#fail(request, 'ENOENT');
    const truncates = (flags & fuse.O.truncate) !== 0;
    const writes = (flags & fuse.O.accessMode) !== 0;
    if (writes && this.#view.isMadeUp(request.node)) return this.#fail(request, 'EACCES');
    if (truncates && !this.#view.writable) return this.#fail(request, 'EACCES');
    const append = (flags & fuse.O.append) !== 0;
    const handle = this.#handles.open(request.node, { append, gathers: truncates, dirty: truncates });
    // Reads and writes come here, never from a cache of pages: what another node wrote is seen at once.
    this.#ok(request, fuse.openOut(handle, fuse.FOPEN_DIRECT_IO));
  }

  #create(request: Request): void {
    const path = this.#path(request.node, name(request.body, 16));
    if (path === null) return this.#fail(request, 'ENOENT');
    if (!this.#view.writable) return this.#fail(request, 'EACCES');
    const flags = request.body.readUInt32LE(0);
    const exclusive = (flags & fuse.O.exclusive) !== 0;
    const gathers = (flags & fuse.O.append) === 0;
    const handle = this.#handles.open(0, { append: !gathers, gathers, dirty: false });
    this.#submit(request, { kind: 'create', path, exclusive }, { kind: 'created', path, handle });
  }

  #read(request: Request): void {
    const handle = this.#handles.get(Number(request.body.readBigUInt64LE(0)));
    const gathered = handle?.dirty === true ? handle.buffer : null;
    const data = gathered ?? this.#view.data(request.node);
    if (data === null) return this.#fail(request, 'ENOENT');
    const offset = Number(request.body.readBigUInt64LE(8));
    this.#ok(request, data.subarray(Math.min(offset, data.length), offset + request.body.readUInt32LE(16)));
  }

  #write(request: Request): void {
    const { body, node } = request;
    const handle = this.#handles.get(Number(body.readBigUInt64LE(0)));
    if (handle === undefined) return this.#fail(request, 'EBADF');
    const refused = refusal(this.#view, node);
    if (refused !== null) return this.#fail(request, refused);
    if (this.#view.attributes(node) === null) return this.#fail(request, 'ENOENT');
    const at = body.readBigUInt64LE(8);
    if (at > BigInt(LIMITS.file)) return this.#fail(request, 'EFBIG');
    const offset = Number(at);
    const data = body.subarray(40, 40 + body.readUInt32LE(16));
    if (handle.buffer !== null) {
      const size = gather(handle, offset, data);
      if (size === 0 && data.length > 0) return this.#fail(request, 'EFBIG');
      return this.#ok(request, fuse.writeOut(size));
    }
    if (handle.append) {
      const operation = { kind: 'append', target: node, data: data.slice() } as const;
      return this.#submit(request, operation, { kind: 'written', size: data.length });
    }
    const size = Math.min(data.length, LIMITS.file - offset);
    if (size === 0 && data.length > 0) return this.#fail(request, 'EFBIG');
    const operation = { kind: 'patch', target: node, offset, data: data.slice(0, size), size: null } as const;
    this.#submit(request, operation, { kind: 'written', size });
  }

  #commit(request: Request): void {
    const handle = this.#handles.get(Number(request.body.readBigUInt64LE(0)));
    if (handle === undefined || !handle.dirty || handle.buffer === null) return this.#ok(request);
    handle.dirty = false;
    const refused = refusal(this.#view, handle.inode);
    if (refused !== null) return this.#fail(request, refused);
    const { inode, buffer } = handle;
    // After this commit the handle writes through: what it holds may be changed by others meanwhile.
    handle.buffer = null;
    const operation = { kind: 'write', target: inode, data: buffer.slice(), create: false } as const;
    this.#submit(request, operation, { kind: 'empty' });
  }

  /** close() has flushed; only a handle whose flush never came still has something to say. */
  #release(request: Request): void {
    const id = Number(request.body.readBigUInt64LE(0));
    const handle = this.#handles.get(id);
    this.#handles.close(id);
    if (handle?.dirty === true && handle.buffer !== null && this.#view.writable) {
      const operation = { kind: 'write', target: handle.inode, data: handle.buffer.slice(), create: false } as const;
      this.#out.submit(0n, operation, { kind: 'empty' });
    }
    this.#ok(request);
  }

  #ok(request: Request, ...parts: Uint8Array[]): void {
    this.#out.reply(fuse.answer(request.unique, ...parts));
  }
  #fail(request: Request, errno: ErrnoName): void {
    this.#out.reply(fuse.failure(request.unique, errno));
  }
  #submit(request: Request, operation: Operation, answer: LateAnswer): void {
    this.#out.submit(request.unique, operation, answer);
  }
}

/** A name that ends with a zero byte; bytes that are not UTF-8 survive (names.ts). */
function name(body: Buffer, start: number): string {
  const end = body.indexOf(0, start);
  return decodeName(body.subarray(start, end < 0 ? body.length : end));
}
