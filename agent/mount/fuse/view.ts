/** The tree as inodes with attributes: what the kernel asks for. Used by the serving thread and for its late answers. */
import { madeUpMode, modeOf } from '../../tree/presentation.ts';
import { encodeName, splitPath } from '../../tree/names.ts';
import type { Tree } from '../../tree/tree.ts';
import { ROOT_INODE, type Errno, type TreeNode } from '../../tree/types.ts';
import { LINKS, VIRTUAL_FILES, type VirtualFile } from '../../tree/virtual.ts';
import type { Orphan } from './handles.ts';
import type { Attributes, DirectoryItem } from './protocol.ts';

/** Inodes of links and virtual files: far above any that the tree gives out. */
const MADE_UP = 2 ** 48;
const LINK_NAMES = [...LINKS.keys()];

/** www-data on Debian; pmxcfs gives everything to it (measured). */
export const GROUP = 33;
const S_DIRECTORY = 0o040000;
const S_FILE = 0o100000;
const S_LINK = 0o120000;

const pathNames = (tree: Tree, inode: number): readonly string[] => {
  const names = splitPath(tree.pathOf(inode) ?? '');
  return names.ok ? names.value : [];
};

/** What is shown besides the tree. */
export interface Surroundings {
  readonly hostname: string;
  /** Contents of a virtual file; null when it is not there. */
  virtual(name: VirtualFile): Uint8Array | null;
  /** A file that was removed while it was open here. */
  orphan(inode: number): Orphan | undefined;
}

export class TreeView {
  tree: Tree;
  writable = false;
  readonly #around: Surroundings;

  constructor(tree: Tree, around: Surroundings) {
    this.tree = tree;
    this.#around = around;
  }

  /** The inode of a name in a directory, or null. */
  child(parent: number, name: string): number | null {
    if (parent === ROOT_INODE) {
      const link = LINK_NAMES.indexOf(name);
      if (link >= 0) return MADE_UP + link;
      const virtual = VIRTUAL_FILES.findIndex((known) => known === name);
      if (virtual >= 0) return this.#virtualAt(virtual) === null ? null : MADE_UP + LINK_NAMES.length + virtual;
    }
    return this.tree.child(parent, name)?.inode ?? null;
  }

  /** Null when there is no such inode any more. */
  attributes(inode: number): Attributes | null {
    if (inode >= MADE_UP) return this.#madeUp(inode);
    const node = this.tree.get(inode);
    if (node !== undefined) return this.#stored(node);
    const orphan = this.#around.orphan(inode);
    if (orphan === undefined) return null;
    const { data, mtimeS, mode } = orphan;
    return { ino: inode, size: data.length, mtimeS, mode: S_FILE | mode, links: 0, gid: GROUP, fleeting: true };
  }

  /** Permission bits that a chmod may ask for: those that are shown, and those that are shown with quorum. */
  modes(inode: number): number[] {
    const shown = (this.attributes(inode)?.mode ?? 0) & 0o7777;
    const node = this.tree.get(inode);
    return node === undefined ? [shown] : [shown, modeOf(pathNames(this.tree, inode), node.kind, true)];
  }

  isOrphan(inode: number): boolean {
    return this.tree.get(inode) === undefined && this.#around.orphan(inode) !== undefined;
  }

  /** Is this the name of something that may come and go without a change of the tree? */
  mayAppear(parent: number, name: string): boolean {
    return parent === ROOT_INODE && VIRTUAL_FILES.some((known) => known === name);
  }

  /** The name of a virtual file's inode; null for every other inode. */
  virtualName(inode: number): VirtualFile | null {
    return VIRTUAL_FILES[inode - MADE_UP - LINK_NAMES.length] ?? null;
  }

  items(directory: number): DirectoryItem[] {
    const parent = this.tree.get(directory)?.parent ?? 0;
    const items: DirectoryItem[] = [
      { ino: directory, name: '.', type: 'directory' },
      { ino: parent === 0 ? ROOT_INODE : parent, name: '..', type: 'directory' },
    ];
    if (directory === ROOT_INODE) {
      LINK_NAMES.forEach((name, index) => items.push({ ino: MADE_UP + index, name, type: 'link' }));
      VIRTUAL_FILES.forEach((name, index) => {
        if (this.#virtualAt(index) !== null)
          items.push({ ino: MADE_UP + LINK_NAMES.length + index, name, type: 'file' });
      });
    }
    for (const { inode, name, kind } of this.tree.list(directory)) items.push({ ino: inode, name, type: kind });
    return items;
  }

  /** Contents of a file, virtual ones too; null when it is gone or no file. */
  data(inode: number): Uint8Array | null {
    if (inode >= MADE_UP) return this.#virtualAt(inode - MADE_UP - LINK_NAMES.length);
    const node = this.tree.get(inode);
    if (node === undefined) return this.#around.orphan(inode)?.data ?? null;
    return node.kind === 'file' ? node.data : null;
  }

  linkTarget(inode: number): string | null {
    const name = LINK_NAMES[inode - MADE_UP];
    if (name === undefined) return null;
    const below = LINKS.get(name) ?? '';
    return `nodes/${this.#around.hostname}${below === '' ? '' : `/${below}`}`;
  }

  isMadeUp(inode: number): boolean {
    return inode >= MADE_UP;
  }

  #virtualAt(index: number): Uint8Array | null {
    const name = VIRTUAL_FILES[index];
    return name === undefined ? null : this.#around.virtual(name);
  }

  #madeUp(inode: number): Attributes | null {
    const target = this.linkTarget(inode);
    const shared = { ino: inode, mtimeS: 0, links: 1, gid: GROUP };
    if (target !== null)
      return { ...shared, size: encodeName(target).length, mode: S_LINK | madeUpMode(null), fleeting: false };
    const [data, name] = [this.data(inode), this.virtualName(inode)];
    if (data === null || name === null) return null;
    return { ...shared, size: data.length, mode: S_FILE | madeUpMode(name), fleeting: true };
  }

  #stored(node: TreeNode): Attributes {
    const type = node.kind === 'directory' ? S_DIRECTORY : S_FILE;
    const mode = type | modeOf(pathNames(this.tree, node.inode), node.kind, this.writable);
    const links = node.kind === 'directory' ? 2 : 1;
    return { ino: node.inode, size: node.data.length, mtimeS: node.mtimeS, mode, links, gid: GROUP, fleeting: false };
  }
}

/** Of an entry that may not be in the tree any more. */
export const entryAttributes = ({ inode, kind, mtimeS }: Pick<TreeNode, 'inode' | 'kind' | 'mtimeS'>): Attributes => {
  const [mode, links] = kind === 'directory' ? [S_DIRECTORY | 0o755, 2] : [S_FILE | 0o640, 1];
  return { ino: inode, size: 0, mtimeS, mode, links, gid: GROUP, fleeting: true };
};

/** The errno when an operation may not touch this inode: what is made up cannot be changed (measured). */
export const refusal = (view: TreeView, inode: number): Errno | null => {
  if (view.isMadeUp(inode)) return 'EACCES';
  // What lives on for this node alone is no matter of quorum.
  if (view.isOrphan(inode)) return null;
  return view.writable ? null : 'EACCES';
};

export const isVirtualInode = (view: TreeView, inode: number): boolean => view.virtualName(inode) !== null;
