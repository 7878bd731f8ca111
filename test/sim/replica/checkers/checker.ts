/** What a checker of the replicas is told of a run. It sees what callers and disks see. */
import type { NodeId } from '../../../../agent/totem/ids.ts';
import type { Errno, TreeNode, Version } from '../../../../agent/tree/types.ts';

export type ReplicaInvariant =
  | 'acknowledged-kept'
  | 'stored-by-majority'
  | 'refused-not-done'
  | 'one-winner'
  | 'one-order'
  | 'replicas-identical'
  | 'quorum-only'
  | 'queues-bounded'
  | 'everybody-answered';

/** What a caller asked for: a file or directory of its own name, or the lock that all want. */
export interface Asked {
  readonly node: NodeId;
  readonly name: string;
  readonly kind: 'file' | 'exclusive';
  /** The node had quorum at some time since it was asked. */
  readonly sawQuorum: boolean;
}

/** One running node, as it is now. */
export interface Look {
  readonly node: NodeId;
  readonly synced: boolean;
  readonly quorate: boolean;
  /** Names the view, where all members have delivered the same so far; null between two rings. */
  readonly ring: string | null;
  readonly version: Version;
  readonly digest: () => string;
  readonly find: (name: string) => TreeNode | null;
  readonly unstored: number;
  readonly unsent: number;
  readonly waiting: number;
}

export interface ReplicaChecker {
  readonly invariant: ReplicaInvariant;
  /** `storedBy`: votes of the nodes whose disks have it, running or not; `votes`: of all nodes. */
  answered?(asked: Asked, errno: Errno | null, by: Look, storedBy: number, votes: number): void;
  /** A running node after something happened to it, from time to time. */
  looked?(all: readonly Look[]): void;
  /** The faults are over, and all had time. */
  healed?(all: readonly Look[]): void;
}

export type ReplicaReport = (invariant: ReplicaInvariant, text: string) => void;
export const showVersion = ({ epoch, index }: Version): string => `${epoch}.${index}`;
