/** Writing and reading binary records: big-endian, length-prefixed, every read checked. */
import { decodeName, encodeName } from './names.ts';

/** Grows as it is written to. */
export class ByteWriter {
  private view: DataView;
  private data: Uint8Array;
  private at = 0;

  constructor(capacity = 256) {
    this.data = new Uint8Array(capacity);
    this.view = new DataView(this.data.buffer);
  }
  private room(bytes: number): number {
    const from = this.at;
    this.at += bytes;
    if (this.at > this.data.length) {
      const larger = new Uint8Array(Math.max(this.data.length * 2, this.at));
      larger.set(this.data.subarray(0, from));
      this.data = larger;
      this.view = new DataView(larger.buffer);
    }
    return from;
  }
  u8(value: number): void {
    const at = this.room(1);
    this.view.setUint8(at, value);
  }
  flag(value: boolean): void {
    this.u8(value ? 1 : 0);
  }
  u32(value: number): void {
    const at = this.room(4);
    this.view.setUint32(at, value);
  }
  /** Any safe integer, negative ones too (an mtime before 1970). */
  integer(value: number): void {
    const at = this.room(8);
    this.view.setFloat64(at, value);
  }
  raw(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.data.set(bytes, at);
  }
  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }
  text(text: string): void {
    this.bytes(encodeName(text));
  }
  done(): Uint8Array {
    return this.data.subarray(0, this.at);
  }
}

/** All of these, one after the other. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of pieces) {
    whole.set(each, at);
    at += each.length;
  }
  return whole;
}

/** Thrown by ByteReader and caught by `decoded`; never leaves the room. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

export class ByteReader {
  private readonly data: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(data: Uint8Array) {
    // slice() of Node's Buffer is a view, not a copy: a file of 200 bytes would keep alive the 64 KiB that a socket gave
    // at once, and each message to a thread would carry them (measured: an append then cost twice the processor).
    this.data = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
  private take(bytes: number): number {
    const from = this.at;
    if (from + bytes > this.data.length) throw new Malformed('it ends too soon');
    this.at = from + bytes;
    return from;
  }
  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw new Malformed('a flag is 0 or 1');
    return value === 1;
  }
  u32(): number {
    return this.view.getUint32(this.take(4));
  }
  integer(): number {
    const value = this.view.getFloat64(this.take(8));
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new Malformed('a number is no integer');
    return value;
  }
  /** An integer of at least 0. */
  count(): number {
    const value = this.integer();
    if (value < 0) throw new Malformed('a count is negative');
    return value;
  }
  /** A view into the input: copy it to keep it longer than the input. */
  raw(length: number): Uint8Array {
    const from = this.take(length);
    return this.data.subarray(from, from + length);
  }
  bytes(longest: number): Uint8Array {
    const length = this.u32();
    if (length > longest) throw new Malformed('a field is too long');
    return this.raw(length);
  }
  text(longest: number): string {
    return decodeName(this.bytes(longest));
  }
  /** A number of items of at least `smallest` bytes each, which must fit into what is left. */
  items(smallest: number): number {
    const items = this.u32();
    if (items * smallest > this.data.length - this.at) throw new Malformed('a list is too long');
    return items;
  }
  hasMore(): boolean {
    return this.at < this.data.length;
  }
  end(): void {
    if (this.at !== this.data.length) throw new Malformed('something follows the end');
  }
}
