/**
 * The packets of the ring and their bytes. Decoding never throws: whatever is not exactly a packet of
 * this cluster is null, so that strangers and damaged datagrams cost one look.
 */
import { nodeId, type NodeId, type RingId } from './ids.ts';

/** A message of the total order. `body` is packed payloads, or (recovery) a message of an old ring. */
export interface MessagePacket {
  readonly kind: 'message';
  readonly sender: NodeId;
  readonly ring: RingId;
  readonly seq: number;
  readonly encapsulated: boolean;
  /** To be delivered only once every member is known to have it (Totem, section 3: safe delivery). */
  readonly safe: boolean;
  readonly body: Uint8Array;
}

/** The token: whoever holds it may send. Fields as in the Totem paper, section 3. */
export interface TokenPacket {
  readonly kind: 'token';
  readonly sender: NodeId;
  readonly ring: RingId;
  /** Grows with every hop, so that a retransmitted token is known. */
  readonly hop: number;
  /** Highest message number on this ring. */
  readonly seq: number;
  /** All have received up to here. */
  readonly aru: number;
  /** Who lowered aru; 0 when nobody is behind. */
  readonly aruSetter: number;
  /** Messages sent in the last rotation, again or for the first time, for flow control. */
  readonly flow: number;
  /** Messages that wait at all nodes, as each told at its last visit: who has more waiting may send more. */
  readonly backlog: number;
  /** Recovery: members in a row that had nothing to resend and lacked nothing. */
  readonly quiet: number;
  /** Message numbers somebody lacks. */
  readonly missing: readonly number[];
}

export interface JoinPacket {
  readonly kind: 'join';
  readonly sender: NodeId;
  readonly leaving: boolean;
  /** Highest ring sequence the sender has heard of. */
  readonly sequence: number;
  /** config_version of the sender's configuration. */
  readonly version: number;
  readonly proc: readonly NodeId[];
  readonly fail: readonly NodeId[];
}

export interface CommitEntry {
  readonly node: NodeId;
  /** What the node brings from the ring it comes from; null before it has filled it in. */
  readonly old: OldRing | null;
}

export interface OldRing {
  readonly ring: RingId;
  /** The node has received everything up to here. */
  readonly aru: number;
  /** Highest number that it knows to exist. */
  readonly high: number;
  /** It knows every member of that ring to have everything up to here. */
  readonly stable: number;
  /** Nodes that it has heard say goodbye since. */
  readonly left: readonly NodeId[];
}

export interface CommitPacket {
  readonly kind: 'commit';
  readonly sender: NodeId;
  readonly ring: RingId;
  readonly entries: readonly CommitEntry[];
}

/** This ring exists, and would have you in it. */
export interface MergePacket {
  readonly kind: 'merge';
  readonly sender: NodeId;
  readonly ring: RingId;
  /** config_version of the sender's configuration. */
  readonly version: number;
}

/** Somebody wants the held token to move. */
export interface WakePacket {
  readonly kind: 'wake';
  readonly sender: NodeId;
  readonly ring: RingId;
}

export type Packet = MessagePacket | TokenPacket | JoinPacket | CommitPacket | MergePacket | WakePacket;

const MAGIC = 0x524d;
const FORMAT = 2;
const KINDS = ['message', 'token', 'join', 'commit', 'merge', 'wake'] as const;
const HEADER_BYTES = 12;
/** Bytes of a message packet around its body. */
export const MESSAGE_OVERHEAD = HEADER_BYTES + 10 + 6 + 1;
/** Bytes of a token that asks for nothing, and of each number that it asks for. */
export const TOKEN_BYTES = HEADER_BYTES + 10 + 18 + 14;
export const MISSING_BYTES = 6;
const MOST_NODES = 1024;
const ENCAPSULATED = 1;
const SAFE = 2;

