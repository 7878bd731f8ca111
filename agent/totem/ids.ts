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
 * number that never repeats and grows by 4 with each ring a node takes part in (Totem, section 4.1).
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

/**
 * Where a node without stored ring sequence starts: a number that no earlier life of it can have used. A second of
 * time has 4096 numbers, more than a node can form rings; a random part keeps apart two lives whose clocks say the
 * same second, because one of them went wrong. Below 2^48 for two thousand years.
 * @param unixMs the time of day in milliseconds
 * @param random at least 0, less than 1
 */
export function sequenceWithoutDisk(unixMs: number, random: number): number {
  const seconds = Math.max(0, Math.floor((unixMs - EPOCH_MS) / 1000));
  return seconds * 4096 + Math.floor(random * 1024) * 4;
}
