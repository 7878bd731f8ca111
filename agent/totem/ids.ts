declare const nodeIdBrand: unique symbol;

/** A node's number in the cluster: `nodeid` in corosync.conf, 1 to 2^32-1. */
export type NodeId = number & { readonly [nodeIdBrand]: true };

/** Takes a plain number for a node id. Throws a RangeError when it cannot be one. */
export function nodeId(value: number): NodeId {
  if (!Number.isInteger(value) || value < 1 || value > 0xffffffff) {
    throw new RangeError(`a node id is an integer from 1 to 4294967295, not ${value}`);
  }
  return value as NodeId;
}

/**
 * Names one ring (one membership) for all time: the representative that formed it and a sequence
 * number that never repeats and grows with each ring a node takes part in (Totem, section 4.1).
 */
export interface RingId {
  readonly representative: NodeId;
  readonly sequence: number;
}

export const sameRing = (a: RingId, b: RingId): boolean =>
  a.representative === b.representative && a.sequence === b.sequence;

/** `1.1928`: representative, then sequence in hexadecimal, as corosync-quorumtool prints it. */
export const formatRingId = (ring: RingId): string => `${ring.representative}.${ring.sequence.toString(16)}`;

const EPOCH_MS = Date.UTC(2026, 0, 1);
/** Ring sequences that one node chooses are apart by this, a power of two. */
const STRIDE = 65_536;

/**
 * The next sequence for a ring formed by a node that started with the sequence `first`: higher than any it has heard
 * of, and with the remainder of its first. A node that lost its disk can hear of the very sequence that it once built
 * on, and would build the same one again (found by the simulator); by its new random remainder it does not.
 */
export const nextSequence = (heard: number, first: number): number =>
  (Math.floor(heard / STRIDE) + 1) * STRIDE + (first % STRIDE) - (first % 4);

/**
 * Where a node without stored ring sequence starts: above what earlier lives of it used, if the clock is right, and
 * with a remainder of its own, if it is not.
 * @param unixMs the time of day in milliseconds; numbers stay below 2^48 for 136 years from 2026
 * @param random at least 0, less than 1
 */
export function sequenceWithoutDisk(unixMs: number, random: number): number {
  const seconds = Math.max(0, Math.floor((unixMs - EPOCH_MS) / 1000));
  return seconds * STRIDE + Math.floor((random * STRIDE) / 4) * 4;
}
