/** What a test network's relay (namespaces-relay.ts) is told, in words that both sides share. */

export interface Impairment {
  /** Milliseconds that every frame is late. */
  readonly delay: number;
  /** Milliseconds, at random up to this, on top; frames keep their order. */
  readonly jitter: number;
  /** Share of frames (0 to 1) that later ones overtake: they come `reorderBy` milliseconds later. */
  readonly reorder: number;
  readonly reorderBy: number;
  /** Share of frames (0 to 1) that come twice, the second after up to 10 ms. */
  readonly duplicate: number;
}
export const PERFECT: Impairment = { delay: 0, jitter: 0, reorder: 0, reorderBy: 0, duplicate: 0 };

export interface Cable {
  readonly namespace: string;
  readonly name: string;
  readonly host: number;
  readonly network: number;
}

/** To the relay's process; it answers each with one message. */
export type RelayOrder =
  | { readonly kind: 'cables'; readonly cables: readonly Cable[] }
  | { readonly kind: 'impair'; readonly impairment: Impairment }
  /** Keeps a copy of the UDP packets that pass from now on, the last ones when there are many. */
  | { readonly kind: 'record' }
  /** Sends what was recorded to where it went before, from whom it came before. */
  | { readonly kind: 'replay'; readonly change: Change; readonly times: number };

/** What is done to a packet that is sent again: nothing, one byte of it changed, or its end cut off. */
export type Change = 'none' | 'flip' | 'cut';
