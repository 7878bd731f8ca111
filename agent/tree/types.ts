/** The words of the replicated tree: entries, operations on them, and what an operation changed. */

export type Errno =
  | 'EACCES'
  | 'EEXIST'
  | 'EFBIG'
  | 'EINVAL'
  | 'EIO'
  | 'EISDIR'
  | 'ENAMETOOLONG'
  | 'ENOENT'
  | 'ENOSPC'
  | 'ENOTDIR'
  | 'ENOTEMPTY';

/** Position in the replicated history. Epochs grow; within one epoch the index counts operations. */
export interface Version {
  readonly epoch: number;
  readonly index: number;
}

/** A database nobody ever wrote to. */
export const NEVER: Version = { epoch: 0, index: 0 };

/** Negative, zero or positive, as `left` is older than, equal to or newer than `right`. */
export const compareVersions = (left: Version, right: Version): number =>
  left.epoch - right.epoch || left.index - right.index;

export const sameVersion = (left: Version, right: Version): boolean => compareVersions(left, right) === 0;

/** One entry. Never changed in place: a change puts a new object under the same inode. */
export interface TreeNode {
  readonly inode: number;
  readonly kind: 'file' | 'directory';
  readonly parent: number;
  /** One path component (see names.ts for bytes that are not UTF-8); '' for the root. */
  readonly name: string;
  /** Seconds since 1970. */
  readonly mtimeS: number;
  /** The operation that last changed this entry. */
  readonly version: Version;
  /** Node id of the writer of that operation; 0 for an entry nobody wrote (the root at first). */
  readonly writer: number;
  /** A file's contents; empty for a directory. Never changed in place. */
  readonly data: Uint8Array;
}

/** The root's inode, as FUSE wants it. Its `parent` is 0. */
export const ROOT_INODE = 1;

/**
 * Paths are relative to the mount, without a leading slash. Where a target may be a number it is an
 * inode: the operation then follows an open file through renames and fails with ENOENT once it is gone.
 */
export type Target = string | number;

export type Operation =
  /** An empty file. Not exclusive: fine, and no change, when the file is there. */
  | { readonly kind: 'create'; readonly path: string; readonly exclusive: boolean }
  | { readonly kind: 'mkdir'; readonly path: string }
  /** Replaces the contents whole. `create`: makes the file when it is missing (needs a path). */
  | { readonly kind: 'write'; readonly target: Target; readonly data: Uint8Array; readonly create: boolean }
  /** Writes `data` at `offset` (a hole reads as zeros), then cuts or grows to `size` unless null. */
  | {
      readonly kind: 'patch';
      readonly target: Target;
      readonly offset: number;
      readonly data: Uint8Array;
      readonly size: number | null;
    }
  /** Adds to wherever the end is when the operation is delivered, so that no append is lost. */
  | { readonly kind: 'append'; readonly target: Target; readonly data: Uint8Array }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly noReplace: boolean }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'rmdir'; readonly path: string }
  | { readonly kind: 'setTime'; readonly target: Target; readonly mtimeS: number }
  /** Removes a lock (priv/lock/NAME) unless it was renewed since `version`. See locks.ts. */
  | { readonly kind: 'expireLock'; readonly path: string; readonly version: Version }
  /**
   * Changes nothing, and takes its place in the order: once a majority has it, whoever asked for it has applied
   * everything that was acknowledged anywhere before it was asked for.
   */
  | { readonly kind: 'sync' };

/** What every node must agree on besides the operation itself. */
export interface Stamp {
  /** For an entry the operation makes; `tree.nextInode`. */
  readonly inode: number;
  /** Seconds since 1970 by the submitter's clock. */
  readonly mtimeS: number;
  /** Node id of the submitter. */
  readonly writer: number;
  readonly version: Version;
}

/** What an operation did, for the store and for whoever watches. */
export interface Change {
  /** New or changed entries with their new values. `contents`: the data changed too. */
  readonly put: readonly { readonly node: TreeNode; readonly contents: boolean }[];
  /** Inodes that are gone. */
  readonly removed: readonly number[];
  /** An entry appeared, disappeared or moved. */
  readonly names: boolean;
  /** Paths created, changed or removed, without the parents whose mtime moved. */
  readonly paths: readonly string[];
}

export const LIMITS = {
  /** Bytes of one file. */
  file: 1024 * 1024,
  /** Bytes of all files. */
  bytes: 128 * 1024 * 1024,
  /** Files and directories, the root not counted. */
  entries: 262_144,
  /** Bytes of one name. */
  name: 255,
} as const;
