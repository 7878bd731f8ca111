/** Several packets in one datagram, which the receiver cuts apart like those that its kernel has glued (envelope.ts). */

/** Bytes that fit the least that IPv6 asks of a network (RFC 8200, section 5), with the headers of IP and UDP. */
const MOST_JOINED = 1200;

/**
 * The same bytes in the same order, in fewer datagrams where neighbours are small: a message and the token behind it
 * cost one call and one wakeup of the receiver instead of two.
 */
export function joinSmall(packets: readonly Uint8Array[]): readonly Uint8Array[] {
  const [first, ...others] = packets;
  if (first === undefined || others.length === 0) return packets;
  const joined: Uint8Array[] = [];
  let run = [first];
  let bytes = first.length;
  for (const packet of others) {
    if (bytes + packet.length > MOST_JOINED) {
      joined.push(whole(run));
      [run, bytes] = [[], 0];
    }
    run.push(packet);
    bytes += packet.length;
  }
  joined.push(whole(run));
  return joined;
}

function whole(run: readonly Uint8Array[]): Uint8Array {
  const [only] = run;
  return run.length === 1 && only !== undefined ? only : Buffer.concat(run);
}
