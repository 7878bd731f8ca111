/**
 * The links' own payloads: an ask, padded where it measures the path MTU, and its answer, always small so that a
 * path that is narrow in one direction only is told apart from one that is cut. Decoding never throws.
 */

/** `sentAt` is the asker's clock in milliseconds; it comes back as it was and means nothing to the other side. */
export interface Ask {
  /** `cast`: sent to a multicast group. */
  readonly kind: 'ask' | 'cast';
  readonly id: number;
  readonly sentAt: number;
  /** Bytes of the whole payload. */
  readonly bytes: number;
}

export interface Answer {
  readonly kind: 'answer' | 'cast-answer';
  readonly id: number;
  readonly sentAt: number;
  /** Bytes of the ask as it arrived. */
  readonly bytes: number;
}

export type Probe = Ask | Answer;

/** First bytes of payloads that belong to the links: 1 to 15 are reserved for them, these are used. */
const KINDS = ['ask', 'answer', 'cast', 'cast-answer'] as const;
const FIRST_KIND = 1;

/** An ask without padding. Both begin: kind (1), id (4), sentAt (8, IEEE 754); an answer goes on: bytes (4). */
export const SMALLEST_ASK = 13;
const ANSWER_BYTES = 17;

/** Is this payload the links' and not the ring's? */
export const isProbe = (payload: Uint8Array): boolean => kindOf(payload) !== null;

const kindOf = (payload: Uint8Array): Probe['kind'] | null => KINDS[(payload[0] ?? 0) - FIRST_KIND] ?? null;

const isAsk = (kind: Probe['kind']): kind is Ask['kind'] => kind === 'ask' || kind === 'cast';

/** `bytes` below SMALLEST_ASK are raised to it. */
export function encodeProbe(probe: Probe): Uint8Array {
  const length = isAsk(probe.kind) ? Math.max(SMALLEST_ASK, probe.bytes) : ANSWER_BYTES;
  const view = new DataView(new ArrayBuffer(length));
  view.setUint8(0, KINDS.indexOf(probe.kind) + FIRST_KIND);
  view.setUint32(1, probe.id);
  view.setFloat64(5, probe.sentAt);
  if (!isAsk(probe.kind)) view.setUint32(13, probe.bytes);
  return new Uint8Array(view.buffer);
}

/** Null for what is no probe of ours. */
export function decodeProbe(payload: Uint8Array): Probe | null {
  const kind = kindOf(payload);
  if (kind === null || payload.length < SMALLEST_ASK) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const id = view.getUint32(1);
  const sentAt = view.getFloat64(5);
  if (!Number.isFinite(sentAt)) return null;
  if (isAsk(kind)) return { kind, id, sentAt, bytes: payload.length };
  return payload.length === ANSWER_BYTES ? { kind, id, sentAt, bytes: view.getUint32(13) } : null;
}
