/**
 * Entries that another node has moved, while the kernel may still go by their old names. Whoever renames the old name to
 * the new one then would have the kernel find one inode behind both, and of two names of one inode rename(2) does nothing
 * and says that it is done (vfs_rename): the same move told to two.
 *
 * So for whoever renames, the new name leads to another inode that the kernel takes for another file. It then asks us, and
 * the tree decides. Everybody else is led to the inode they know: to it belong watches and locks. It is another one after
 * each move: of a rename that looks at the old name before a move and at the new one after it, both lookups may be answered
 * so, and what they lead to must not be one inode either (found under fault).
 *
 * Neither of what would be simpler is enough (measured on Linux 6.18). With ESTALE the kernel asks for both names anew
 * only where it knew no file by the new one; else it takes any error for a reason to ask for the new name once more
 * (fuse_dentry_revalidate). And that the kernel has been told to forget names ends nothing: the word takes no lock, and
 * a rename under way has looked at the old name before.
 */
import { namesValidS } from './init.ts';
import { entryOut, type Attributes } from './protocol.ts';

/** Above every inode, made-up ones too (view.ts). */
const OTHER = 2 ** 50;
/** As many other inodes as there are below 2 ** 53. Nobody moves a file so often while one rename looks at two names. */
const OTHERS = 7;

/** The kernel goes by no name for longer after it has learned it, and what it was told before is with it by then. */
const MOVED_MS = Math.max(...[true, false].map((epochs) => namesValidS({ epochs }))) * 1000 + 1_000;
/**
 * Without a request for so long, this process may have been stopped, and what is read now may have been asked long ago.
 * Whatever was asked then is read within as long again.
 */
const PAUSE_MS = 1_000;
/** How long moves are counted on after that: longer than any rename lies between its two names. */
const COUNTED_MS = 120_000;

/** The inode in the tree of any of its inodes in the kernel. */
export const treeInode = (node: number): number => node % OTHER;

interface Move {
  readonly until: number;
  /** How many there were, as far as is remembered. */
  readonly count: number;
}

export class Moved {
  readonly #now: () => number;
  readonly #mayRename: (pid: number) => boolean;
  /** By inode; those that end first stand first. */
  readonly #moves = new Map<number, Move>();
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
    const count = (this.#moves.get(inode)?.count ?? 0) + 1;
    this.#moves.delete(inode);
    this.#moves.set(inode, { until: this.#last + MOVED_MS, count });
  }

  /** To be called with each request, before anything is noted or answered. */
  requested(): void {
    if (this.#moves.size === 0) return;
    const now = this.#now();
    if (now - this.#last > PAUSE_MS)
      for (const [inode, { until, count }] of this.#moves)
        if (until >= this.#last) this.#moves.set(inode, { until: Math.max(until, now + PAUSE_MS), count });
    this.#last = now;
    for (const [inode, { until }] of this.#moves) {
      if (until + COUNTED_MS >= now) break;
      this.#moves.delete(inode);
    }
  }

  /** The entry of its other inode, where this caller is to be led there; null: the usual one. */
  entryFor(pid: number, attributes: Attributes): Buffer | null {
    const { ino } = attributes;
    const move = this.#moves.get(ino);
    if (move === undefined || move.until < this.#last || !this.#mayRename(pid)) return null;
    // For this once: nobody else is to find it by the name.
    const out = entryOut({ ...attributes, fleeting: true }, 0);
    out.writeBigUInt64LE(BigInt(OTHER * (1 + (move.count % OTHERS)) + ino), 0);
    return out;
  }
}
