/**
 * What the kernel must forget after a change of the tree. Only with words that take no lock of a directory: a process
 * that waits for our answer may hold it, and a thread that waits for that lock keeps a killed pmxcfs, and all that
 * wait for it, from ending (found under fault: nobody could unmount or start anew for 90 s).
 */
import type { Change, TreeNode } from '../../tree/types.ts';
import type { Tree } from '../../tree/tree.ts';
import { notifyNow } from './device-writes.ts';
import { namesValidS, type KernelFeatures } from './init.ts';
import { invalidInode, newEpoch } from './notify.ts';

const ROOT = 1;
/** Inodes told in one go, when all are. */
const BATCH = 2_000;

export class Invalidation {
  readonly #fd: number;
  #features: KernelFeatures = { epochs: false };

  constructor(fd: number) {
    this.#fd = fd;
  }

  initialized(features: KernelFeatures): void {
    this.#features = features;
    // Something may have changed before this was known.
    this.#namesChanged();
  }
  get features(): KernelFeatures {
    return this.#features;
  }

  /**
   * To be called before the operation is answered. `own`: the kernel asked for it itself, and knows what became of
   * names and directories.
   */
  changed(tree: Tree, change: Change, own: boolean): void {
    for (const { node, contents } of change.put) this.#inode(node.inode, contents || node.kind === 'directory');
    for (const inode of change.removed) this.#inode(inode, true);
    if (own || !change.names) return;
    for (const path of change.paths) {
      const parent = tree.find(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
      if (parent.ok) this.#inode(parent.value.inode, true);
    }
    this.#namesChanged();
  }

  /** Calls `then` when no name is known to the kernel that changed before. */
  names(then: () => void): void {
    if (this.#features.epochs) then();
    else setTimeout(then, namesValidS(this.#features) * 1000);
  }

  /** Every name is looked up again, once. Where the kernel knows no such word it asks again by itself, soon. */
  #namesChanged(): boolean {
    return this.#features.epochs && notifyNow(this.#fd, newEpoch());
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
    const lookedUp = this.#namesChanged();
    this.#inode(ROOT, true);
    if (lookedUp && !contents) return;
    const list = [...nodes];
    const some = (from: number): void => {
      for (const node of list.slice(from, from + BATCH)) this.#inode(node.inode, contents);
      if (from + BATCH < list.length) setImmediate(() => some(from + BATCH));
    };
    some(0);
  }

  #inode(inode: number, contents: boolean): void {
    notifyNow(this.#fd, invalidInode(inode, contents));
  }
}
