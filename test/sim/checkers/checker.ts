/** What a checker of an invariant is told of a run, step by step. It sees what the nodes' applications see. */
import type { NodeId, RingId } from '../../../agent/totem/ids.ts';
import type { Message } from '../messages.ts';

export type Invariant =
  'agreement-and-order' | 'virtual-synchrony' | 'delivery' | 'safe-delivery' | 'views' | 'quorum-unique' | 'liveness';

export interface View {
  readonly regular: boolean;
  readonly ring: RingId;
  readonly members: readonly NodeId[];
}

export interface Standing {
  readonly node: NodeId;
  /** Its votes carry, and its ring is not known to be broken. */
  readonly quorate: boolean;
  /** Of its last regular view; empty before the first. */
  readonly members: readonly NodeId[];
}

export interface Checker {
  readonly invariant: Invariant;
  started?(node: NodeId): void;
  /** It was killed, or left: what it has not delivered it never will. */
  stopped?(node: NodeId): void;
  said?(message: Message, payload: Uint8Array): void;
  delivered?(node: NodeId, from: NodeId, message: Message, payload: Uint8Array): void;
  view?(node: NodeId, view: View): void;
  /** The standing of one node may have changed. `all` are those of the nodes that run. */
  standing?(changed: Standing, all: readonly Standing[]): void;
  /** The faults are over and the time that a ring may take to heal has passed. `running` should be in one ring. */
  /** Whether `healed` would find nothing to say now already. */
  isHealed?(running: readonly NodeId[]): boolean;
  healed?(running: readonly NodeId[]): void;
}

export type Report = (invariant: Invariant, text: string) => void;

export const showRing = (ring: RingId): string => `${ring.representative}.${ring.sequence.toString(16)}`;
