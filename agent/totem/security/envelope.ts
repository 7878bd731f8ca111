/**
 * The envelope around every datagram of a node, and its bytes (big endian):
 *
 *     0 magic u16 | 2 format u8 | 3 kind u8 | 4 length u16 | 6 cluster u32 | 10 sender u32        every kind
 *     14 key id u32 | 18 voucher u32 | 22 session u64 | 30 counter u48                            all but plain
 *     36 addressee u32 | 40 its session u64 | nonce 16 bytes (sealed) | tag                       challenge
 *     36 nonce 16 bytes | tag                                                                     proof
 *     36 payload (sealed) | tag                                                                   payload
 *     14 payload                                                                                  plain
 *
 * All of it is authenticated. `length` counts the whole datagram, because a socket with receive offload hands out
 * several glued together.
 */
import { TAG_BYTES } from './cluster-key.ts';

export const PLAIN = 0;
export const PAYLOAD = 1;
export const CHALLENGE = 2;
export const PROOF = 3;

export const PLAIN_HEAD = 14;
export const SEALED_HEAD = 36;
export const SESSION_AT = 22;
export const SESSION_BYTES = 8;
export const NONCE_BYTES = 16;
export const CHALLENGE_HEAD = SEALED_HEAD + 4 + SESSION_BYTES;
export const PROOF_HEAD = SEALED_HEAD + NONCE_BYTES;
/** Bytes that the envelope adds to a payload. */
export const envelopeBytes = (sealed: boolean): number => (sealed ? SEALED_HEAD + TAG_BYTES : PLAIN_HEAD);
/** The largest datagram that `length` can tell. */
export const LONGEST_DATAGRAM = 0xffff;

const MAGIC_HIGH = 0x52; // 'RE', which no packet inside begins with
const MAGIC_LOW = 0x45;
const FORMAT = 1;
const ADDRESSEE = 36;

/** Bytes of head by kind, and the least that a whole datagram of the kind has. */
const LEAST = [PLAIN_HEAD, SEALED_HEAD + TAG_BYTES, CHALLENGE_HEAD + NONCE_BYTES + TAG_BYTES, PROOF_HEAD + TAG_BYTES];

// Past the end a byte reads as 0: `shape` has looked at the length before any field is believed.
const byte = (data: Uint8Array, at: number): number => data[at] ?? 0;

export const u16At = (data: Uint8Array, at: number): number => (byte(data, at) << 8) | byte(data, at + 1);
export const u32At = (data: Uint8Array, at: number): number =>
  ((byte(data, at) << 24) | (byte(data, at + 1) << 16) | (byte(data, at + 2) << 8) | byte(data, at + 3)) >>> 0;

export function putU32(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 24;
  data[at + 1] = value >>> 16;
  data[at + 2] = value >>> 8;
  data[at + 3] = value;
}

export function putU16(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 8;
  data[at + 1] = value;
}

/** The kind of a datagram that is whole and of our format, or -1. */
export function kindOf(data: Uint8Array): number {
  if (data.length < PLAIN_HEAD || data[0] !== MAGIC_HIGH || data[1] !== MAGIC_LOW || data[2] !== FORMAT) return -1;
  const kind = byte(data, 3);
  const least = LEAST[kind];
  if (least === undefined || data.length < least || u16At(data, 4) !== data.length) return -1;
  if ((kind === CHALLENGE || kind === PROOF) && data.length !== least) return -1;
  return kind;
}

export const clusterOf = (data: Uint8Array): number => u32At(data, 6);
export const senderOf = (data: Uint8Array): number => u32At(data, 10);
export const keyIdOf = (data: Uint8Array): number => u32At(data, 14);
export const voucherOf = (data: Uint8Array): number => u32At(data, 18);
export const sessionHighOf = (data: Uint8Array): number => u32At(data, 22);
export const sessionLowOf = (data: Uint8Array): number => u32At(data, 26);
export const counterOf = (data: Uint8Array): number => u16At(data, 30) * 0x1_0000_0000 + u32At(data, 32);
export const addresseeOf = (data: Uint8Array): number => u32At(data, ADDRESSEE);

/** What every kind begins with. */
export function putHead(data: Uint8Array, kind: number, cluster: number, sender: number): void {
  data[0] = MAGIC_HIGH;
  data[1] = MAGIC_LOW;
  data[2] = FORMAT;
  data[3] = kind;
  putU16(data, 4, data.length);
  putU32(data, 6, cluster);
  putU32(data, 10, sender);
}

/** Which key a packet is sealed with, and its place in the sender's session. */
export function putSeal(data: Uint8Array, key: number, voucher: number, session: Uint8Array, counter: number): void {
  putU32(data, 14, key);
  putU32(data, 18, voucher);
  data.set(session, SESSION_AT);
  putU16(data, 30, Math.floor(counter / 0x1_0000_0000));
  putU32(data, 32, counter % 0x1_0000_0000);
}

/**
 * Cuts datagrams apart that a socket handed out in one piece. Never throws: bytes without our head come out as one
 * last piece, which Security.open refuses as malformed.
 */
export function splitDatagrams(data: Uint8Array): Uint8Array[] {
  const first = lengthAt(data, 0);
  if (first >= data.length) return [data];
  const pieces: Uint8Array[] = [];
  let at = 0;
  while (at < data.length) {
    const end = at + lengthAt(data, at);
    pieces.push(data.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** Bytes of the datagram that begins here: all the rest when it does not say. */
function lengthAt(data: Uint8Array, at: number): number {
  const rest = data.length - at;
  if (rest < PLAIN_HEAD || data[at] !== MAGIC_HIGH || data[at + 1] !== MAGIC_LOW) return rest;
  const length = u16At(data, at + 4);
  return length < PLAIN_HEAD || length > rest ? rest : length;
}
