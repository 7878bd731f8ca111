/** What the kernel must forget after a change of the tree. */
import type { Change, TreeNode } from '../../tree/types.ts';
import type { Tree } from '../../tree/tree.ts';
import { BackgroundNotices, notifyNow } from './device-writes.ts';
import type { KernelFeatures } from './init.ts';
import { invalidEntry, invalidInode, newEpoch } from './notify.ts';

const ROOT = 1;
/** Inodes told in one go, when all are. */
const BATCH = 2_000;

export class Invalidation {
  readonly #fd: number;
  readonly #background: BackgroundNotices;
  #features: KernelFeatures = { expireOnly: false, epochs: false };

  constructor(fd: number) {
    this.#fd = fd;
    this.#background = new BackgroundNotices(fd);
  }

  initialized(features: KernelFeatures): void {
    this.#features = features;
  }

  /**
   * `own`: the kernel asked for it itself, and knows what became of names and directories. Inodes are told at
   * once, before the operation is answered: that may wait for a page that is being read, which the serving
   * thread answers without waiting for anybody. Names may have to wait for this thread's own answers.
   */
  changed(tree: Tree, change: Change, own: boolean): void {
    for (const { node, contents } of change.put) this.#inode(node.inode, contents || node.kind === 'directory');
    for (const inode of change.removed) this.#inode(inode, true);
    if (own || !change.names) return;
    for (const path of change.paths) {
      const cut = path.lastIndexOf('/');
      const parent = tree.find(path.slice(0, Math.max(0, cut)));
      if (!parent.ok) continue;
      const { inode } = parent.value;
      this.#inode(inode, true);
      const name = path.slice(cut + 1);
      this.#background.add(`${inode}/${name}`, invalidEntry(inode, name, this.#features.expireOnly));
    }
  }

  /**
   * Calls `then` when no name is known to the kernel that changed before. Inodes were told with their changes; a word
   * about a name may be on its way. Where the caller holds a directory's lock (`folder`) and the kernel knows no
   * epochs, that word waits for the caller, so that the caller must not wait for it.
   */
  names(folder: boolean, then: () => void): void {
    if ((this.#features.epochs && notifyNow(this.#fd, newEpoch())) || folder) then();
    else this.#background.whenTold(then);
  }

  /** Modes of everything changed. */
  modes(tree: Tree): void {
    this.#all(tree.all(), false);
  }

  /** The tree is another one: what was there, and what is there now. */
  everything(before: readonly TreeNode[], now: Tree): void {
    this.#all(before, true);
    this.#all(now.all(), true);
  }

  #all(nodes: Iterable<TreeNode>, contents: boolean): void {
    // A name that is looked up again brings the attributes with it.
    const lookedUp = this.#features.epochs && notifyNow(this.#fd, newEpoch());
    this.#inode(ROOT, true);
    if (lookedUp && !contents) return;
    const list = [...nodes];
    const some = (from: number): void => {
      for (const node of list.slice(from, from + BATCH)) {
        this.#inode(node.inode, contents);
        if (!lookedUp && node.inode !== ROOT)
          this.#background.add(
            `${node.parent}/${node.name}`,
            invalidEntry(node.parent, node.name, this.#features.expireOnly),
          );
      }
      if (from + BATCH < list.length) setImmediate(() => some(from + BATCH));
    };
    some(0);
  }

  #inode(inode: number, contents: boolean): void {
    notifyNow(this.#fd, invalidInode(inode, contents));
  }
}
