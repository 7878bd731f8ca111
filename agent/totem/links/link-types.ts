/** What the links are told and what they ask for. */
import type { NodeId } from '../ids.ts';

/**
 * How the links that work share the load. `passive`: the best one carries everything (knet). `rr`: each packet takes
 * the next one (knet, and rrp_mode passive). `active`: every packet goes over all of them (knet, and rrp_mode active).
 */
export type LinkMode = 'passive' | 'rr' | 'active';

/** Milliseconds, and a count. */
export interface LinkTimes {
  /** Between two asks of a peer. */
  readonly pingInterval: number;
  /** Silence after which a link is down. */
  readonly pingTimeout: number;
  /** Answers in a row before a link is up. */
  readonly pongCount: number;
}

export interface LinkConfig extends LinkTimes {
  readonly link: number;
  /** knet_link_priority: of several links that work the highest is preferred. */
  readonly priority: number;
  /** Bytes that headers and the envelope add to a payload to make an IP packet of it. */
  readonly overhead: number;
  /** Packets for several nodes go out once, to a multicast group. */
  readonly multicast?: boolean;
}

export interface LinkPeer {
  readonly node: NodeId;
  /** A changed address makes a link one that is not known yet. */
  readonly links: readonly { readonly link: number; readonly address: string }[];
}

export interface LinksConfig {
  readonly self: NodeId;
  readonly mode: LinkMode;
  readonly links: readonly LinkConfig[];
  /** All other nodes. One without a link in common with this node cannot be reached. */
  readonly peers: readonly LinkPeer[];
  /** The largest IP packet in bytes that is ever tried. */
  readonly netmtu: number;
}

export type LinkState = 'up' | 'down' | 'untested';

export type LinkEffect =
  | { readonly kind: 'send'; readonly link: number; readonly to: NodeId; readonly payload: Uint8Array }
  /** To the link's multicast group, in which these nodes should be. */
  | { readonly kind: 'cast'; readonly link: number; readonly to: readonly NodeId[]; readonly payload: Uint8Array }
  /** This peer does not hear multicast on the link, though it hears unicast; or it does again. */
  | { readonly kind: 'multicast'; readonly link: number; readonly peer: NodeId; readonly works: boolean }
  | { readonly kind: 'up' | 'down'; readonly link: number; readonly peer: NodeId; readonly reason: string }
  /** This peer answers, and did not before on any link. */
  | { readonly kind: 'reachable'; readonly node: NodeId }
  /** The largest payload, its first byte included, that passes on every link to every peer that answers. */
  | { readonly kind: 'datagram'; readonly bytes: number };

/** One link to one peer. */
export interface PathStatus {
  readonly link: number;
  readonly peer: NodeId;
  readonly address: string;
  readonly state: LinkState;
  /** Since when it is in this state, on the owner's clock. */
  readonly since: number;
  /** Smoothed round trip in microseconds; null before the first answer. */
  readonly latencyUs: number | null;
  /** Largest IP packet in bytes known to pass; null before it was measured. */
  readonly mtu: number | null;
  /** How often it went down. */
  readonly failures: number;
}

/** One copy of a packet: the nodes it goes to over one link; on a link with multicast several nodes are one datagram. */
export interface Way {
  readonly link: number;
  readonly to: NodeId[];
}
