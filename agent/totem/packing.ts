/**
 * Payloads in and out of message bodies: small ones are packed together, large ones cut into fragments.
 * A body is a row of chunks: flags (1 byte: first, last), length (2 bytes), bytes.
 */
import type { NodeId } from './ids.ts';

const FIRST = 1;
const LAST = 2;
const CHUNK_OVERHEAD = 3;

interface Outgoing {
  readonly payload: Uint8Array;
  /** Bytes already in a body. */
  sent: number;
}

/** Payloads waiting for the token, in order. */
export class Outbox {
  private queue: Outgoing[] = [];
  /** Wholly sent, not yet delivered to ourselves: what a change of ring may have cut in two. */
  private underway: Outgoing[] = [];

  get size(): number {
    return this.queue.length;
  }

  push(payload: Uint8Array): void {
    this.queue.push({ payload, sent: 0 });
  }

  /** The next body of at most `room` bytes, or null when nothing waits. */
  fill(room: number): Uint8Array | null {
    if (this.queue.length === 0) return null;
    const body = new Uint8Array(room);
    let at = 0;
    for (let head = this.queue[0]; head !== undefined; head = this.queue[0]) {
      const free = room - at - CHUNK_OVERHEAD;
      const left = head.payload.length - head.sent;
      // A fragment smaller than this is not worth its chunk: better whole in the next body.
      if (free < 1 || (at > 0 && left > free && free < 64)) break;
      const size = Math.min(free, left);
      const last = size === left;
      body[at] = (head.sent === 0 ? FIRST : 0) | (last ? LAST : 0);
      body[at + 1] = size >> 8;
      body[at + 2] = size & 0xff;
      body.set(head.payload.subarray(head.sent, head.sent + size), at + CHUNK_OVERHEAD);
      at += CHUNK_OVERHEAD + size;
      head.sent += size;
      if (!last) break;
      this.queue.shift();
      this.underway.push(head);
    }
    return body.subarray(0, at);
  }

  /** One of our own payloads was delivered to us. Delivery keeps our order, so it is the oldest. */
  ownDelivered(): void {
    this.underway.shift();
  }

  /** A new ring: takes back, in order, everything that was not delivered whole on the old one. */
  takeBack(): Uint8Array[] {
    const all = [...this.underway, ...this.queue].map((outgoing) => outgoing.payload);
    this.underway = [];
    this.queue = [];
    return all;
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
