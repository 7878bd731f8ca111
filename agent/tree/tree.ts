/** The entries in memory: lookups by inode, by parent and name, by path. Rules are in apply.ts. */
import { err, ok, type Result } from '../result.ts';
import { guestOf, type GuestType } from './guests.ts';
import { joinPath, splitPath } from './names.ts';
import { NEVER, ROOT_INODE, type Errno, type Target, type TreeNode } from './types.ts';

const EMPTY = new Uint8Array();

/** A guest's configuration file, nodes/NODE/TYPE/VMID.conf. */
export interface Guest {
  readonly vmid: number;
  readonly node: string;
  readonly type: GuestType;
  readonly inode: number;
}

export class Tree {
  private readonly nodes = new Map<number, TreeNode>();
  /** Of every directory: name to inode. */
  private readonly children = new Map<number, Map<string, number>>();
  private readonly guestsByVmid = new Map<number, Guest>();
  private readonly vmidOfInode = new Map<number, number>();
  private totalBytes = 0;
  private following: number;

  /** An empty tree. `nextInode` goes on from a stored tree. */
  constructor(nextInode: number = ROOT_INODE + 1) {
    this.following = nextInode;
    this.put({
      inode: ROOT_INODE,
      kind: 'directory',
      parent: 0,
      name: '',
      mtimeS: 0,
      version: NEVER,
      writer: 0,
      data: EMPTY,
    });
  }

  /** The inode for the next entry; inodes are never used again. */
  get nextInode(): number {
    return this.following;
  }
  /** Files and directories, the root not counted. */
  get entries(): number {
    return this.nodes.size - 1;
  }
  /** Bytes of all files. */
  get bytes(): number {
    return this.totalBytes;
  }
  get root(): TreeNode {
    // The constructor puts it there and `remove` refuses it.
    return this.nodes.get(ROOT_INODE) as TreeNode;
  }

  get(inode: number): TreeNode | undefined {
    return this.nodes.get(inode);
  }

  /** Every entry, the root too, in no particular order. */
  all(): Iterable<TreeNode> {
    return this.nodes.values();
  }

  child(parent: number, name: string): TreeNode | undefined {
    const inode = this.children.get(parent)?.get(name);
    return inode === undefined ? undefined : this.nodes.get(inode);
  }

  /** The entries of a directory in an order that other changes do not disturb; none for a file or an unknown inode. */
  list(parent: number): TreeNode[] {
    const found: TreeNode[] = [];
    for (const inode of this.children.get(parent)?.values() ?? []) {
      const node = this.nodes.get(inode);
      if (node !== undefined) found.push(node);
    }
    return found;
  }

  isEmpty(directory: number): boolean {
    return (this.children.get(directory)?.size ?? 0) === 0;
  }

  /** Walks `names` from the root: ENOENT where one is missing, ENOTDIR where a file is in the way. */
  walk(names: readonly string[]): Result<TreeNode, Errno> {
    let node = this.root;
    for (const name of names) {
      if (node.kind !== 'directory') return err('ENOTDIR');
      const next = this.child(node.inode, name);
      if (next === undefined) return err('ENOENT');
      node = next;
    }
    return ok(node);
  }

  /** The entry at a path ('' is the root) or with an inode. */
  find(target: Target): Result<TreeNode, Errno> {
    if (typeof target === 'number') {
      const node = this.nodes.get(target);
      return node === undefined ? err('ENOENT') : ok(node);
    }
    const names = splitPath(target);
    return names.ok ? this.walk(names.value) : names;
  }

  /** '' for the root; null for an inode that is not in the tree. */
  pathOf(inode: number): string | null {
    const node = this.nodes.get(inode);
    if (node === undefined) return null;
    if (inode === ROOT_INODE) return '';
    const parent = this.pathOf(node.parent);
    return parent === null ? null : joinPath(parent, node.name);
  }

  guest(vmid: number): Guest | undefined {
    return this.guestsByVmid.get(vmid);
  }
  /** All guests in ascending VMID. */
  guests(): Guest[] {
    return [...this.guestsByVmid.values()].sort((left, right) => left.vmid - right.vmid);
  }

  /** Adds an entry or replaces the one with its inode. The caller keeps to the rules of the tree. */
  put(node: TreeNode): void {
    const before = this.nodes.get(node.inode);
    if (before !== undefined && before.parent === node.parent && before.name === node.name) {
      // It keeps its place in the directory, which a reader may be half way through.
      this.nodes.set(node.inode, node);
      this.totalBytes += node.data.length - before.data.length;
      return;
    }
    if (before !== undefined) this.detach(before);
    this.nodes.set(node.inode, node);
    this.totalBytes += node.data.length;
    if (node.inode >= this.following) this.following = node.inode + 1;
    if (node.kind === 'directory' && !this.children.has(node.inode)) this.children.set(node.inode, new Map());
    if (node.inode === ROOT_INODE) return;
    let siblings = this.children.get(node.parent);
    // While a stored tree is loaded a child may come before its parent.
    if (siblings === undefined) this.children.set(node.parent, (siblings = new Map()));
    siblings.set(node.name, node.inode);
    this.noteGuest(node);
  }

  /** Takes an entry out. A directory must be empty. */
  remove(inode: number): void {
    const node = this.nodes.get(inode);
    if (node === undefined || inode === ROOT_INODE) return;
    this.detach(node);
    this.nodes.delete(inode);
    this.children.delete(inode);
  }

  /** After loading a stored tree, whose last entries may have been removed. */
  reserveInodes(next: number): void {
    this.following = Math.max(this.following, next);
  }

  private detach(node: TreeNode): void {
    this.totalBytes -= node.data.length;
    const siblings = this.children.get(node.parent);
    if (siblings?.get(node.name) === node.inode) siblings.delete(node.name);
    const vmid = this.vmidOfInode.get(node.inode);
    if (vmid === undefined) return;
    this.vmidOfInode.delete(node.inode);
    if (this.guestsByVmid.get(vmid)?.inode === node.inode) this.guestsByVmid.delete(vmid);
  }

  /** Three levels up must be nodes/: only files at exactly that depth are guests. */
  private noteGuest(node: TreeNode): void {
    if (node.kind !== 'file' || !node.name.endsWith('.conf')) return;
    const type = this.nodes.get(node.parent);
    const owner = type === undefined ? undefined : this.nodes.get(type.parent);
    const nodes = owner === undefined ? undefined : this.nodes.get(owner.parent);
    if (type === undefined || owner === undefined || nodes?.parent !== ROOT_INODE) return;
    const guest = guestOf([nodes.name, owner.name, type.name, node.name]);
    if (guest === null) return;
    this.guestsByVmid.set(guest.vmid, { ...guest, inode: node.inode });
    this.vmidOfInode.set(node.inode, guest.vmid);
  }

  /** Finds the guests of a tree whose entries were put in any order. */
  indexGuests(): void {
    for (const node of this.nodes.values()) this.noteGuest(node);
  }
}