/** FNV-1a of the cluster's name: packets of another cluster on the same wire are not ours. */
export function clusterTag(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

class Writer {
  private view = new DataView(new ArrayBuffer(2048));
  private at = 0;

  /** From the beginning again: one Writer serves all packets, each of which is copied out of it. */
  begin(): this {
    this.at = 0;
    return this;
  }
  private room(bytes: number): void {
    if (this.at + bytes <= this.view.byteLength) return;
    const larger = new Uint8Array(Math.max(this.view.byteLength * 2, this.at + bytes));
    larger.set(new Uint8Array(this.view.buffer, 0, this.at));
    this.view = new DataView(larger.buffer);
  }
  u8(value: number): void {
    this.room(1);
    this.view.setUint8(this.at, value);
    this.at += 1;
  }
  u16(value: number): void {
    this.room(2);
    this.view.setUint16(this.at, value);
    this.at += 2;
  }
  u32(value: number): void {
    this.room(4);
    this.view.setUint32(this.at, value);
    this.at += 4;
  }
  /** 48 bits: at a million messages a second a ring lasts nine years. */
  u48(value: number): void {
    this.u16(Math.floor(value / 0x1_0000_0000));
    this.u32(value % 0x1_0000_0000);
  }
  ring(ring: RingId): void {
    this.u32(ring.representative);
    this.u48(ring.sequence);
  }
  nodes(nodes: readonly NodeId[]): void {
    this.u16(nodes.length);
    for (const node of nodes) this.u32(node);
  }
  bytes(bytes: Uint8Array): void {
    this.room(bytes.length);
    new Uint8Array(this.view.buffer).set(bytes, this.at);
    this.at += bytes.length;
  }
  done(): Uint8Array {
    return new Uint8Array(this.view.buffer, 0, this.at).slice();
  }
}

const writer = new Writer();

/** Thrown inside this file only, and caught in decode. Made once: a stack trace for each bad packet is dear. */
class Malformed extends Error {}
const MALFORMED = new Malformed();

class Reader {
  private readonly view: DataView;
  private readonly data: Uint8Array;
  private at = 0;

  constructor(data: Uint8Array) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
  private take(bytes: number): number {
    const from = this.at;
    if (from + bytes > this.data.length) throw MALFORMED;
    this.at = from + bytes;
    return from;
  }
  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2));
  }
  u32(): number {
    return this.view.getUint32(this.take(4));
  }
  u48(): number {
    return this.u16() * 0x1_0000_0000 + this.u32();
  }
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw MALFORMED;
    return value === 1;
  }
  node(): NodeId {
    const value = this.u32();
    if (value === 0) throw MALFORMED;
    return nodeId(value);
  }
  ring(): RingId {
    return { representative: this.node(), sequence: this.u48() };
  }
  /** Before room is made for a list: a few bytes that claim 65535 entries must not cost half a megabyte. */
  private expect(bytes: number): void {
    if (this.at + bytes > this.data.length) throw MALFORMED;
  }
  numbers(): number[] {
    const count = this.u16();
    this.expect(count * 6);
    return Array.from({ length: count }, () => this.u48());
  }
  nodes(): NodeId[] {
    const count = this.u16();
    if (count > MOST_NODES) throw MALFORMED;
    this.expect(count * 4);
    return Array.from({ length: count }, () => this.node());
  }
  rest(): Uint8Array {
    return this.data.subarray(this.take(this.data.length - this.at));
  }
  end(): void {
    if (this.at !== this.data.length) throw MALFORMED;
  }
}

const messageFlags = (packet: Pick<MessagePacket, 'encapsulated' | 'safe'>): number =>
  (packet.encapsulated ? ENCAPSULATED : 0) | (packet.safe ? SAFE : 0);

/**
 * Writes the head of a message packet into the first MESSAGE_OVERHEAD bytes of a buffer whose rest is the body, so
 * that a body is packed where it is sent from.
 */
export function headMessage(buffer: Uint8Array, packet: Omit<MessagePacket, 'kind' | 'body'>, tag: number): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset, MESSAGE_OVERHEAD);
  view.setUint16(0, MAGIC);
  view.setUint8(2, FORMAT);
  view.setUint8(3, KINDS.indexOf('message'));
  view.setUint32(4, tag);
  view.setUint32(8, packet.sender);
  view.setUint32(12, packet.ring.representative);
  view.setUint16(16, Math.floor(packet.ring.sequence / 0x1_0000_0000));
  view.setUint32(18, packet.ring.sequence % 0x1_0000_0000);
  view.setUint16(22, Math.floor(packet.seq / 0x1_0000_0000));
  view.setUint32(24, packet.seq % 0x1_0000_0000);
  view.setUint8(28, messageFlags(packet));
}

