/** The messages between replicas and their bytes. Decoding never throws; anything odd is null. */
import { ByteWriter, joined, Malformed, type ByteReader } from '../tree/bytes.ts';
import { readVersion, writeVersion } from '../tree/codec.ts';
import { decoded } from '../tree/decoded.ts';
import type { Version } from '../tree/types.ts';
import { PIECE_BYTES, type Piece } from './paced.ts';

/** Most bytes of an operation in one message; the group carries up to 1 MiB. */
export const CHUNK_BYTES = 512 * 1024;

/** Where a message belongs: the view (its tag, see agreement.ts) and the round within it. */
export interface Place {
  /** 32 hexadecimal digits. */
  readonly tag: string;
  readonly round: number;
}

/** First in every view. The pair never repeats for one node. */
export interface HelloMessage {
  readonly kind: 'hello';
  readonly session: number;
  readonly count: number;
  /** Generations of these messages and of the operations in them that the sender's agent speaks. */
  readonly oldest: number;
  readonly newest: number;
}
/** Where the sender's replica stands. */
export interface StateMessage extends Place {
  readonly kind: 'state';
  readonly version: Version;
  readonly branch: string;
  /** Up to this index the sender's history is certainly the view's (replica.ts). */
  readonly settled: number;
  readonly promised: number;
  readonly digest: Uint8Array;
  /** What the sender has acknowledged may not be in its state (ReplicaImage). */
  readonly forgetful: boolean;
}
/** The sender has written down that it goes on in `epoch`, with the leader's state or on the way to it. */
export interface PromiseMessage extends Place {
  readonly kind: 'promise';
  readonly epoch: number;
}
/** A piece of what the leader has and those behind have not (transfer.ts). */
export interface DifferenceMessage extends Place, Piece {
  readonly kind: 'difference';
}
/** A piece of what a member has that is behind. */
export interface InventoryMessage extends Place, Piece {
  readonly kind: 'inventory';
}
export interface OperationMessage extends Place {
  readonly kind: 'operation';
  readonly session: number;
  readonly counter: number;
  readonly floor: number;
  readonly mtimeS: number;
  readonly part: number;
  readonly parts: number;
  readonly bytes: Uint8Array;
}
/** The sender has everything up to `index` of `epoch` on stable storage. */
export interface AckMessage extends Place {
  readonly kind: 'ack';
  readonly epoch: number;
  readonly index: number;
  /** Tells the sender's history up to there from others (history.ts). */
  readonly mark: number;
}
/** The sender has lost quorum: the round is over. */
export interface UnreadyMessage extends Place {
  readonly kind: 'unready';
}

/** All say what their state is where this one stands in the order. */
export interface CompareMessage extends Place {
  readonly kind: 'compare';
}
/** The sender's state at a version. */
export interface DigestMessage extends Place {
  readonly kind: 'digest';
  readonly version: Version;
  readonly digest: Uint8Array;
}

export type ReplicaMessage =
  | HelloMessage
  | StateMessage
  | PromiseMessage
  | DifferenceMessage
  | InventoryMessage
  | OperationMessage
  | AckMessage
  | UnreadyMessage
  | CompareMessage
  | DigestMessage;

const FORMAT = 1;
/**
 * The generation of the messages, and of the operations in them. One that changes what an operation does, or adds one,
 * gets a new number: members that read the same bytes in two ways would part without a word. The second brought
 * `sync`, and sends what differs instead of the whole state; in the third an ack tells histories apart, and a sender
 * need not acknowledge its own; in the fourth what differs comes compressed. A hello is read by all generations alike.
 */
export const GENERATION = { oldest: 4, newest: 4 } as const;
/** A kind that a version does not know it takes for nothing: new ones may be added at the end. */
const KINDS = [
  ...(['hello', 'state', 'promise', 'difference', 'operation', 'ack', 'unready'] as const),
  ...(['compare', 'digest', 'inventory'] as const),
] as const;
const TAG_BYTES = 16;
const LONGEST_DIGEST = 64;

export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16));

export function encodeMessage(message: ReplicaMessage): Uint8Array {
  const out = new ByteWriter('bytes' in message ? message.bytes.length + 128 : 256);
  out.u8(FORMAT);
  out.u8(KINDS.indexOf(message.kind));
  if (message.kind === 'hello') {
    out.integer(message.session);
    out.integer(message.count);
    out.u32(message.oldest);
    out.u32(message.newest);
    return out.done();
  }
  out.raw(fromHex(message.tag));
  out.u32(message.round);
  writeBody(out, message);
  return out.done();
}

