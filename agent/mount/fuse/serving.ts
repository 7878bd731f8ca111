/** One request of the kernel, answered from the tree or turned into an operation. */
import { joinPath, decodeName, encodeName } from '../../tree/names.ts';
import { LIMITS, type Operation } from '../../tree/types.ts';
import { isInGroup } from './callers.ts';
import { FileServing } from './file-serving.ts';
import { Folders } from './folders.ts';
import type { Handles } from './handles.ts';
import { initOut, namesValidS, type KernelFeatures } from './init.ts';
import { treeInode, type Moved } from './moved.ts';
import { Answers, type Outlet } from './outlet.ts';
import type { RemoteEvent } from './remote-events.ts';
import { Replaying } from './replaying.ts';
import * as fuse from './protocol.ts';
import type { ErrnoName, Request } from './protocol.ts';
import { GROUP, isVirtualInode, refusal, type TreeView } from './view.ts';

const NO_REPLACE = 1;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const PERMISSIONS = 0o7777;
const ROOT_USER = 0;
const ROOT = 1;
const SAME = 0xffffffff;

export class Serving {
  readonly #view: TreeView;
  readonly #out: Outlet;
  readonly #answers: Answers;
  readonly #files: FileServing;
  readonly #folders: Folders;
  readonly #replaying: Replaying;
  readonly #moved: Moved;
  /** How long the kernel may go by a name. Seconds. */
  #nameS = 0;
  readonly #initialized: (features: KernelFeatures) => void;

  constructor(
    view: TreeView,
    handles: Handles,
    moved: Moved,
    out: Outlet,
    initialized: (features: KernelFeatures) => void,
  ) {
    this.#view = view;
    this.#moved = moved;
    this.#out = out;
    this.#answers = new Answers(out);
    this.#files = new FileServing(view, handles, this.#answers, out);
    this.#folders = new Folders((inode) => view.items(inode));
    this.#replaying = new Replaying(view, this.#answers);
    this.#initialized = initialized;
  }

  /** The items of this directory are others. */
  folderChanged(inode: number): void {
    this.#folders.changed(inode);
  }
  /** The inode is gone for good. */
  forget(inode: number): void {
    this.#folders.changed(inode);
  }
  allChanged(): void {
    this.#folders.allChanged();
  }

  /** What watchers are going to be told (replaying.ts). `now`: milliseconds of any clock. */
  expect(events: readonly RemoteEvent[], now: number): void {
    this.#replaying.expect(events, now);
  }
  /** What the process that tells watchers does next. */
  replay(pid: number, event: RemoteEvent | null): void {
    this.#replaying.begin(pid, event);
  }

  /** False when the conversation is over. Never throws: a request that cannot be understood gets EIO. */
  take(asked: Request): boolean {
    const node = treeInode(asked.node);
    const request = node === asked.node ? asked : { ...asked, node };
    try {
      const goesOn = this.#take(request);
      this.#files.done(request);
      return goesOn;
    } catch (error) {
      if (error instanceof RangeError) this.#fail(request, 'EIO');
      else throw error;
      return true;
    }
  }

  #take(request: Request): boolean {
    const { opcode, node, body } = request;
    if (this.#replaying.take(request)) return true;
    switch (opcode) {
      case fuse.OPCODE.init:
        this.#init(request);
        return true;
      case fuse.OPCODE.destroy:
        this.#ok(request);
        return false;
      case fuse.OPCODE.forget:
      case fuse.OPCODE.batchForget:
      case fuse.OPCODE.notifyReply:
        // Nothing is remembered per inode, and a reply to a notification only wakes this thread (notify.ts).
        return true;
      case fuse.OPCODE.interrupt:
        this.#out.interrupt(body.readBigUInt64LE(0));
        return true;
      case fuse.OPCODE.lookup:
        this.#lookup(request);
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
        this.#remove(request, name(body, 0), (path) => ({ kind: 'unlink', path }));
        return true;
      case fuse.OPCODE.rmdir:
        this.#remove(request, name(body, 0), (path) => ({ kind: 'rmdir', path }));
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
      case fuse.OPCODE.statfs: {
        const { tree } = this.#view;
        this.#ok(request, fuse.statfsOut(LIMITS.bytes, tree.bytes, LIMITS.entries, tree.entries));
        return true;
      }
      default:
        if (!this.#onFile(request) && !this.#onFolder(request)) this.#fail(request, 'ENOSYS');
        return true;
    }
  }

  #onFile(request: Request): boolean {
    switch (request.opcode) {
      case fuse.OPCODE.open:
        this.#files.open(request);
        return true;
      case fuse.OPCODE.create: {
        const path = this.#path(request.node, name(request.body, 16));
        if (path === null) this.#fail(request, 'ENOENT');
        else this.#files.create(request, path);
        return true;
      }
      case fuse.OPCODE.read:
        this.#files.read(request);
        return true;
      case fuse.OPCODE.write:
        this.#files.write(request);
        return true;
      case fuse.OPCODE.fallocate:
        this.#files.fallocate(request);
        return true;
      case fuse.OPCODE.flush:
        this.#files.flush(request);
        return true;
      case fuse.OPCODE.fsync:
        this.#files.fsync(request);
        return true;
      case fuse.OPCODE.release:
        this.#files.release(request);
        return true;
      default:
        return false;
    }
  }

