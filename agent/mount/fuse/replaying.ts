/**
 * Answers the process that does once more, through the mount, what was done elsewhere (../watchers/): it gets the
 * answers that make the kernel tell its watchers, and nothing is done. It is known by its group and its thread, so that
 * another process with its number is never told that something was done. While it is asked, it alone sees the tree as it
 * was just before or after the event: nothing it is told of a name may be kept by the kernel, which asks anew
 * for everybody else.
 */
import { decodeName } from '../../tree/names.ts';
import type { Answers } from './outlet.ts';
import * as fuse from './protocol.ts';
import type { Request } from './protocol.ts';
import { folderOf, type Entry, type Place, type RemoteEvent } from './remote-events.ts';
import { entryAttributes, type TreeView } from './view.ts';

/** Of nobody: between the groups of services and `nogroup`, where neither distributions nor systemd give any out. */
export const REPLAY_GROUP = 65_520;

/** How long a name that is gone is kept for the replay, should it never come. Milliseconds. */
const GONE_MS = 10_000;

/** Handles of files begin at 1: closing this one closes nothing. */
const NO_HANDLE = 0;

export class Replaying {
  readonly #view: TreeView;
  readonly #answers: Answers;
  #pid = 0;
  #event: RemoteEvent | null = null;
  /** Names that are gone, by their directory, and until when the kernel must not know that by heart. */
  readonly #gone = new Map<string, number>();
  /** The kernel has asked where the entry is, and where it goes. */
  #led = false;
  #aimed = false;

  constructor(view: TreeView, answers: Answers) {
    this.#view = view;
    this.#answers = answers;
  }

  /**
   * These are to come. What the kernel knows not to be there it does not ask for, and then cannot take it away: until
   * then nobody's question for it may be answered for longer than that once. `now`: milliseconds of any clock.
   */
  expect(events: readonly RemoteEvent[], now: number): void {
    for (const [key, end] of this.#gone) if (end < now) this.#gone.delete(key);
    for (const { kind, at } of events)
      if (kind === 'removed' || kind === 'moved')
        this.#gone.set(keyOf(folderOf(at), at.steps.at(-1)?.name ?? ''), now + GONE_MS);
  }
  isExpected(folder: number, last: string): boolean {
    return this.#gone.size > 0 && this.#gone.has(keyOf(folder, last));
  }

  /** What the process is to do now; null when it has done it. */
  begin(pid: number, event: RemoteEvent | null): void {
    this.#pid = pid;
    this.#event = event;
    this.#led = false;
    this.#aimed = false;
  }

  /** True when it has answered; what is left is for everybody's answers, and changes nothing. */
  take(request: Request): boolean {
    if (request.gid !== REPLAY_GROUP) return false;
    const event = request.pid === this.#pid ? this.#event : null;
    switch (request.opcode) {
      case fuse.OPCODE.lookup:
        return this.#lookup(request, event, name(request.body, 0));
      case fuse.OPCODE.getattr:
        return event !== null && this.#getattr(request, event);
      case fuse.OPCODE.open:
        if (event?.kind !== 'modified') this.#answers.fail(request, 'EACCES');
        // The name leads elsewhere: once more, and this time each name is asked for.
        else if (request.node !== event.entry.inode) this.#answers.fail(request, 'ESTALE');
        else this.#answers.ok(request, fuse.openOut(NO_HANDLE, fuse.FOPEN.directIo | fuse.FOPEN.noFlush));
        return true;
      case fuse.OPCODE.setattr:
        if (event?.kind !== 'modified' && event?.kind !== 'attributes') this.#answers.fail(request, 'EACCES');
        else if (request.node !== event.entry.inode) this.#answers.fail(request, 'ESTALE');
        else this.#answers.ok(request, fuse.attributesOut(this.#attributesOf(event.entry)));
        return true;
      case fuse.OPCODE.create:
        this.#create(request, event, 16);
        return true;
      case fuse.OPCODE.mkdir:
        this.#create(request, event, 8);
        return true;
      case fuse.OPCODE.unlink:
      case fuse.OPCODE.rmdir: {
        if (event?.kind !== 'removed') this.#answers.fail(request, 'EACCES');
        else this.#remove(request, event.at, isAt(event.at, request.node, name(request.body, 0)));
        return true;
      }
      case fuse.OPCODE.rename:
        this.#rename(request, event, 8);
        return true;
      case fuse.OPCODE.rename2:
        this.#rename(request, event, 16);
        return true;
      case fuse.OPCODE.mknod:
      case fuse.OPCODE.symlink:
      case fuse.OPCODE.link:
      case fuse.OPCODE.write:
      case fuse.OPCODE.fallocate:
      case fuse.OPCODE.fsync:
      case fuse.OPCODE.fsyncdir:
        this.#answers.fail(request, 'EACCES');
        return true;
      default:
        return false;
    }
  }

  #lookup(request: Request, event: RemoteEvent | null, last: string): boolean {
    const { node } = request;
    if (event === null) {
      // It only wants this thread to wake up, and does so again: the kernel must not keep the answer.
      const isThere = this.#view.child(node, last) !== null;
      if (!isThere) this.#answers.fail(request, 'ENOENT');
      return !isThere;
    }
    const isAim = event.kind === 'moved' && isAt(event.to, node, last);
    if (isAim || (event.kind === 'created' && isAt(event.at, node, last))) {
      const before = event.kind === 'moved' ? event.replaced : null;
      this.#aimed = true;
      // An errno is not kept by the kernel, an answer without an entry might be.
      if (before === null) this.#answers.fail(request, 'ENOENT');
      else this.#answers.ok(request, this.#entryOut(before));
      return true;
    }
    if ((event.kind === 'removed' || event.kind === 'moved') && isAt(event.at, node, last)) {
      this.#led = true;
      this.#answers.ok(request, this.#entryOut(event.entry));
      return true;
    }
    const folder = folderAt(event.at, node, last) ?? (event.kind === 'moved' ? folderAt(event.to, node, last) : null);
    if (folder === null) return false;
    this.#answers.ok(request, this.#entryOut({ inode: folder, kind: 'directory', mtimeS: 0 }));
    return true;
  }

