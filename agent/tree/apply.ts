/**
 * Applying an operation to a tree. The outcome depends on nothing but the tree, the operation and its
 * stamp, so that every node comes to the same one. Errnos as pmxcfs gives them, where it was measured.
 */
import { err, ok, type Result } from '../result.ts';
import { guestOf } from './guests.ts';
import { isLockPath } from './locks.ts';
import { splitPath } from './names.ts';
import type { Tree } from './tree.ts';
import {
  LIMITS,
  ROOT_INODE,
  sameVersion,
  type Change,
  type Errno,
  type Operation,
  type Stamp,
  type Target,
  type TreeNode,
} from './types.ts';
import { isReserved } from './virtual.ts';

type Outcome = Result<Change, Errno>;
type Put = Change['put'][number];

const EMPTY = new Uint8Array();
const NOTHING: Change = { put: [], removed: [], names: false, paths: [] };

/** Where a name is or would be. */
interface Place {
  readonly path: string;
  readonly names: readonly string[];
  readonly parent: TreeNode;
  readonly name: string;
  readonly node: TreeNode | undefined;
}

/** Carries the operation out. On an error the tree is as it was. */
export function applyOperation(tree: Tree, operation: Operation, stamp: Stamp): Outcome {
  switch (operation.kind) {
    case 'create':
      return create(tree, operation.path, operation.exclusive, stamp);
    case 'mkdir':
      return mkdir(tree, operation.path, stamp);
    case 'write':
      return write(tree, operation.target, operation.data, operation.create, stamp);
    case 'patch':
      return patch(tree, operation, stamp);
    case 'append':
      return append(tree, operation.target, operation.data, stamp);
    case 'rename':
      return rename(tree, operation.from, operation.to, operation.noReplace, stamp);
    case 'unlink':
      return unlink(tree, operation.path, stamp);
    case 'rmdir':
      return rmdir(tree, operation.path, stamp);
    case 'setTime':
      return setTime(tree, operation.target, operation.mtimeS, stamp);
    case 'expireLock':
      return expireLock(tree, operation, stamp);
    case 'sync':
      return ok(NOTHING);
  }
}

// --- what the operations share ---

/** Finds the directory a path lies in. `onRoot` is the answer for the root itself. */
function place(tree: Tree, path: string, onRoot: Errno): Result<Place, Errno> {
  const names = splitPath(path);
  if (!names.ok) return names;
  const name = names.value.at(-1);
  if (name === undefined) return err(onRoot);
  const parent = tree.walk(names.value.slice(0, -1));
  if (!parent.ok) return parent;
  if (parent.value.kind !== 'directory') return err('ENOTDIR');
  return ok({ path, names: names.value, parent: parent.value, name, node: tree.child(parent.value.inode, name) });
}

const isRoom = (tree: Tree, grown: number, files: number): boolean =>
  tree.bytes + grown <= LIMITS.bytes && tree.entries + files <= LIMITS.entries;

/** A VMID has one configuration in the cluster. `sources`: entries that give theirs up in the same step. */
function isVmidTaken(tree: Tree, names: readonly string[], sources: readonly (TreeNode | undefined)[]): boolean {
  const guest = guestOf(names);
  const owner = guest === null ? undefined : tree.guest(guest.vmid);
  return owner !== undefined && !sources.some((source) => source?.inode === owner.inode);
}

const stamped = (node: TreeNode, stamp: Stamp, change: Partial<TreeNode>): TreeNode => ({
  ...node,
  mtimeS: stamp.mtimeS,
  version: stamp.version,
  writer: stamp.writer,
  ...change,
});

/** The directory's mtime moves with its list of names; who wrote it and when it was made does not. */
function touchParent(tree: Tree, inode: number, stamp: Stamp): Put[] {
  const parent = tree.get(inode);
  if (parent === undefined || parent.mtimeS === stamp.mtimeS) return [];
  const node = { ...parent, mtimeS: stamp.mtimeS };
  tree.put(node);
  return [{ node, contents: false }];
}

