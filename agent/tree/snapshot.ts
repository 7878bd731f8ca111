/** Entries as bytes, a tree of stored entries, and its digest. */
import { err, ok, type Result } from '../result.ts';
import { ByteWriter, type ByteReader } from './bytes.ts';
import { readVersion, writeVersion } from './codec.ts';
import { nameFault } from './names.ts';
import { Tree } from './tree.ts';
import { LIMITS, ROOT_INODE, type TreeNode } from './types.ts';

/** SHA-256 or another hash of at least 16 bytes; the pure room has none of its own. */
export type Hash = (bytes: Uint8Array) => Uint8Array;

/** Bytes of the smallest entry. */
export const SMALLEST_NODE = 8 + 1 + 8 + 4 + 8 + 16 + 8 + 4;
const LONGEST_NAME = LIMITS.name;

export function writeNode(out: ByteWriter, node: TreeNode): void {
  out.integer(node.inode);
  out.flag(node.kind === 'directory');
  out.integer(node.parent);
  out.text(node.name);
  out.integer(node.mtimeS);
  writeVersion(out, node.version);
  out.integer(node.writer);
  out.bytes(node.data);
}

/** Throws Malformed: only for use inside `decoded`. */
export function readNode(input: ByteReader): TreeNode {
  return {
    inode: input.count(),
    kind: input.flag() ? 'directory' : 'file',
    parent: input.count(),
    name: input.text(LONGEST_NAME),
    mtimeS: input.integer(),
    version: readVersion(input),
    writer: input.count(),
    data: input.bytes(LIMITS.file).slice(),
  };
}

/**
 * A tree of stored entries in any order; the root among them, or a fresh one is taken. Says what is
 * wrong when the entries are no tree: the caller must not go on with a damaged store.
 */
export function treeOf(nodes: Iterable<TreeNode>, nextInode: number): Result<Tree, string> {
  const tree = new Tree();
  const seen = new Set<number>();
  for (const node of nodes) {
    const fault = nodeFault(node) ?? (seen.has(node.inode) ? 'is there twice' : null);
    if (fault !== null) return err(`entry ${node.inode} ${fault}`);
    seen.add(node.inode);
    tree.put(node);
  }
  const reached = reach(tree);
  if (reached !== tree.entries + 1) return err('an entry cannot be reached from the root');
  if (tree.bytes > LIMITS.bytes || tree.entries > LIMITS.entries) return err('it is larger than the limits allow');
  if (nextInode < tree.nextInode) return err('the next inode is in use');
  tree.reserveInodes(nextInode);
  tree.indexGuests();
  return ok(tree);
}

function nodeFault(node: TreeNode): string | null {
  if (node.inode < ROOT_INODE) return 'has no valid inode';
  if (node.data.length > LIMITS.file) return 'is too large';
  if (node.kind === 'directory' && node.data.length > 0) return 'is a directory with contents';
  if (node.inode === ROOT_INODE) {
    return node.kind === 'directory' && node.parent === 0 && node.name === '' ? null : 'is not a valid root';
  }
  return nameFault(node.name) === null ? null : 'has a name that no entry may have';
}

/** Entries found going down from the root; fewer than there are when some hang in the air or in a ring. */
function reach(tree: Tree): number {
  const open: TreeNode[] = [tree.root];
  let count = 0;
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    count += 1;
    // Not a spread: a directory may hold more entries than a call may have arguments.
    if (node.kind === 'directory') for (const child of tree.list(node.inode)) open.push(child);
  }
  return count;
}

/** Hashes of entries, which never change in place; so that only what changed is hashed again. */
const hashes = new WeakMap<Hash, WeakMap<TreeNode, Uint8Array>>();

export function hashOf(node: TreeNode, hash: Hash): Uint8Array {
  let known = hashes.get(hash);
  if (known === undefined) hashes.set(hash, (known = new WeakMap()));
  let value = known.get(node);
  if (value === undefined) {
    const out = new ByteWriter(node.data.length + 128);
    writeNode(out, node);
    value = hash(out.done());
    known.set(node, value);
  }
  return value;
}

/**
 * A digest of everything in the tree, whatever the order in which it came there: the entries' hashes
 * added up word by word, hashed once more with what is not in any entry. Guards against accident, not
 * against an enemy (members are authenticated).
 */
export function digestTree(tree: Tree, hash: Hash): Uint8Array {
  const sums = new Uint32Array(4);
  for (const node of tree.all()) {
    const value = hashOf(node, hash);
    const words = new DataView(value.buffer, value.byteOffset, value.byteLength);
    // Stored in 32 bits: the sum wraps.
    for (let word = 0; word < sums.length; word += 1) sums[word] = (sums[word] ?? 0) + words.getUint32(word * 4);
  }
  const out = new ByteWriter();
  out.integer(tree.nextInode);
  out.integer(tree.entries);
  for (const sum of sums) out.u32(sum);
  return hash(out.done());
}