function writeBody(out: ByteWriter, message: Exclude<ReplicaMessage, HelloMessage>): void {
  switch (message.kind) {
    case 'state':
      writeVersion(out, message.version);
      out.text(message.branch);
      out.integer(message.settled);
      out.integer(message.promised);
      out.bytes(message.digest);
      return out.flag(message.forgetful);
    case 'promise':
      return out.integer(message.epoch);
    case 'difference':
    case 'inventory':
      out.u32(message.sequence);
      out.flag(message.last);
      return out.bytes(message.bytes);
    case 'operation':
      out.integer(message.session);
      out.integer(message.counter);
      out.integer(message.floor);
      out.integer(message.mtimeS);
      out.u32(message.part);
      out.u32(message.parts);
      return out.bytes(message.bytes);
    case 'ack':
      out.integer(message.epoch);
      out.integer(message.index);
      return out.integer(message.mark);
    case 'digest':
      writeVersion(out, message.version);
      return out.bytes(message.digest);
    case 'unready':
    case 'compare':
      return;
  }
}

/** The message in these bytes, or null. Parts are views into `payload`. */
export function decodeMessage(payload: Uint8Array): ReplicaMessage | null {
  const message = decoded(payload, read);
  return message.ok ? message.value : null;
}

function read(input: ByteReader): ReplicaMessage {
  if (input.u8() !== FORMAT) throw new Malformed('another format');
  const kind = KINDS[input.u8()];
  if (kind === undefined) throw new Malformed('no message has this number');
  if (kind === 'hello') {
    const [session, count] = [input.count(), input.count()];
    // The first generation did not say which it was.
    const [oldest, newest] = input.hasMore() ? [input.u32(), input.u32()] : [1, 1];
    return { kind, session, count, oldest, newest };
  }
  const place = { tag: toHex(input.raw(TAG_BYTES)), round: input.u32() };
  switch (kind) {
    case 'state': {
      const [version, branch, settled, promised] = [readVersion(input), input.text(64), input.count(), input.count()];
      const digest = input.bytes(LONGEST_DIGEST).slice();
      return { kind, ...place, version, branch, settled, promised, digest, forgetful: input.flag() };
    }
    case 'promise':
      return { kind, ...place, epoch: input.count() };
    case 'difference':
    case 'inventory':
      return { kind, ...place, sequence: input.u32(), last: input.flag(), bytes: input.bytes(PIECE_BYTES) };
    case 'operation': {
      const [session, counter, floor, mtimeS] = [input.count(), input.count(), input.count(), input.integer()];
      return { kind, ...place, session, counter, floor, mtimeS, ...readPart(input) };
    }
    case 'ack':
      return { kind, ...place, epoch: input.count(), index: input.count(), mark: input.count() };
    case 'digest':
      return { kind, ...place, version: readVersion(input), digest: input.bytes(LONGEST_DIGEST).slice() };
    case 'unready':
    case 'compare':
      return { kind, ...place };
  }
}

function readPart(input: ByteReader): { part: number; parts: number; bytes: Uint8Array } {
  const [part, parts, bytes] = [input.u32(), input.u32(), input.bytes(CHUNK_BYTES)];
  if (part >= parts) throw new Malformed('more parts than there are');
  return { part, parts, bytes };
}

/** `bytes` in pieces for messages; one empty piece when there are none. */
export function inParts(bytes: Uint8Array): { part: number; parts: number; bytes: Uint8Array }[] {
  const parts = Math.max(1, Math.ceil(bytes.length / CHUNK_BYTES));
  return Array.from({ length: parts }, (_, part) => ({
    ...{ part, parts },
    bytes: bytes.subarray(part * CHUNK_BYTES, (part + 1) * CHUNK_BYTES),
  }));
}

/** Puts pieces together again; they come in order, or belong to something whose beginning was missed. */
export class Parts {
  private pieces: Uint8Array[] = [];

  /** The whole once the last piece is there, otherwise null. */
  add(piece: { readonly part: number; readonly parts: number; readonly bytes: Uint8Array }): Uint8Array | null {
    if (piece.part === 0) this.pieces = [];
    if (piece.part !== this.pieces.length) return null;
    if (piece.parts === 1) return piece.bytes;
    this.pieces.push(piece.bytes.slice());
    if (this.pieces.length < piece.parts) return null;
    const whole = joined(this.pieces);
    this.pieces = [];
    return whole;
  }
}
