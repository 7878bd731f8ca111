/** The tree as inodes with attributes: what the kernel asks for. Used by the serving thread and for its late answers. */
import { modeOf, type Viewer } from '../../tree/presentation.ts';
import { encodeName, splitPath } from '../../tree/names.ts';
import type { Tree } from '../../tree/tree.ts';
import { ROOT_INODE, type Errno, type TreeNode } from '../../tree/types.ts';
import { LINKS, VIRTUAL_FILES, type VirtualFile } from '../../tree/virtual.ts';
import type { Attributes, DirectoryItem } from './protocol.ts';

/** Inodes of links and virtual files: far above any that the tree gives out. */
const MADE_UP = 2 ** 48;
const LINK_NAMES = [...LINKS.keys()];

/** www-data on Debian; pmxcfs gives everything to it (measured). */
const GROUP = 33;
const S_DIRECTORY = 0o040000;
const S_FILE = 0o100000;
const S_LINK = 0o120000;

const pathNames = (tree: Tree, inode: number): readonly string[] => {
  const names = splitPath(tree.pathOf(inode) ?? '');
  return names.ok ? names.value : [];
};

export class TreeView {
  tree: Tree;
  readonly #hostname: string;
  writable = false;
  /** Virtual files that have contents; others are not there. */
  readonly #virtual = new Map<VirtualFile, Uint8Array>();

  constructor(tree: Tree, hostname: string) {
    this.tree = tree;
    this.#hostname = hostname;
  }

  get viewer(): Viewer {
    return { hostname: this.#hostname, writable: this.writable };
  }

  setVirtual(name: VirtualFile, contents: Uint8Array): void {
    this.#virtual.set(name, contents);
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
    return node === undefined ? null : this.#stored(node);
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
    return node === undefined || node.kind !== 'file' ? null : node.data;
  }

  linkTarget(inode: number): string | null {
    const name = LINK_NAMES[inode - MADE_UP];
    if (name === undefined) return null;
    const below = LINKS.get(name) ?? '';
    return `nodes/${this.#hostname}${below === '' ? '' : `/${below}`}`;
  }

  isMadeUp(inode: number): boolean {
    return inode >= MADE_UP;
  }

  #virtualAt(index: number): Uint8Array | null {
    const name = VIRTUAL_FILES[index];
    return name === undefined ? null : (this.#virtual.get(name) ?? null);
  }

  #madeUp(inode: number): Attributes | null {
    const target = this.linkTarget(inode);
    const shared = { ino: inode, mtimeS: 0, links: 1, gid: GROUP };
    if (target !== null) return { ...shared, size: encodeName(target).length, mode: S_LINK | 0o755 };
    const data = this.data(inode);
    return data === null ? null : { ...shared, size: data.length, mode: S_FILE | 0o440 };
  }

  #stored(node: TreeNode): Attributes {
    const type = node.kind === 'directory' ? S_DIRECTORY : S_FILE;
    const mode = type | modeOf(pathNames(this.tree, node.inode), node.kind, this.writable);
    const links = node.kind === 'directory' ? 2 : 1;
    return { ino: node.inode, size: node.data.length, mtimeS: node.mtimeS, mode, links, gid: GROUP };
  }
}

/** The errno when an operation may not touch this inode: what is made up cannot be changed (measured). */
export const refusal = (view: TreeView, inode: number): Errno | null => {
  if (view.isMadeUp(inode)) return 'EACCES';
  return view.writable ? null : 'EACCES';
};
