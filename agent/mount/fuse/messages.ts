/** Between the thread that serves the kernel and the thread that replicates. Types only. */
import type { Operation, TreeNode } from '../../tree/types.ts';
import type { VirtualFile } from '../../tree/virtual.ts';

/** What the kernel gets once the operation is done. */
export type LateAnswer =
  | { readonly kind: 'empty' }
  | { readonly kind: 'written'; readonly size: number }
  /** The entry at this path. */
  | { readonly kind: 'entry'; readonly path: string }
  | { readonly kind: 'created'; readonly path: string; readonly handle: number }
  | { readonly kind: 'attributes'; readonly inode: number };

export type FromServing =
  /** `unique` 0: nobody waits for the outcome. */
  | {
      readonly kind: 'operation';
      readonly unique: bigint;
      readonly operation: Operation;
      readonly answer: LateAnswer;
    }
  /** `error`: the mount broke; null after an unmount. */
  | { readonly kind: 'ended'; readonly error: string | null };

export type ToServing =
  | { readonly kind: 'all'; readonly nodes: readonly TreeNode[]; readonly nextInode: number }
  | { readonly kind: 'change'; readonly put: readonly TreeNode[]; readonly removed: readonly number[] }
  | { readonly kind: 'writable'; readonly writable: boolean }
  | { readonly kind: 'virtual'; readonly name: VirtualFile; readonly contents: Uint8Array }
  /** The file that was being created for this handle; null when it failed. */
  | { readonly kind: 'opened'; readonly handle: number; readonly inode: number | null };

export interface ServingData {
  readonly ringmasterThread: 'fuse';
  readonly fd: number;
  readonly hostname: string;
}
