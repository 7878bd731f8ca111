/** What goes into the ring's state machine and what comes out. */
import type { NodeId, RingId } from './ids.ts';
import type { Multicast } from './packing.ts';

/** Milliseconds. */
export interface RingTimeouts {
  /** Silence of the token after which the ring is held for broken. */
  readonly token: number;
  /** Pause before a token is sent again to a neighbour that shows no sign of having it. */
  readonly retransmit: number;
  /** How long an idle ring's representative keeps the token. */
  readonly hold: number;
  /** Interval of join packets in the gather state. */
  readonly join: number;
  /** How long the gather state waits for agreement before it gives up on the silent. */
  readonly consensus: number;
  /** Interval at which a ring that lacks nodes makes itself known to them. */
  readonly merge: number;
}

export interface RingConfig {
  readonly self: NodeId;
  readonly clusterName: string;
  /** Every configured node, this one too. */
  readonly peers: readonly NodeId[];
  readonly timeouts: RingTimeouts;
  /** Largest packet in bytes. */
  readonly datagram: number;
  /** Most messages sent by all in one rotation of the token. */
  readonly window: number;
  /** Highest ring sequence this node ever took part in, from stable storage. */
  readonly sequence: number;
  /** Packets of one sender can overtake each other (several links in turn): a gap is a loss only on second sight. */
  readonly patient: boolean;
}

export type RingInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'packet'; readonly bytes: Uint8Array }
  | { readonly kind: 'timer' }
  | ({ readonly kind: 'multicast' } & Multicast)
  /** This node can be reached now, and could not before. */
  | { readonly kind: 'heard'; readonly node: NodeId }
  /** From now on packets are at most this large, in bytes. */
  | { readonly kind: 'datagram'; readonly bytes: number }
  | { readonly kind: 'peers'; readonly peers: readonly NodeId[]; readonly timeouts: RingTimeouts }
  | { readonly kind: 'leave' };

export type RingEffect =
  /** `again`: it was sent before and may have been lost, so that another way is worth a try. */
  | { readonly kind: 'send'; readonly to: readonly NodeId[]; readonly packet: Uint8Array; readonly again: boolean }
  /** Must be on stable storage before the effects after it are carried out. */
  | { readonly kind: 'persist'; readonly sequence: number }
  | { readonly kind: 'deliver'; readonly sender: NodeId; readonly payload: Uint8Array }
  /**
   * Just before a regular view: own payloads that were not delivered on the old ring, in order. The
   * caller multicasts them on the new one when the members know each other's groups.
   */
  | { readonly kind: 'returned'; readonly payloads: readonly Multicast[] }
  | { readonly kind: 'view'; readonly regular: boolean; readonly ring: RingId; readonly members: readonly NodeId[] }
  | { readonly kind: 'phase'; readonly phase: RingPhase };

export type RingPhase = 'stopped' | 'gather' | 'commit' | 'recovery' | 'operational';
