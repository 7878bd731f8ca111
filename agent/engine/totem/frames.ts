/**
 * The wire between the engine's process and its clients: length (4 bytes, big endian), type (1 byte),
 * body. Calls and status are JSON; group payloads are bytes and are not wrapped in text.
 */
const JSON_FRAME = 1;
const DATA_FRAME = 2;
/** A payload of 1 MiB with its header; a longer frame is not ours. */
const LONGEST = 8 * 1024 * 1024;

export type Frame =
  | { readonly kind: 'json'; readonly value: unknown }
  /** `sender` is 0 on the way to the engine. */
  | { readonly kind: 'data'; readonly group: string; readonly sender: number; readonly payload: Uint8Array };

export function encodeFrame(frame: Frame): Buffer {
  if (frame.kind === 'json') return framed(JSON_FRAME, [Buffer.from(JSON.stringify(frame.value))]);
  const name = Buffer.from(frame.group);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(frame.sender, 0);
  head.writeUInt8(name.length, 4);
  return framed(DATA_FRAME, [head, name, frame.payload]);
}

function framed(type: number, parts: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(
    parts.reduce((length, part) => length + part.length, 0),
    0,
  );
  head.writeUInt8(type, 4);
  return Buffer.concat([head, ...parts]);
}

/** Cuts a byte stream into frames. Throws on what is not a stream of frames. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;

  *read(chunk: Buffer): Generator<Frame> {
    this.chunks.push(chunk);
    this.length += chunk.length;
    while (this.length >= 5) {
      const bytes = this.joined();
      const size = bytes.readUInt32BE(0);
      if (size > LONGEST) throw new Error(`a frame of ${size} bytes is not one of ours`);
      if (bytes.length < 5 + size) return;
      this.chunks = [bytes.subarray(5 + size)];
      this.length = bytes.length - 5 - size;
      yield decodeFrame(bytes.readUInt8(4), bytes.subarray(5, 5 + size));
    }
  }

  private joined(): Buffer {
    const [first] = this.chunks;
    if (this.chunks.length === 1 && first !== undefined) return first;
    // A large frame comes in many chunks: its size is known from the first five bytes.
    const head = Buffer.concat(this.chunks);
    this.chunks = [head];
    return head;
  }
}

function decodeFrame(type: number, body: Buffer): Frame {
  if (type === JSON_FRAME) return { kind: 'json', value: JSON.parse(body.toString('utf8')) as unknown };
  if (type !== DATA_FRAME || body.length < 5) throw new Error(`a frame of type ${type} is not one of ours`);
  const nameEnd = 5 + body.readUInt8(4);
  const group = body.toString('utf8', 5, nameEnd);
  return { kind: 'data', group, sender: body.readUInt32BE(0), payload: body.subarray(nameEnd) };
}
