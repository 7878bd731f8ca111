/**
 * How the tree looks through the mount of one node: modes, links and virtual files are worked out from
 * the path and the host's name, and never stored.
 */
import { err, ok, type Result } from '../result.ts';
import { joinPath, splitPath } from './names.ts';
import type { Tree } from './tree.ts';
import type { Errno, TreeNode } from './types.ts';
import { isVirtualFile, LINKS, VIRTUAL_FILES, type VirtualFile } from './virtual.ts';

export interface Appearance {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'link';
  /** Permission bits. */
  readonly mode: number;
  /** Bytes; of a virtual file 0, its maker knows better. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtimeS: number;
  /** A link's target, relative to the root. */
  readonly target: string | null;
  /** The stored entry; null for links and virtual files. */
  readonly node: TreeNode | null;
  readonly virtual: VirtualFile | null;
}

/** What the looks depend on besides the tree. */
export interface Viewer {
  readonly hostname: string;
  readonly writable: boolean;
}

const WRITE_BITS = 0o222;

/** Owner root, group www-data everywhere; priv/ and nodes/NAME/priv/ for root alone. */
const isPrivate = (names: readonly string[]): boolean =>
  names[0] === 'priv' || (names[0] === 'nodes' && names[2] === 'priv');

/** Permission bits of a stored entry. Without quorum the write bits are gone (measured). */
export function modeOf(names: readonly string[], kind: TreeNode['kind'], writable: boolean): number {
  const open = kind === 'directory' ? 0o755 : 0o640;
  const closed = kind === 'directory' ? 0o700 : 0o600;
  const mode = isPrivate(names) ? closed : open;
  return writable ? mode : mode & ~WRITE_BITS;
}

/** Permission bits of a virtual file, or (null) of a link of the root. */
export const madeUpMode = (name: VirtualFile | null): number =>
  name === null ? 0o755 : name === '.debug' ? 0o640 : 0o440;

function linkTarget(name: string, hostname: string): string | null {
  const below = LINKS.get(name);
  return below === undefined ? null : joinPath(`nodes/${hostname}`, below).replace(/\/$/, '');
}

function madeUp(name: string, viewer: Viewer): Appearance | null {
  const target = linkTarget(name, viewer.hostname);
  const common = { name, size: 0, mtimeS: 0, node: null };
  if (target !== null) {
    const size = target.length;
    return { ...common, kind: 'link', mode: madeUpMode(null), size, target, virtual: null };
  }
  if (!isVirtualFile(name)) return null;
  return { ...common, kind: 'file', mode: madeUpMode(name), target: null, virtual: name };
}

function stored(node: TreeNode, names: readonly string[], viewer: Viewer): Appearance {
  const { name, kind, mtimeS } = node;
  const mode = modeOf(names, kind, viewer.writable);
  return { name, kind, mode, size: node.data.length, mtimeS, target: null, node, virtual: null };
}

/** The entry at `path` ('' is the root), the last component not followed if it is a link. */
export function present(tree: Tree, path: string, viewer: Viewer): Result<Appearance, Errno> {
  const names = splitPath(path);
  if (!names.ok) return names;
  const [first] = names.value;
  if (names.value.length === 1 && first !== undefined) {
    const found = madeUp(first, viewer);
    if (found !== null) return ok(found);
  }
  const node = tree.walk(names.value);
  return node.ok ? ok(stored(node.value, names.value, viewer)) : node;
}

/** The entries of a directory; in the root the links and the virtual files come first. */
export function list(tree: Tree, path: string, viewer: Viewer): Result<Appearance[], Errno> {
  const names = splitPath(path);
  if (!names.ok) return names;
  const found = tree.walk(names.value);
  if (!found.ok) return found;
  if (found.value.kind !== 'directory') return err('ENOTDIR');
  const extra = names.value.length === 0 ? [...LINKS.keys(), ...VIRTUAL_FILES] : [];
  const entries = extra.flatMap((name) => madeUp(name, viewer) ?? []);
  for (const node of tree.list(found.value.inode)) entries.push(stored(node, [...names.value, node.name], viewer));
  return ok(entries);
}

/** `local/x` as `nodes/HOST/x`: for callers that are not behind a kernel, which follows links itself. */
export function followLinks(path: string, hostname: string): string {
  const [first = '', ...rest] = path.split('/');
  const target = linkTarget(first, hostname);
  return target === null ? path : [target, ...rest].join('/');
}