  #onFolder(request: Request): boolean {
    switch (request.opcode) {
      case fuse.OPCODE.opendir:
        this.#openFolder(request);
        return true;
      case fuse.OPCODE.readdir:
        this.#readFolder(request);
        return true;
      case fuse.OPCODE.releasedir:
        this.#folders.close(Number(request.body.readBigUInt64LE(0)));
        this.#ok(request);
        return true;
      case fuse.OPCODE.fsyncdir:
        this.#answers.submit(request, { kind: 'sync' }, { kind: 'fresh' });
        return true;
      default:
        return false;
    }
  }

  #init(request: Request): void {
    const out = initOut(request.body);
    if (out === null) return this.#fail(request, 'EIO');
    this.#nameS = namesValidS(out.features);
    this.#initialized(out.features);
    this.#ok(request, out.bytes);
  }

  // --- attributes ---

  #getattr(request: Request): void {
    const attributes = this.#view.attributes(request.node);
    if (attributes === null) this.#fail(request, this.#files.whyGone(request));
    else this.#ok(request, fuse.attributesOut(attributes));
  }

  #setattr(request: Request): void {
    const { body, node } = request;
    const valid = body.readUInt32LE(0);
    const has = (bit: number): boolean => (valid & bit) !== 0;
    const attributes = this.#view.attributes(node);
    if (attributes === null) return this.#fail(request, 'ENOENT');
    // Owner and mode follow from the path: only what is so already may be asked for (measured).
    if (has(fuse.SETATTR.mode) && !this.#view.modes(node).includes(body.readUInt32LE(68) & PERMISSIONS))
      return this.#fail(request, 'EPERM');
    if (has(fuse.SETATTR.uid) && ![ROOT_USER, SAME].includes(body.readUInt32LE(76)))
      return this.#fail(request, 'EPERM');
    if (has(fuse.SETATTR.gid) && ![attributes.gid, SAME].includes(body.readUInt32LE(80)))
      return this.#fail(request, 'EPERM');
    if (has(fuse.SETATTR.size)) return this.#truncate(request, valid, body.readBigUInt64LE(16));
    if (has(fuse.SETATTR.mtime) || has(fuse.SETATTR.mtimeNow)) {
      const refused = node === ROOT ? 'EACCES' : refusal(this.#view, node);
      if (refused !== null) return this.#fail(request, refused);
      if (this.#view.isOrphan(node)) return this.#ok(request, fuse.attributesOut(attributes));
      const now = Math.floor(Date.now() / 1000);
      const mtimeS = has(fuse.SETATTR.mtimeNow) ? now : Number(body.readBigInt64LE(40));
      return this.#answers.submit(
        request,
        { kind: 'setTime', target: node, mtimeS },
        { kind: 'attributes', inode: node },
      );
    }
    this.#ok(request, fuse.attributesOut(attributes));
  }

  #truncate(request: Request, valid: number, wanted: bigint): void {
    const { node } = request;
    const attributes = this.#view.attributes(node);
    if (attributes === null) return this.#fail(request, 'ENOENT');
    if (isVirtualInode(this.#view, node)) {
      const isDebug = this.#view.virtualName(node) === '.debug';
      return isDebug ? this.#ok(request, fuse.attributesOut(attributes)) : this.#fail(request, 'EIO');
    }
    if (wanted > BigInt(LIMITS.file)) return this.#fail(request, 'EFBIG');
    const refused = refusal(this.#view, node);
    if (refused !== null) return this.#fail(request, refused);
    const byHandle = (valid & fuse.SETATTR.fh) !== 0;
    if (wanted === 0n && !byHandle && this.#files.truncateAtOpen(request))
      return this.#ok(request, fuse.attributesOut(attributes));
    const handle = byHandle ? Number(request.body.readBigUInt64LE(8)) : null;
    this.#files.truncate(request, handle, Number(wanted));
  }

  // --- names ---

  #lookup(request: Request): void {
    const last = name(request.body, 0);
    const inode = this.#view.child(request.node, last);
    const attributes = inode === null ? null : this.#view.attributes(inode);
    if (attributes !== null)
      return this.#ok(request, this.#moved.entryFor(request.pid, attributes) ?? fuse.entryOut(attributes, this.#nameS));
    // The kernel may remember that it is not there, unless it may appear without a change of the tree.
    const { node } = request;
    if (
      this.#view.mayAppear(node, last) ||
      this.#view.attributes(node) === null ||
      this.#replaying.isExpected(node, last)
    )
      return this.#fail(request, 'ENOENT');
    const fault = encodeName(last).length > LIMITS.name;
    if (fault) this.#fail(request, 'ENAMETOOLONG');
    else this.#ok(request, fuse.noEntryOut(this.#nameS));
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
    this.#answers.submit(request, operation(path), { kind: 'entry', path });
  }

  #remove(request: Request, last: string, operation: (path: string) => Operation): void {
    const path = this.#path(request.node, last);
    const inode = this.#view.child(request.node, last);
    if (path === null || inode === null) return this.#fail(request, 'ENOENT');
    const refused = refusal(this.#view, inode);
    if (refused !== null) return this.#fail(request, refused);
    this.#answers.submit(request, operation(path), { kind: 'empty' });
  }

  #rename(request: Request, start: number, flags: number): void {
    const { body, node } = request;
    if (flags !== 0 && flags !== NO_REPLACE) return this.#fail(request, 'EINVAL');
    const second = body.indexOf(0, start) + 1;
    const from = this.#path(node, name(body, start));
    const newParent = treeInode(Number(body.readBigUInt64LE(0)));
    const to = this.#path(newParent, name(body, second));
    if (from === null || to === null) return this.#fail(request, 'ENOENT');
    for (const inode of [this.#view.child(node, name(body, start)), this.#view.child(newParent, name(body, second))]) {
      const refused = inode === null ? null : refusal(this.#view, inode);
      if (refused !== null) return this.#fail(request, refused);
    }
    const noReplace = flags === NO_REPLACE;
    this.#answers.submit(request, { kind: 'rename', from, to, noReplace }, { kind: 'empty' });
  }

  // --- directories ---

  /** Others than root and www-data list the root only, whatever the modes show (measured). */
  #openFolder(request: Request): void {
    const { node, uid, gid, pid } = request;
    if (this.#view.attributes(node) === null) return this.#fail(request, 'ENOENT');
    if (node !== ROOT && uid !== ROOT_USER && gid !== GROUP && !isInGroup(pid, GROUP))
      return this.#fail(request, 'EACCES');
    const { handle, flags } = this.#folders.open(node);
    this.#ok(request, fuse.openOut(handle, flags));
  }

  #readFolder(request: Request): void {
    const { body } = request;
    const handle = Number(body.readBigUInt64LE(0));
    const page = this.#folders.read(handle, Number(body.readBigUInt64LE(8)), body.readUInt32LE(16));
    if (page === null) this.#fail(request, 'EBADF');
    else this.#ok(request, page);
  }

  #ok(request: Request, ...parts: Uint8Array[]): void {
    this.#answers.ok(request, ...parts);
  }
  #fail(request: Request, errno: ErrnoName): void {
    this.#answers.fail(request, errno);
  }
}

/** A name that ends with a zero byte; bytes that are not UTF-8 survive (names.ts). */
function name(body: Buffer, start: number): string {
  const end = body.indexOf(0, start);
  return decodeName(body.subarray(start, end < 0 ? body.length : end));
}
