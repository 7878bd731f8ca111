/** The multicast address of a cluster that names none. */

/**
 * The group of one ring: computed from the cluster's name, as corosync.conf(5) says of cluster_name, and from the
 * number of the ring. The last number of an IPv4 group is the rest of a division by 255, not by 256 (seen at real
 * starts of Corosync 3.1.7: `prod` is 1674, and its group 239.192.6.144).
 */
export function multicastGroup(clusterName: string, ring: number, family: 4 | 6): string {
  const number = (clusterNumber(clusterName) + ring) & 0xffff;
  return family === 6 ? `ff15::${number.toString(16)}` : `239.192.${number >> 8}.${number % 0xff}`;
}

/** The 16 bits that stand for a cluster's name: each byte added to twice what was. Bytes are signed (seen). */
function clusterNumber(name: string): number {
  let value = 0;
  for (const byte of new TextEncoder().encode(name)) value = (value * 2 + ((byte << 24) >> 24)) & 0xffff;
  return value;
}