  #getattr(request: Request, event: RemoteEvent): boolean {
    const { node } = request;
    if (this.#view.attributes(node) !== null) return false;
    const places = event.kind === 'moved' ? [event.at, event.to] : [event.at];
    const isFolder = places.some(({ steps }) => steps.some(({ folder }) => folder === node));
    const folder: Entry = { inode: node, kind: 'directory', mtimeS: 0 };
    const entry = [event.entry, ...(event.kind === 'moved' && event.replaced !== null ? [event.replaced] : [])].find(
      ({ inode }) => inode === node,
    );
    const known = entry ?? (isFolder ? folder : undefined);
    if (known === undefined) return false;
    this.#answers.ok(request, fuse.attributesOut(this.#attributesOf(known)));
    return true;
  }

  #create(request: Request, event: RemoteEvent | null, start: number): void {
    if (event?.kind !== 'created') return this.#answers.fail(request, 'EACCES');
    const kind = request.opcode === fuse.OPCODE.mkdir ? 'directory' : 'file';
    const isIt = event.entry.kind === kind && isAt(event.at, request.node, name(request.body, start));
    if (!isIt) return this.#answers.fail(request, 'ESTALE');
    const entry = this.#entryOut(event.entry);
    if (kind === 'directory') this.#answers.ok(request, entry);
    else this.#answers.ok(request, entry, fuse.openOut(NO_HANDLE, fuse.FOPEN.directIo | fuse.FOPEN.noFlush));
  }

  /**
   * What the kernel takes away must be the entry that is gone. With ESTALE it asks for every name on the way anew, and is
   * led there. Where another entry has the name by now, the kernel may have come to know that one in the meantime.
   */
  #remove(request: Request, from: Place, isIt: boolean): void {
    const last = from.steps.at(-1)?.name ?? '';
    const isTaken = this.#view.child(folderOf(from), last) !== null;
    if (isIt && this.#led && !isTaken) this.#answers.ok(request);
    else this.#answers.fail(request, 'ESTALE');
  }

  #rename(request: Request, event: RemoteEvent | null, start: number): void {
    const { body, node } = request;
    if (event?.kind !== 'moved') return this.#answers.fail(request, 'EACCES');
    const second = body.indexOf(0, start) + 1;
    const isAim = isAt(event.to, Number(body.readBigUInt64LE(0)), name(body, second));
    this.#remove(request, event.at, this.#aimed && isAim && isAt(event.at, node, name(body, start)));
  }

  #attributesOf(entry: Entry): fuse.Attributes {
    return { ...(this.#view.attributes(entry.inode) ?? entryAttributes(entry)), fleeting: true };
  }
  #entryOut(entry: Entry): Buffer {
    return fuse.entryOut(this.#attributesOf(entry), 0);
  }
}

const keyOf = (folder: number, last: string): string => `${folder}/${last}`;

const isAt = (place: Place, folder: number, last: string): boolean =>
  folderOf(place) === folder && place.steps.at(-1)?.name === last;

/** The directory on the way to the place that this name leads to, or null. */
function folderAt({ steps }: Place, parent: number, last: string): number | null {
  const index = steps.findIndex(({ folder, name: step }) => folder === parent && step === last);
  return index < 0 ? null : (steps[index + 1]?.folder ?? null);
}

/** A name that ends with a zero byte. */
function name(body: Buffer, start: number): string {
  const end = body.indexOf(0, start);
  return decodeName(body.subarray(start, end < 0 ? body.length : end));
}
