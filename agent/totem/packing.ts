/**
 * Payloads in and out of message bodies: small ones are packed together, large ones cut into fragments.
 * A body is a row of chunks: flags (1 byte: first, last), length (2 bytes), bytes; what is left of it is zeros.
 */
import { Fifo } from './fifo.ts';
import type { NodeId } from './ids.ts';

const FIRST = 1;
const LAST = 2;
const CHUNK_OVERHEAD = 3;

/** A payload and how it is to be delivered: in the agreed order, or only once all members have it. */
export interface Multicast {
  readonly payload: Uint8Array;
  readonly safe: boolean;
}

interface Outgoing extends Multicast {
  /** Bytes already in a body. */
  sent: number;
}

/** Payloads waiting for the token, in order. */
export class Outbox {
  private readonly queue = new Fifo<Outgoing>();
  /** Wholly sent, not yet delivered to ourselves: what a change of ring may have cut in two. */
  private readonly underway = new Fifo<Outgoing>();
  private waiting = 0;

  get size(): number {
    return this.queue.length;
  }
  /** What waits, in bytes. */
  get bytes(): number {
    return this.waiting;
  }

  /** How many bodies of at most `room` bytes what waits will fill, about. */
  bodies(room: number): number {
    return this.size === 0 ? 0 : Math.max(1, Math.ceil((this.waiting + this.size * CHUNK_OVERHEAD) / room));
  }

  push(payload: Uint8Array, safe: boolean): void {
    this.queue.push({ payload, safe, sent: 0 });
    this.waiting += payload.length;
  }

  /**
   * The next body of at most `room` bytes behind `ahead` free ones, or null when nothing waits. A body with a part
   * of a safe payload is safe as a whole.
   */
  fill(room: number, ahead = 0): { readonly buffer: Uint8Array; readonly safe: boolean } | null {
    if (this.size === 0) return null;
    // No more than what waits can take: a small payload must not keep a datagram's memory while it is in the log.
    const buffer = new Uint8Array(ahead + Math.min(room, this.waiting + this.size * CHUNK_OVERHEAD));
    const body = buffer.subarray(ahead);
    let at = 0;
    let safe = false;
    for (let head = this.queue.peek(); head !== undefined; head = this.queue.peek()) {
      const free = body.length - at - CHUNK_OVERHEAD;
      const left = head.payload.length - head.sent;
      // A fragment smaller than this is not worth its chunk: better whole in the next body.
      if (free < 0 || (left > free && (free < 1 || (at > 0 && free < 64)))) break;
      const size = Math.min(free, left);
      const last = size === left;
      body[at] = (head.sent === 0 ? FIRST : 0) | (last ? LAST : 0);
      body[at + 1] = size >> 8;
      body[at + 2] = size & 0xff;
      body.set(head.payload.subarray(head.sent, head.sent + size), at + CHUNK_OVERHEAD);
      at += CHUNK_OVERHEAD + size;
      head.sent += size;
      this.waiting -= size;
      safe ||= head.safe;
      if (!last) break;
      this.queue.shift();
      this.underway.push(head);
    }
    // While more waits every body has one size, so that the kernel takes many in one call; the rest of it is zeros.
    return { buffer: this.size > 0 ? buffer : buffer.subarray(0, ahead + at), safe };
  }

  /** One of our own payloads was delivered to us. Delivery keeps our order, so it is the oldest. */
  ownDelivered(): void {
    this.underway.shift();
  }

  /** A new ring: takes back, in order, everything that was not delivered whole on the old one. */
  takeBack(): Multicast[] {
    const waiting = [...this.underway.take(), ...this.queue.take()];
    this.waiting = 0;
    return waiting.map(({ payload, safe }) => ({ payload, safe }));
  }
}

/** Puts payloads together again, per sender. */
export class Inbox {
  private readonly partial = new Map<NodeId, Uint8Array[]>();

  /** Payloads that this body completes, in order. Malformed rests are passed over. */
  open(sender: NodeId, body: Uint8Array): Uint8Array[] {
    const whole: Uint8Array[] = [];
    for (let at = 0; at + CHUNK_OVERHEAD <= body.length;) {
      // Indexes are below body.length, by the loop's condition.
      const flags = body[at] ?? 0;
      const size = ((body[at + 1] ?? 0) << 8) | (body[at + 2] ?? 0);
      // Zeros up to the end: a chunk of a payload has a flag or bytes.
      if (flags === 0 && size === 0) break;
      const bytes = body.subarray(at + CHUNK_OVERHEAD, at + CHUNK_OVERHEAD + size);
      at += CHUNK_OVERHEAD + size;
      if (bytes.length !== size) break;
      if ((flags & FIRST) !== 0) this.partial.set(sender, []);
      const pieces = this.partial.get(sender);
      if (pieces === undefined) continue;
      pieces.push(bytes);
      if ((flags & LAST) === 0) continue;
      this.partial.delete(sender);
      whole.push(joined(pieces));
    }
    return whole;
  }

  /** A new ring: every sender starts its unfinished payloads again. */
  clear(): void {
    this.partial.clear();
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
