/**
 * The wire between the engine's process and its clients: length (4 bytes, big endian), type (1 byte),
 * body. Calls and status are JSON. A message of a group is its sender (4 bytes) and the message as it goes
 * through the ring.
 */
import type { Writable } from 'node:stream';
import { DATA, GROUP_HEAD, groupBytes, GroupNames, nameBytes, putGroupHead } from './group-message.ts';

const JSON_FRAME = 1;
const DATA_FRAME = 2;
const HEAD = 5;
const SENDER = 4;
/** A payload of 1 MiB with its header; a longer frame is not ours. */
const LONGEST = 8 * 1024 * 1024;
/** Frames up to this size are put together into one write: a call of the system costs more than the copy. */
const SMALL = 16 * 1024;
const WRITE = 64 * 1024;

export type Frame =
  | { readonly kind: 'json'; readonly value: unknown }
  /** `sender` is 0 on the way to the engine. `message`: group and payload as they go through the ring. */
  | {
      readonly kind: 'data';
      readonly group: string;
      readonly sender: number;
      readonly payload: Uint8Array;
      readonly message: Uint8Array;
    };

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
    const text = Buffer.from(JSON.stringify(value));
    const bytes = Buffer.allocUnsafe(HEAD + text.length);
    putHead(bytes, 0, JSON_FRAME, text.length);
    bytes.set(text, HEAD);
    this.flush();
    this.stream.write(bytes);
  }

  /** Copies the payload: the caller may change it afterwards. */
  data(group: string, payload: Uint8Array): void {
    const name = nameBytes(group);
    const body = SENDER + GROUP_HEAD + name.length + payload.length;
    const into = this.room(HEAD + body);
    putHead(into, this.filled, DATA_FRAME, body);
    into.writeUInt32BE(0, this.filled + HEAD);
    into.set(payload, putGroupHead(into, this.filled + HEAD + SENDER, DATA, name));
    this.filled += HEAD + body;
    if (body > SMALL) this.flush();
  }

  /** Hands a message of the ring on. It must not change any more. */
  message(sender: number, message: Uint8Array): void {
    const large = message.length > SMALL;
    const into = this.room(HEAD + SENDER + (large ? 0 : message.length));
    putHead(into, this.filled, DATA_FRAME, SENDER + message.length);
    into.writeUInt32BE(sender, this.filled + HEAD);
    this.filled += HEAD + SENDER;
    if (large) {
      this.flush();
      this.stream.write(message);
      return;
    }
    into.set(message, this.filled);
    this.filled += message.length;
  }

  flush(): void {
    if (this.pending === null || this.filled === 0) return;
    this.stream.write(this.pending.subarray(0, this.filled));
    // The stream keeps what it was given: the next frames get what is left, or a buffer of their own.
    this.pending = this.pending.length - this.filled > SMALL ? this.pending.subarray(this.filled) : null;
    this.filled = 0;
  }

  private room(size: number): Buffer {
    if (this.pending !== null && this.filled + size > this.pending.length) this.flush();
    if (this.pending === null || this.pending.length < size)
      this.pending = Buffer.allocUnsafeSlow(Math.max(WRITE, size));
    return this.pending;
  }
}

function putHead(into: Buffer, at: number, type: number, length: number): void {
  into.writeUInt32BE(length, at);
  into[at + 4] = type;
}

/** Cuts a byte stream into frames. Throws on what is not a stream of frames. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;
  /** Bytes of which nothing can be said before they are all here. */
  private needed = HEAD;
  private readonly names = new GroupNames();

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
    const message = body.subarray(SENDER);
    const whole = message.length >= GROUP_HEAD && message.length >= GROUP_HEAD + (message[1] ?? 0);
    if (type !== DATA_FRAME || !whole || message[0] !== DATA)
      throw new Error(`a frame of type ${type} is not one of ours`);
    const group = this.names.of(message);
    return { kind: 'data', group, sender: body.readUInt32BE(0), payload: groupBytes(message), message };
  }
}
