/**
 * What nodes tell each other about votes, in the ring's total order. Numbers are big-endian.
 *
 *   word       1, ring, flags, expected u32, forced u32, base electorate (if flag 1), pending: u8, electorates
 *   expected   2, votes u32, set by u32
 *   cancelWait 3, set by u32
 *   ring: representative u32, sequence u64; nodes: u16, u32 each; electorate: ring, nodes, expected u32
 */
import { err, ok, type Result } from '../result.ts';
import type { NodeId, RingId } from '../totem/ids.ts';
import type { Electorate } from './electorate.ts';
import type { QuorumWord } from './quorum.ts';

export type QuorumMessage =
  | { readonly kind: 'word'; readonly word: QuorumWord }
  /** `pvecm expected N` on node `by`. */
  | { readonly kind: 'expected'; readonly votes: number; readonly by: NodeId }
  | { readonly kind: 'cancelWait'; readonly by: NodeId };

/** The first byte of a node's word. */
export const WORD = 1;
const EXPECTED = 2;
const CANCEL_WAIT = 3;

const HAS_BASE = 1;
const INCOMPLETE = 2;
const FORCED = 4;

/** Nodes of one list: more than a ring can have, and a bound on what a damaged message can make us allocate. */
const MOST_NODES = 4096;
/** More than a node ever has open (MOST_PENDING in quorum.ts). */
const MOST_PENDING = 64;

export function encodeQuorumMessage(message: QuorumMessage): Uint8Array {
  const out: number[] = [];
  const u8 = (value: number): void => void out.push(value & 0xff);
  const u16 = (value: number): void => (u8(value >>> 8), u8(value));
  const u32 = (value: number): void => (u16(value >>> 16), u16(value));
  const ring = (value: RingId): void => {
    u32(value.representative);
    u32(Math.floor(value.sequence / 0x1_0000_0000));
    u32(value.sequence % 0x1_0000_0000);
  };
  const nodes = (list: readonly NodeId[]): void => {
    u16(list.length);
    for (const node of list) u32(node);
  };
  const electorate = (value: Electorate): void => {
    ring(value.ring);
    nodes(value.members);
    u32(value.expected);
  };
  switch (message.kind) {
    case 'expected':
      u8(EXPECTED);
      u32(message.votes);
      u32(message.by);
      break;
    case 'cancelWait':
      u8(CANCEL_WAIT);
      u32(message.by);
      break;
    case 'word': {
      const { word } = message;
      u8(WORD);
      ring(word.ring);
      u8((word.base ? HAS_BASE : 0) | (word.incomplete ? INCOMPLETE : 0) | (word.forced === null ? 0 : FORCED));
      u32(word.expected);
      u32(word.forced ?? 0);
      if (word.base) electorate(word.base);
      u8(word.pending.length);
      word.pending.forEach(electorate);
    }
  }
  return Uint8Array.from(out);
}

class Malformed extends Error {}

/** Fails, with what is wrong, on anything that `encodeQuorumMessage` does not make. */
export function decodeQuorumMessage(bytes: Uint8Array): Result<QuorumMessage, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (size: number): number => {
    if (at + size > bytes.length) throw new Malformed('it ends early');
    at += size;
    return at - size;
  };
  const u8 = (): number => view.getUint8(take(1));
  const u32 = (): number => view.getUint32(take(4));
  const node = (): NodeId => {
    const id = u32();
    if (id === 0) throw new Malformed('a node id is 0');
    return id as NodeId;
  };
  const ring = (): RingId => {
    const representative = node();
    const sequence = u32() * 0x1_0000_0000 + u32();
    if (!Number.isSafeInteger(sequence)) throw new Malformed('a ring sequence is too large');
    return { representative, sequence };
  };
  const nodes = (): NodeId[] => {
    const count = view.getUint16(take(2));
    if (count > MOST_NODES) throw new Malformed(`a list of ${count} nodes`);
    return Array.from({ length: count }, node);
  };
  const electorate = (): Electorate => ({ ring: ring(), members: nodes(), expected: u32() });
  const word = (): QuorumWord => {
    const of = ring();
    const flags = u8();
    if (flags > (HAS_BASE | INCOMPLETE | FORCED)) throw new Malformed(`flags ${flags}`);
    const expected = u32();
    const forced = u32();
    if ((flags & FORCED) === 0 && forced !== 0) throw new Malformed('forced votes without their flag');
    const base = (flags & HAS_BASE) === 0 ? null : electorate();
    const count = u8();
    if (count > MOST_PENDING) throw new Malformed(`${count} views that are not settled`);
    const pending = Array.from({ length: count }, electorate);
    const incomplete = (flags & INCOMPLETE) !== 0;
    return { ring: of, base, pending, incomplete, forced: (flags & FORCED) === 0 ? null : forced, expected };
  };
  const message = (): QuorumMessage => {
    const kind = u8();
    if (kind === WORD) return { kind: 'word', word: word() };
    if (kind === EXPECTED) return { kind: 'expected', votes: u32(), by: node() };
    if (kind === CANCEL_WAIT) return { kind: 'cancelWait', by: node() };
    throw new Malformed(`kind ${kind} is not known`);
  };
  try {
    const decoded = message();
    return at === bytes.length ? ok(decoded) : err(`${bytes.length - at} bytes too many`);
  } catch (error) {
    if (error instanceof Malformed) return err(error.message);
    throw error;
  }
}
