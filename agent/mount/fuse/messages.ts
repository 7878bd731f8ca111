/** Between the thread that serves the kernel, the thread that replicates and the one that keeps time. Types only. */
import type { Operation, TreeNode } from '../../tree/types.ts';
import type { VirtualPart } from '../virtual/virtual-files.ts';
import type { KernelFeatures } from './init.ts';
import type { RemoteEvent, Watched } from './remote-events.ts';

/** What the kernel gets once the operation is done. */
export type LateAnswer =
  | { readonly kind: 'empty' }
  | { readonly kind: 'written'; readonly size: number }
  /** The entry at this path. */
  | { readonly kind: 'entry'; readonly path: string }
  | { readonly kind: 'created'; readonly path: string; readonly handle: number }
  | { readonly kind: 'attributes'; readonly inode: number }
  /** Nothing; and from then on the kernel must not go by a name it learned before. */
  | { readonly kind: 'fresh' };

export type FromServing =
  /** `waiting`: the caller and its place (waiting.ts); null when nobody waits for the outcome. */
  | {
      readonly kind: 'operation';
      readonly waiting: { readonly unique: bigint; readonly place: number } | null;
      readonly operation: Operation;
      readonly answer: LateAnswer;
    }
  | { readonly kind: 'initialized'; readonly features: KernelFeatures }
  | { readonly kind: 'debug'; readonly on: boolean }
  /** Done elsewhere, and watched here. */
  | { readonly kind: 'happened'; readonly events: readonly RemoteEvent[] }
  /** `error`: the mount broke; null after an unmount. */
  | { readonly kind: 'ended'; readonly error: string | null };

export interface ChangedNode {
  /** Without its data when only the rest of it changed. */
  readonly node: TreeNode;
  readonly contents: boolean;
}

export type ToServing =
  | { readonly kind: 'all'; readonly nodes: readonly TreeNode[]; readonly nextInode: number }
  /** `own`: asked for through this mount, so that a file removed lives on where it is open. */
  | {
      readonly kind: 'change';
      readonly put: readonly ChangedNode[];
      readonly removed: readonly number[];
      readonly paths: readonly string[];
      readonly own: boolean;
    }
  | { readonly kind: 'writable'; readonly writable: boolean }
  | { readonly kind: 'virtual'; readonly part: VirtualPart }
  | { readonly kind: 'watched'; readonly watched: Watched }
  /** What the replaying process of this number is about to do; null: nothing (replaying.ts). */
  | { readonly kind: 'replay'; readonly pid: number; readonly event: RemoteEvent | null }
  /**
   * The file that was being created for this handle; null when it failed. `hasContents`: it was there before, and
   * not empty.
   */
  | { readonly kind: 'opened'; readonly handle: number; readonly inode: number | null; readonly hasContents: boolean };

export interface ServingData {
  readonly ringmasterThread: 'fuse';
  readonly fd: number;
  readonly hostname: string;
  readonly startTimeS: number;
  readonly waiting: SharedArrayBuffer;
}

export interface KeepingData {
  readonly ringmasterThread: 'fuse-keeper';
  readonly fd: number;
  readonly waiting: SharedArrayBuffer;
  /** Of the mount; null: nobody can be seen watching it. */
  readonly device: DeviceNumber | null;
}

export type FromKeeping =
  | { readonly kind: 'watched'; readonly watched: Watched }
  /** Whoever waited for the operation of this request has been told EIO or EINTR. */
  | { readonly kind: 'given-up'; readonly unique: bigint };

/** Of a mounted file system, as /proc/self/mountinfo has it. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}