/** The packet's bytes. `tag` is clusterTag of the cluster's name. */
export function encode(packet: Packet, tag: number): Uint8Array {
  const out = writer.begin();
  out.u16(MAGIC);
  out.u8(FORMAT);
  out.u8(KINDS.indexOf(packet.kind));
  out.u32(tag);
  out.u32(packet.sender);
  switch (packet.kind) {
    case 'message':
      out.ring(packet.ring);
      out.u48(packet.seq);
      out.u8(messageFlags(packet));
      out.bytes(packet.body);
      break;
    case 'token':
      out.ring(packet.ring);
      out.u48(packet.hop);
      out.u48(packet.seq);
      out.u48(packet.aru);
      out.u32(packet.aruSetter);
      out.u16(Math.min(packet.flow, 0xffff));
      out.u32(Math.min(packet.backlog, 0xffffffff));
      out.u16(packet.quiet);
      out.u16(packet.missing.length);
      for (const seq of packet.missing) out.u48(seq);
      break;
    case 'join':
      out.u8(packet.leaving ? 1 : 0);
      out.u48(packet.sequence);
      out.u48(packet.version);
      out.nodes(packet.proc);
      out.nodes(packet.fail);
      break;
    case 'commit':
      out.ring(packet.ring);
      out.u16(packet.entries.length);
      for (const entry of packet.entries) {
        out.u32(entry.node);
        out.u8(entry.old === null ? 0 : 1);
        if (entry.old === null) continue;
        out.ring(entry.old.ring);
        out.u48(entry.old.aru);
        out.u48(entry.old.high);
        out.u48(entry.old.stable);
        out.nodes(entry.old.left);
      }
      break;
    case 'merge':
      out.ring(packet.ring);
      out.u48(packet.version);
      break;
    case 'wake':
      out.ring(packet.ring);
      break;
  }
  return out.done();
}

/** Whether a payload of the wire is the ring's, by its first byte. */
export const isRingPacket = (bytes: Uint8Array): boolean => bytes[0] === MAGIC >> 8;

/** The packet in these bytes, or null for anything that is not a whole packet of this cluster. */
export function decode(data: Uint8Array, tag: number): Packet | null {
  try {
    return read(new Reader(data), tag);
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

function read(input: Reader, tag: number): Packet | null {
  if (input.u16() !== MAGIC || input.u8() !== FORMAT) return null;
  const kind = KINDS[input.u8()];
  if (kind === undefined || input.u32() !== tag) return null;
  const sender = input.node();
  switch (kind) {
    case 'message': {
      const ring = input.ring();
      const seq = input.u48();
      const flags = input.u8();
      if (flags > (ENCAPSULATED | SAFE)) throw MALFORMED;
      const body = input.rest();
      return { kind, sender, ring, seq, encapsulated: (flags & ENCAPSULATED) !== 0, safe: (flags & SAFE) !== 0, body };
    }
    case 'token': {
      const [ring, hop, seq, aru] = [input.ring(), input.u48(), input.u48(), input.u48()];
      const [aruSetter, flow, backlog, quiet] = [input.u32(), input.u16(), input.u32(), input.u16()];
      const missing = input.numbers();
      input.end();
      return { kind, sender, ring, hop, seq, aru, aruSetter, flow, backlog, quiet, missing };
    }
    case 'join': {
      const [leaving, sequence, version] = [input.flag(), input.u48(), input.u48()];
      const [proc, fail] = [input.nodes(), input.nodes()];
      input.end();
      return { kind, sender, leaving, sequence, version, proc, fail };
    }
    case 'commit': {
      const ring = input.ring();
      const count = input.u16();
      if (count > MOST_NODES) throw MALFORMED;
      const entries = Array.from({ length: count }, (): CommitEntry => {
        const node = input.node();
        if (!input.flag()) return { node, old: null };
        const [ring, aru, high, stable] = [input.ring(), input.u48(), input.u48(), input.u48()];
        return { node, old: { ring, aru, high, stable, left: input.nodes() } };
      });
      input.end();
      return { kind, sender, ring, entries };
    }
    case 'merge': {
      const [ring, version] = [input.ring(), input.u48()];
      input.end();
      return { kind, sender, ring, version };
    }
    case 'wake': {
      const ring = input.ring();
      input.end();
      return { kind, sender, ring };
    }
  }
}
