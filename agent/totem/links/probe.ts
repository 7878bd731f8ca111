/**
 * The links' own payloads: an ask, padded where it measures the path MTU, and its answer, always small so that a
 * path that is narrow in one direction only is told apart from one that is cut. Decoding never throws.
 */

/** `sentAt` is the asker's clock in milliseconds; it comes back as it was and means nothing to the other side. */
export interface Ask {
  readonly kind: 'ask';
  readonly id: number;
  readonly sentAt: number;
  /** Bytes of the whole payload. */
  readonly bytes: number;
}

export interface Answer {
  readonly kind: 'answer';
  readonly id: number;
  readonly sentAt: number;
  /** Bytes of the ask as it arrived. */
  readonly bytes: number;
}

export type Probe = Ask | Answer;

/** First bytes of payloads that belong to the links: 1 to 15 are reserved for them, these are used. */
const ASK = 1;
const ANSWER = 2;

/** An ask without padding. Both begin: kind (1), id (4), sentAt (8, IEEE 754); an answer goes on: bytes (4). */
export const SMALLEST_ASK = 13;
const ANSWER_BYTES = 17;

/** Is this payload the links' and not the ring's? */
export const isProbe = (payload: Uint8Array): boolean => payload[0] === ASK || payload[0] === ANSWER;

/** `bytes` below SMALLEST_ASK are raised to it. */
export function encodeProbe(probe: Probe): Uint8Array {
  const length = probe.kind === 'ask' ? Math.max(SMALLEST_ASK, probe.bytes) : ANSWER_BYTES;
  const view = new DataView(new ArrayBuffer(length));
  view.setUint8(0, probe.kind === 'ask' ? ASK : ANSWER);
  view.setUint32(1, probe.id);
  view.setFloat64(5, probe.sentAt);
  if (probe.kind === 'answer') view.setUint32(13, probe.bytes);
  return new Uint8Array(view.buffer);
}

/** Null for what is no probe of ours. */
export function decodeProbe(payload: Uint8Array): Probe | null {
  if (payload.length < SMALLEST_ASK) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const id = view.getUint32(1);
  const sentAt = view.getFloat64(5);
  if (!Number.isFinite(sentAt)) return null;
  switch (payload[0]) {
    case ASK:
      return { kind: 'ask', id, sentAt, bytes: payload.length };
    case ANSWER:
      return payload.length === ANSWER_BYTES ? { kind: 'answer', id, sentAt, bytes: view.getUint32(13) } : null;
    default:
      return null;
  }
}
