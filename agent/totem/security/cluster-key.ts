/** What the security of the ring asks of a cipher. The real one is an edge; the simulator may bring a cheap one. */
import type { NodeId } from '../ids.ts';

/** One key of one sender's session. A counter is sealed with once only: it is the nonce. */
export interface SessionKey {
  /**
   * 32 bits that only a holder of the cluster's key can know. They are sent in clear, so that the packet of a stranger
   * is refused before any deciphering, and without keeping anything about its session.
   */
  readonly voucher: number;
  /**
   * Writes ciphertext and tag of `plain` into `datagram` from `head` on. What stands before `head` is authenticated.
   * There must be room for plain.length + TAG_BYTES.
   */
  seal(counter: number, datagram: Uint8Array, head: number, plain: Uint8Array): void;
  /** The plaintext of what `seal` wrote, or null when a bit of it or of the first `head` bytes is not as it was. */
  open(counter: number, datagram: Uint8Array, head: number): Uint8Array | null;
}

/** A key that all nodes of the cluster have. */
export interface ClusterKey {
  /** Tells keys apart on the wire: the first four bytes of a hash of key and cipher. */
  readonly id: number;
  /** The subkey of a sender's session. Cheap: it is derived for every packet of an unknown session. */
  session(sender: NodeId, session: Uint8Array): SessionKey;
}

/** Bytes of an AEAD's tag: 128 bits for AES-GCM (NIST SP 800-38D, section 5.2.1.2). */
export const TAG_BYTES = 16;
