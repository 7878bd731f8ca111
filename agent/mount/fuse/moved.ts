/**
 * Entries that another node has moved, while the kernel may still go by their old names. Whoever renames the old name to
 * the new one then would have the kernel find one inode behind both, and of two names of one inode rename(2) does nothing
 * and says that it is done (vfs_rename): the same move told to two.
 *
 * So for whoever renames, the new name leads to a second inode that the kernel takes for another file. It then asks
 * us, and the tree decides. Everybody else is led to the inode they know: to it belong watches and locks.
 *
 * Neither of what would be simpler is enough (measured on Linux 6.18). With ESTALE the kernel asks for both names anew
 * only where it knew no file by the new one; else it takes any error for a reason to ask for the new name once more
 * (fuse_dentry_revalidate). And that the kernel has been told to forget names ends nothing: the word takes no lock, and
 * a rename under way has looked at the old name before.
 */
import { namesValidS } from './init.ts';
import { entryOut, type Attributes } from './protocol.ts';

/** Above every inode, made-up ones too (view.ts). */
const SECOND = 2 ** 50;

/** The kernel goes by no name for longer after it has learned it, and what it was told before is with it by then. */
const MOVED_MS = Math.max(...[true, false].map((epochs) => namesValidS({ epochs }))) * 1000 + 1_000;
/**
 * Without a request for so long, this process may have been stopped, and what is read now may have been asked long ago.
 * Whatever was asked then is read within as long again.
 */
const PAUSE_MS = 1_000;

/** The inode in the tree of either of its inodes in the kernel. */
export const treeInode = (node: number): number => (node >= SECOND ? node - SECOND : node);

export class Moved {
  readonly #now: () => number;
  readonly #mayRename: (pid: number) => boolean;
  /** By inode, until when; those that end first stand first. */
  readonly #until = new Map<number, number>();
  /** When the last request was read. */
  #last = 0;

  /** `now`: milliseconds of a clock that never goes back. `mayRename`: rename-callers.ts. */
  constructor(now: () => number, mayRename: (pid: number) => boolean) {
    this.#now = now;
    this.#mayRename = mayRename;
  }

  /** Another node has moved it. To be called before anybody is led to its new name. */
  note(inode: number): void {
    this.#last = this.#now();
    this.#until.delete(inode);
    this.#until.set(inode, this.#last + MOVED_MS);
  }

  /** To be called with each request, before anything is noted or answered. */
  requested(): void {
    if (this.#until.size === 0) return;
    const now = this.#now();
    if (now - this.#last > PAUSE_MS)
      for (const [inode, until] of this.#until) this.#until.set(inode, Math.max(until, now + PAUSE_MS));
    this.#last = now;
    for (const [inode, until] of this.#until) {
      if (until >= now) break;
      this.#until.delete(inode);
    }
  }

  /** The entry of its second inode, where this caller is to be led there; null: the usual one. */
  entryFor(pid: number, attributes: Attributes): Buffer | null {
    const { ino } = attributes;
    if (!this.#until.has(ino) || !this.#mayRename(pid)) return null;
    // For this once: nobody else is to find it by the name.
    const out = entryOut({ ...attributes, fleeting: true }, 0);
    out.writeBigUInt64LE(BigInt(SECOND + ino), 0);
    return out;
  }
}