function make(tree: Tree, at: Place, kind: TreeNode['kind'], data: Uint8Array, stamp: Stamp): Outcome {
  if (!isRoom(tree, data.length, 1)) return err('ENOSPC');
  if (kind === 'file' && isVmidTaken(tree, at.names, [])) return err('EEXIST');
  const { mtimeS, version, writer, inode } = stamp;
  const node: TreeNode = { inode, kind, parent: at.parent.inode, name: at.name, mtimeS, version, writer, data };
  tree.put(node);
  const put = [{ node, contents: true }, ...touchParent(tree, at.parent.inode, stamp)];
  return ok({ put, removed: [], names: true, paths: [at.path] });
}

function take(tree: Tree, at: Place, node: TreeNode, stamp: Stamp): Outcome {
  tree.remove(node.inode);
  return ok({ put: touchParent(tree, at.parent.inode, stamp), removed: [node.inode], names: true, paths: [at.path] });
}

function replace(tree: Tree, node: TreeNode, data: Uint8Array, stamp: Stamp): Outcome {
  if (data.length > LIMITS.file) return err('EFBIG');
  if (data.length > node.data.length && !isRoom(tree, data.length - node.data.length, 0)) return err('ENOSPC');
  const next = stamped(node, stamp, { data });
  tree.put(next);
  return ok({
    put: [{ node: next, contents: true }],
    removed: [],
    names: false,
    paths: [tree.pathOf(node.inode) ?? ''],
  });
}

/** The file an operation on contents is about. */
function fileAt(tree: Tree, target: Target): Result<TreeNode, Errno> {
  const found = tree.find(target);
  if (!found.ok || found.value.kind === 'file') return found;
  return err('EISDIR');
}

// --- the operations ---

function create(tree: Tree, path: string, exclusive: boolean, stamp: Stamp): Outcome {
  const at = place(tree, path, exclusive ? 'EEXIST' : 'EISDIR');
  if (!at.ok) return at;
  if (isReserved(at.value.names)) return err(exclusive ? 'EEXIST' : 'EACCES');
  const { node } = at.value;
  if (node === undefined) return make(tree, at.value, 'file', EMPTY, stamp);
  if (exclusive) return err('EEXIST');
  return node.kind === 'file' ? ok(NOTHING) : err('EISDIR');
}

function mkdir(tree: Tree, path: string, stamp: Stamp): Outcome {
  const at = place(tree, path, 'EEXIST');
  if (!at.ok) return at;
  if (at.value.node !== undefined || isReserved(at.value.names)) return err('EEXIST');
  return make(tree, at.value, 'directory', EMPTY, stamp);
}

function write(tree: Tree, target: Target, data: Uint8Array, may: boolean, stamp: Stamp): Outcome {
  if (data.length > LIMITS.file) return err('EFBIG');
  if (typeof target === 'string') {
    const at = place(tree, target, 'EISDIR');
    if (!at.ok) return at;
    if (isReserved(at.value.names)) return err('EACCES');
    if (at.value.node === undefined) return may ? make(tree, at.value, 'file', data, stamp) : err('ENOENT');
  }
  const node = fileAt(tree, target);
  return node.ok ? replace(tree, node.value, data, stamp) : node;
}

function patch(tree: Tree, operation: Extract<Operation, { kind: 'patch' }>, stamp: Stamp): Outcome {
  const { target, offset, data, size } = operation;
  const found = fileAt(tree, target);
  if (!found.ok) return found;
  const before = found.value.data;
  const isLength = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (!isLength(offset) || (size !== null && !isLength(size))) return err('EINVAL');
  // Writing nothing past the end does not grow a file (write(2)).
  const end = data.length === 0 ? 0 : offset + data.length;
  const length = size ?? Math.max(before.length, end);
  if (end > LIMITS.file || length > LIMITS.file) return err('EFBIG');
  if (data.length === 0 && length === before.length) return ok(NOTHING);
  const next = new Uint8Array(length);
  next.set(before.subarray(0, length));
  if (offset < length) next.set(data.subarray(0, length - offset), offset);
  return replace(tree, found.value, next, stamp);
}

function append(tree: Tree, target: Target, data: Uint8Array, stamp: Stamp): Outcome {
  const found = fileAt(tree, target);
  if (!found.ok) return found;
  const before = found.value.data;
  if (before.length + data.length > LIMITS.file) return err('EFBIG');
  if (data.length === 0) return ok(NOTHING);
  const next = new Uint8Array(before.length + data.length);
  next.set(before);
  next.set(data, before.length);
  return replace(tree, found.value, next, stamp);
}

