/**
 * A long text among the messages of others: a few pieces at a time, the next one when an earlier one has
 * come back in the total order, so that an operation never waits behind more than these few.
 */

import { joined } from '../tree/bytes.ts';

/** Most bytes of one piece. */
export const PIECE_BYTES = 16 * 1024;
/**
 * Pieces under way at once. One alone would wait a whole turn of the token for each; all of them together take 10 ms
 * of a link of 100 Mbit/s that carries them to two others, and an operation and its ack each wait behind as many.
 */
const MOST_UNDER_WAY = 4;

export interface Piece {
  /** Counts from 0. */
  readonly sequence: number;
  readonly last: boolean;
  readonly bytes: Uint8Array;
}

/** Cuts what comes into pieces of at most so many bytes and chunks, making no more of it than is asked for. */
export function* cut(chunks: Iterable<Uint8Array>, most: number, mostChunks = Infinity): Generator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let size = 0;
  for (const chunk of chunks)
    for (let from = 0; from < chunk.length;) {
      const taken = chunk.subarray(from, from + most - size);
      gathered.push(taken);
      size += taken.length;
      from += taken.length;
      if (size < most && gathered.length < mostChunks) continue;
      yield joined(gathered);
      [gathered, size] = [[], 0];
    }
  if (size > 0) yield joined(gathered);
}

export class PacedSender {
  private readonly pieces: Iterator<Uint8Array, undefined>;
  private following: Uint8Array | undefined;
  private sequence = 0;
  private underWay = 0;
  private ended = false;

  /** `chunks` are asked for one by one, as pieces are sent; a piece is of at most so many bytes and chunks. */
  constructor(chunks: Iterable<Uint8Array>, most = PIECE_BYTES, mostChunks = Infinity) {
    this.pieces = cut(chunks, Math.min(most, PIECE_BYTES), mostChunks);
    this.following = this.pieces.next().value;
  }

  /** What is to be sent now. */
  due(): Piece[] {
    const due: Piece[] = [];
    while (!this.ended && this.underWay < MOST_UNDER_WAY) {
      const bytes = this.following ?? new Uint8Array();
      this.following = this.pieces.next().value;
      this.ended = this.following === undefined;
      due.push({ sequence: this.sequence, last: this.ended, bytes });
      this.sequence += 1;
      this.underWay += 1;
    }
    return due;
  }

  /** A piece of ours has come back: what is to be sent now. */
  delivered(): Piece[] {
    this.underWay -= 1;
    return this.due();
  }
}

export class PacedReceiver {
  private pieces: Uint8Array[] = [];

  /** The whole once the last piece is there, otherwise null. A piece out of its place is none. */
  add({ sequence, last, bytes }: Piece): Uint8Array | null {
    if (sequence !== this.pieces.length) return null;
    this.pieces.push(bytes.slice());
    if (!last) return null;
    const whole = joined(this.pieces);
    this.pieces = [];
    return whole;
  }
}
