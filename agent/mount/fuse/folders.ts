/**
 * Open directories. The kernel keeps the listing of a directory and answers from it alone, as long as it is told at
 * each open that what it has is good. It fills its copy with whatever answers come, so a copy must never be filled from
 * two versions, nor with an answer that was on its way while the directory changed: one handle at a time may fill and
 * use it, and after a change the next one begins anew once that one is closed. Whoever opens the directory meanwhile
 * is served from here.
 */
import { FOPEN, listingOf, type DirectoryItem, type Listing } from './protocol.ts';

/** Listings ready to be sent that are kept; the eldest goes first. */
const MOST_LISTINGS = 64;

interface OpenFolder {
  readonly inode: number;
  /** What its reader is in the midst of. */
  listing: Listing | null;
}

/** What the kernel has of a directory. */
interface KernelCopy {
  /** The open handle that may fill and use it, or null. */
  user: number | null;
  /** Whatever is in it, is in the present listing. */
  good: boolean;
}

export class Folders {
  readonly #items: (inode: number) => readonly DirectoryItem[];
  readonly #open = new Map<number, OpenFolder>();
  readonly #copies = new Map<number, KernelCopy>();
  /** As things are; made when it is asked for. */
  readonly #listings = new Map<number, Listing>();
  #last = 0;

  constructor(items: (inode: number) => readonly DirectoryItem[]) {
    this.#items = items;
  }

  /** A handle, and what the kernel may do with it (FOPEN_*). */
  open(inode: number): { readonly handle: number; readonly flags: number } {
    this.#last += 1;
    const handle = this.#last;
    const copy = this.#copies.get(inode) ?? { user: null, good: false };
    this.#copies.set(inode, copy);
    // Without keepCache the kernel would throw away what the other one uses.
    if (copy.user !== null) {
      this.#open.set(handle, { inode, listing: null });
      return { handle, flags: FOPEN.keepCache };
    }
    const keeps = copy.good && this.#listings.has(inode);
    // Of a copy that is kept the server may have to give the rest, should the kernel lose it half way through.
    this.#open.set(handle, { inode, listing: keeps ? (this.#listings.get(inode) ?? null) : null });
    copy.user = handle;
    copy.good = true;
    return { handle, flags: FOPEN.cacheDir | (keeps ? FOPEN.keepCache : 0) };
  }

  /** Items from `offset` on that fit into `size` bytes; null for a handle that is not open. */
  read(handle: number, offset: number, size: number): Uint8Array | null {
    const open = this.#open.get(handle);
    if (open === undefined) return null;
    // One pass sees one version; rewinddir(3) asks for what there is now.
    if (offset === 0 || open.listing === null) open.listing = this.#present(open.inode);
    return open.listing.page(offset, size);
  }

  close(handle: number): void {
    const open = this.#open.get(handle);
    if (open === undefined) return;
    this.#open.delete(handle);
    const copy = this.#copies.get(open.inode);
    if (copy?.user === handle) copy.user = null;
  }

  /** The items of this directory are others. */
  changed(inode: number): void {
    this.#listings.delete(inode);
    const copy = this.#copies.get(inode);
    if (copy === undefined) return;
    if (copy.user === null) this.#copies.delete(inode);
    else copy.good = false;
  }
  allChanged(): void {
    for (const inode of [...this.#copies.keys()]) this.changed(inode);
    this.#listings.clear();
  }

  #present(inode: number): Listing {
    const known = this.#listings.get(inode);
    if (known !== undefined) return known;
    const made = listingOf(this.#items(inode));
    this.#listings.set(inode, made);
    if (this.#listings.size > MOST_LISTINGS) {
      const [eldest] = this.#listings.keys();
      if (eldest !== undefined) this.#listings.delete(eldest);
    }
    return made;
  }
}
