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
  /** Largest packet in bytes. A commit packet of more than 40 nodes can be larger all the same. */
  readonly datagram: number;
  /** Most messages sent by all in one rotation of the token. */
  readonly window: number;
  /**
   * Highest ring sequence this node ever took part in, from stable storage. Where that is lost or was never there:
   * `sequenceWithoutDisk`, so that no ring id comes twice.
   */
  readonly sequence: number;
  /** Packets of one sender can overtake each other (several links in turn): a gap is a loss only on second sight. */
  readonly patient: boolean;
  /** config_version of the configuration that this node runs. */
  readonly version: number;
}

export type RingInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'packet'; readonly bytes: Uint8Array }
  | { readonly kind: 'timer' }
  | ({ readonly kind: 'multicast' } & Multicast)
  /** This node can be reached now, and could not before. */
  | { readonly kind: 'heard'; readonly node: NodeId }
  /** From now on packets are at most this large, in bytes, and so many go in one rotation of the token. */
  | { readonly kind: 'datagram'; readonly bytes: number; readonly window: number }
  /** From now on packets of one sender can (or cannot) overtake each other. */
  | { readonly kind: 'patient'; readonly patient: boolean }
  /** A new configuration is in force here. */
  | {
      readonly kind: 'peers';
      readonly peers: readonly NodeId[];
      readonly timeouts: RingTimeouts;
      readonly version: number;
    }
  /** What the votes say of the last regular view. Said after each. */
  | { readonly kind: 'quorate'; readonly quorate: boolean }
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
  /**
   * `left`: who said goodbye since the last regular view, the same for all members of a regular view; empty for a
   * transitional one.
   */
  | {
      readonly kind: 'view';
      readonly regular: boolean;
      readonly ring: RingId;
      readonly members: readonly NodeId[];
      readonly left: readonly NodeId[];
    }
  | { readonly kind: 'phase'; readonly phase: RingPhase }
  /**
   * `peer` runs a newer configuration than this node, which therefore is in no ring until a `peers` input brings that
   * version (or until nobody is heard any more who has it). Said again when it goes on.
   */
  | { readonly kind: 'outdated'; readonly peer: NodeId; readonly version: number }
  /** `peer` has another version and is not let into the ring because of it. Said again every half minute. */
  | { readonly kind: 'kept-out'; readonly peer: NodeId; readonly version: number };

export type RingPhase = 'stopped' | 'gather' | 'commit' | 'recovery' | 'operational' | 'outdated';