/** rename(2), except that a directory moves only when it is empty: pmxcfs refuses others (measured). */
function rename(tree: Tree, fromPath: string, toPath: string, noReplace: boolean, stamp: Stamp): Outcome {
  const from = place(tree, fromPath, 'EACCES');
  if (!from.ok) return from;
  const to = place(tree, toPath, 'EACCES');
  if (!to.ok) return to;
  if (isReserved(from.value.names) || isReserved(to.value.names)) return err('EACCES');
  const { node } = from.value;
  const target = to.value.node;
  if (node === undefined) return err('ENOENT');
  if (target !== undefined && noReplace) return err('EEXIST');
  if (target?.inode === node.inode) return ok(NOTHING);
  for (let above: TreeNode | undefined = to.value.parent; above !== undefined; above = tree.get(above.parent))
    if (above.inode === node.inode) return err('EINVAL');
  if (target !== undefined) {
    if (node.kind === 'file' && target.kind === 'directory') return err('EISDIR');
    if (node.kind === 'directory' && target.kind === 'file') return err('ENOTDIR');
    if (!tree.isEmpty(target.inode)) return err('ENOTEMPTY');
  }
  if (!tree.isEmpty(node.inode)) return err('ENOTEMPTY');
  if (node.kind === 'file' && isVmidTaken(tree, to.value.names, [node, target])) return err('EEXIST');

  if (target !== undefined) tree.remove(target.inode);
  const moved = stamped(node, stamp, { parent: to.value.parent.inode, name: to.value.name, mtimeS: node.mtimeS });
  tree.put(moved);
  const put = [{ node: moved, contents: false }, ...touchParent(tree, from.value.parent.inode, stamp)];
  if (to.value.parent.inode !== from.value.parent.inode) put.push(...touchParent(tree, to.value.parent.inode, stamp));
  return ok({ put, removed: target === undefined ? [] : [target.inode], names: true, paths: [fromPath, toPath] });
}

function unlink(tree: Tree, path: string, stamp: Stamp): Outcome {
  const at = place(tree, path, 'EISDIR');
  if (!at.ok) return at;
  if (isReserved(at.value.names)) return err('EACCES');
  const { node } = at.value;
  if (node === undefined) return err('ENOENT');
  return node.kind === 'file' ? take(tree, at.value, node, stamp) : err('EISDIR');
}

function rmdir(tree: Tree, path: string, stamp: Stamp): Outcome {
  const at = place(tree, path, 'EACCES');
  if (!at.ok) return at;
  if (isReserved(at.value.names)) return err('EACCES');
  const { node } = at.value;
  if (node === undefined) return err('ENOENT');
  if (node.kind !== 'directory') return err('ENOTDIR');
  return tree.isEmpty(node.inode) ? take(tree, at.value, node, stamp) : err('ENOTEMPTY');
}

function setTime(tree: Tree, target: Target, mtimeS: number, stamp: Stamp): Outcome {
  if (!Number.isSafeInteger(mtimeS)) return err('EINVAL');
  if (typeof target === 'string' && isReserved(target.split('/'))) return err('EACCES');
  const found = tree.find(target);
  if (!found.ok) return found;
  const node = found.value;
  if (node.inode === ROOT_INODE) return err('EACCES');
  const path = tree.pathOf(node.inode) ?? '';
  // A lock is renewed by its owner alone; the time 0 asks for it (locks.ts) and changes nothing.
  const isLock = node.kind === 'directory' && isLockPath(path.split('/'));
  if (isLock && (mtimeS === 0 || node.writer !== stamp.writer)) return err('EACCES');
  const next = stamped(node, stamp, { mtimeS });
  tree.put(next);
  return ok({ put: [{ node: next, contents: false }], removed: [], names: false, paths: [path] });
}

function expireLock(tree: Tree, operation: Extract<Operation, { kind: 'expireLock' }>, stamp: Stamp): Outcome {
  const at = place(tree, operation.path, 'EINVAL');
  if (!at.ok) return at;
  const { node, names } = at.value;
  if (node === undefined) return err('ENOENT');
  if (node.kind !== 'directory' || !isLockPath(names)) return err('EINVAL');
  // Renewed, or released and taken anew, in the meantime.
  if (!sameVersion(node.version, operation.version)) return err('EACCES');
  return tree.isEmpty(node.inode) ? take(tree, at.value, node, stamp) : err('ENOTEMPTY');
}
