/**
 * The wire between the engine's process and its clients: length (4 bytes, big endian), type (1 byte),
 * body. Calls and status are JSON; group payloads are bytes and are not wrapped in text.
 */
import type { Writable } from 'node:stream';

const JSON_FRAME = 1;
const DATA_FRAME = 2;
const HEAD = 5;
/** Sender (4 bytes) and length of the group's name (1 byte). */
const DATA_HEAD = 5;
/** A payload of 1 MiB with its header; a longer frame is not ours. */
const LONGEST = 8 * 1024 * 1024;
/** Frames up to this size are put together into one write: a call of the system costs more than the copy. */
const SMALL = 16 * 1024;
const WRITE = 64 * 1024;

export type Frame =
  | { readonly kind: 'json'; readonly value: unknown }
  /** `sender` is 0 on the way to the engine. */
  | { readonly kind: 'data'; readonly group: string; readonly sender: number; readonly payload: Uint8Array };

export function encodeFrame(frame: Frame): Buffer {
  if (frame.kind === 'json') {
    const text = Buffer.from(JSON.stringify(frame.value));
    const bytes = Buffer.allocUnsafe(HEAD + text.length);
    bytes.writeUInt32BE(text.length, 0);
    bytes.writeUInt8(JSON_FRAME, 4);
    bytes.set(text, HEAD);
    return bytes;
  }
  const name = nameBytes(frame.group);
  const bytes = Buffer.allocUnsafe(HEAD + DATA_HEAD + name.length + frame.payload.length);
  putData(bytes, 0, name, frame.sender, frame.payload);
  return bytes;
}

function putData(into: Buffer, at: number, name: Uint8Array, sender: number, payload: Uint8Array): void {
  into.writeUInt32BE(DATA_HEAD + name.length + payload.length, at);
  into[at + 4] = DATA_FRAME;
  into.writeUInt32BE(sender, at + HEAD);
  into[at + HEAD + 4] = name.length;
  into.set(name, at + HEAD + DATA_HEAD);
  into.set(payload, at + HEAD + DATA_HEAD + name.length);
}

/** There are few groups, and one name per message. */
const names = new Map<string, Uint8Array>();
const MOST_NAMES = 1000;

function nameBytes(group: string): Uint8Array {
  const known = names.get(group);
  if (known !== undefined) return known;
  const bytes = Buffer.from(group);
  if (names.size < MOST_NAMES) names.set(group, bytes);
  return bytes;
}

/** Frames out, in order: small ones leave together when `flush` is called. */
export class FrameWriter {
  private readonly stream: Writable;
  private pending: Buffer | null = null;
  private filled = 0;

  constructor(stream: Writable) {
    this.stream = stream;
  }

  /** Bytes that the stream has not taken yet. */
  get unwritten(): number {
    return this.stream.writableLength + this.filled;
  }
  /** Something waits for `flush`. */
  get waits(): boolean {
    return this.filled > 0;
  }

  json(value: unknown): void {
    this.whole(encodeFrame({ kind: 'json', value }));
  }

  data(group: string, sender: number, payload: Uint8Array): void {
    const name = nameBytes(group);
    const size = HEAD + DATA_HEAD + name.length + payload.length;
    if (size > SMALL) return this.whole(encodeFrame({ kind: 'data', group, sender, payload }));
    const into = this.room(size);
    putData(into, this.filled, name, sender, payload);
    this.filled += size;
  }

  flush(): void {
    if (this.pending === null || this.filled === 0) return;
    this.stream.write(this.pending.subarray(0, this.filled));
    // The stream keeps what it was given: the next frames get a buffer of their own.
    this.pending = this.pending.length - this.filled > SMALL ? this.pending.subarray(this.filled) : null;
    this.filled = 0;
  }

  private whole(bytes: Buffer): void {
    this.flush();
    this.stream.write(bytes);
  }

  private room(size: number): Buffer {
    if (this.pending !== null && this.filled + size > this.pending.length) this.flush();
    if (this.pending === null || this.pending.length < size) this.pending = Buffer.allocUnsafeSlow(WRITE);
    return this.pending;
  }
}

/** Cuts a byte stream into frames. Throws on what is not a stream of frames. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;
  /** Bytes of which nothing can be said before they are all here. */
  private needed = HEAD;
  private lastName: Buffer = Buffer.alloc(0);
  private lastGroup = '';

  *read(chunk: Buffer): Generator<Frame> {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length < this.needed) return;
    // A large frame comes in many chunks, which are joined once.
    const [only] = this.chunks;
    const bytes = this.chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.chunks);
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      const size = left >= HEAD ? bytes.readUInt32BE(at) : 0;
      if (size > LONGEST) throw new Error(`a frame of ${size} bytes is not one of ours`);
      this.needed = HEAD + size;
      if (left < this.needed) break;
      const body = bytes.subarray(at + HEAD, at + HEAD + size);
      const type = bytes[at + 4] ?? 0;
      at += HEAD + size;
      yield this.decode(type, body);
    }
    this.chunks = at === bytes.length ? [] : [bytes.subarray(at)];
    this.length = bytes.length - at;
  }

  private decode(type: number, body: Buffer): Frame {
    if (type === JSON_FRAME) return { kind: 'json', value: JSON.parse(body.toString('utf8')) as unknown };
    if (type !== DATA_FRAME || body.length < DATA_HEAD) throw new Error(`a frame of type ${type} is not one of ours`);
    const nameEnd = DATA_HEAD + (body[4] ?? 0);
    const name = body.subarray(DATA_HEAD, nameEnd);
    if (!name.equals(this.lastName)) {
      this.lastName = Buffer.from(name);
      this.lastGroup = name.toString('utf8');
    }
    return { kind: 'data', group: this.lastGroup, sender: body.readUInt32BE(0), payload: body.subarray(nameEnd) };
  }
}
