/** What goes into a replica's state machine, what comes out, and what it keeps on stable storage. */
import type { Result } from '../result.ts';
import type { NodeId, RingId } from '../totem/ids.ts';
import type { Hash } from '../tree/snapshot.ts';
import type { Change, Errno, Operation, TreeNode, Version } from '../tree/types.ts';
import type { Compression } from './packed.ts';

/** What the engine's status says of votes. */
export interface Quorum {
  readonly quorate: boolean;
  /** Votes needed (QuorumStatus.quorum). */
  readonly needed: number;
  /** Votes of all nodes that are expected (QuorumStatus.expectedVotes): more than these there are not. */
  readonly expected: number;
  readonly votes: ReadonlyMap<NodeId, number>;
}

/** A closed stretch of the history: an epoch, told from others of the same number, and its last index. */
export interface Era {
  readonly epoch: number;
  readonly branch: string;
  readonly end: number;
}

/** Which operations of one node's present process the state contains, so that none is done twice. */
export interface SessionRow {
  readonly node: NodeId;
  readonly session: number;
  /** Everything below is answered; nobody asks for it again. */
  readonly floor: number;
  /** Ascending. */
  readonly done: readonly number[];
}

/** Everything a replica keeps on stable storage. Nothing in it ever changes in place. */
export interface ReplicaImage {
  readonly nodes: readonly TreeNode[];
  readonly nextInode: number;
  readonly version: Version;
  /** Names the present epoch; '' before the first one. */
  readonly branch: string;
  /** The highest epoch this node has agreed to; never smaller than the version's. */
  readonly promised: number;
  /** The index from which on this epoch was written to in local mode, without the others; else null. */
  readonly localFrom: number | null;
  readonly lineage: readonly Era[];
  readonly sessions: readonly SessionRow[];
  /**
   * What this node has acknowledged may not be in here: it was restored, or its database is gone. Until it has the state
   * of the others, its vote says nothing about what was acknowledged. No epoch and no adopted state carries this on.
   */
  readonly forgetful?: true;
}

/** A database nobody ever wrote to. */
export const FRESH_IMAGE: ReplicaImage = {
  nodes: [],
  nextInode: 2,
  version: { epoch: 0, index: 0 },
  branch: '',
  promised: 0,
  localFrom: null,
  lineage: [],
  sessions: [],
};

export interface ReplicaConfig {
  readonly self: NodeId;
  /** `local`: the node belongs to no cluster; operations apply at once. */
  readonly mode: 'local' | 'cluster';
  /** Another one at every start of this node's process: a counter on disk, or milliseconds since 1970. */
  readonly session: number;
  readonly hash: Hash;
  /** What a state becomes smaller with on its way; without it goes as it is. The same on all members. */
  readonly compression?: Compression;
  readonly image: ReplicaImage;
  /** How long an operation of unknown outcome waits for a quorate view that knows it. Default 3000 ms. */
  readonly graceMs?: number;
  /** How long an operation waits for the members of a quorate view to agree. Default 30000 ms. */
  readonly patienceMs?: number;
  /** Most bytes of one piece of a state that is sent to those behind. Default and most: 16 KiB. */
  readonly pieceBytes?: number;
  /** Most bytes of own operations that are multicast and not delivered yet. Default 2 MiB. */
  readonly underWayBytes?: number;
}

export type ReplicaInput =
  /** The quorum must be the one of this ring: the engine's status is current before its view. */
  | { readonly kind: 'view'; readonly ring: RingId; readonly members: readonly NodeId[]; readonly quorum: Quorum }
  /**
   * The quorum changed within a view (`pvecm expected`, votes in the configuration). Only while the
   * engine's ring is the view's: the quorum of a ring to come arrives with its view.
   */
  | { readonly kind: 'quorum'; readonly quorum: Quorum }
  | { readonly kind: 'deliver'; readonly sender: NodeId; readonly payload: Uint8Array }
  /** `id` comes back in the answer. `mtimeS` is the wall clock in seconds. */
  | { readonly kind: 'submit'; readonly id: number; readonly operation: Operation; readonly mtimeS: number }
  /** Whoever asked has been told that its outcome is not known: it is not sent in another view. */
  | { readonly kind: 'withdraw'; readonly id: number }
  /** Time to see whether all replicas are identical; the member with the lowest id asks. */
  | { readonly kind: 'compare' }
  /** Every store effect up to this ticket is on stable storage. */
  | { readonly kind: 'stored'; readonly ticket: number }
  /** The engine was lost. */
  | { readonly kind: 'disconnected' }
  /** `deadline()` has passed. */
  | { readonly kind: 'timer' };

/** One transaction of the store. */
export type StoreRecord =
  | {
      readonly kind: 'operation';
      readonly version: Version;
      readonly change: Change;
      readonly nextInode: number;
      /** Replaces the row of its node. */
      readonly session: SessionRow;
    }
  | { readonly kind: 'promise'; readonly promised: number }
  /** Sets `localFrom`. */
  | { readonly kind: 'local'; readonly from: number }
  /** Begins an epoch; `localFrom` becomes null, and `forgetful` is gone. */
  | { readonly kind: 'epoch'; readonly version: Version; readonly branch: string; readonly lineage: readonly Era[] }
  /** What there is gives way to a state taken over: the entries that differ, and everything else of it. */
  | {
      readonly kind: 'adopt';
      readonly put: readonly TreeNode[];
      /** Inodes. */
      readonly removed: readonly number[];
      readonly rest: Omit<ReplicaImage, 'nodes'>;
    };

export type ReplicaWritability =
  { readonly kind: 'writable' } | { readonly kind: 'read-only'; readonly reason: string };

export interface ReplicaStatus {
  readonly writability: ReplicaWritability;
  /**
   * A submitted operation is taken, though it may have to wait until the members have agreed. The
   * mount shows its write bits by this, so that a change of view is a pause and not an error.
   */
  readonly accepting: boolean;
  readonly synced: boolean;
  readonly version: Version;
}

/** To be carried out in order. `multicast` and `store` are queued: the replica does not wait for them. */
export type ReplicaEffect =
  | { readonly kind: 'multicast'; readonly payload: Uint8Array }
  /** Tickets grow; records reach the disk in their order, and may share a transaction. */
  | {
      readonly kind: 'store';
      readonly ticket: number;
      readonly record: StoreRecord;
      /** Somebody waits until it is on disk; other records may wait a moment for more. */
      readonly awaited: boolean;
    }
  /** Somebody waits for everything that was to be stored before. */
  | { readonly kind: 'hurry' }
  /**
   * EACCES: it was not done (no quorum). EIO: it may have been done or may yet be. Any other errno is
   * the operation's own, and a majority agrees on the state it comes from.
   */
  | { readonly kind: 'answer'; readonly id: number; readonly result: Result<null, Errno> }
  /** What this node had alone is about to be replaced: keep it where a person finds it. */
  | { readonly kind: 'setAside'; readonly image: ReplicaImage }
  | { readonly kind: 'changed'; readonly change: Change; readonly writer: NodeId }
  /** The whole tree is another one: forget everything cached. */
  | { readonly kind: 'replaced' }
  /** Writability, accepting, synced or the epoch changed. */
  | { readonly kind: 'status'; readonly status: ReplicaStatus }
  /** At the same place of the order another member has another state. */
  | { readonly kind: 'differs'; readonly node: NodeId; readonly version: Version }
  /** This node cannot go on in this view: leave the group, or end the process. */
  | { readonly kind: 'fault'; readonly reason: string };
