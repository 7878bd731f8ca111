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
