/**
 * Messages above what CPG takes in one piece (about 1 MiB; a group's message has up to 1 MiB and what belongs to it).
 * libcpg can cut them itself, and then blocks its caller for up to a second while Corosync is busy, gives up in the
 * middle, and lets a process that joined meanwhile miss what the others hear in the same view. So it is done here:
 * what a change of the view interrupts counts as not sent, on every member, and its sender sends all of it again.
 */
import type { NodeId } from '../../totem/ids.ts';

/** The first byte of every message. */
const KIND = { whole: 0, first: 1, middle: 2, last: 3 } as const;

/** A message in pieces: each is sent as its two parts, one after the other. */
export type Piece = readonly [kind: Uint8Array, bytes: Uint8Array];

/** `largest`: most bytes of a piece, with its first byte. */
export function piecesOf(payload: Uint8Array, largest: number): Piece[] {
  const room = largest - 1;
  if (payload.length <= room) return [[Uint8Array.of(KIND.whole), payload]];
  const count = Math.ceil(payload.length / room);
  return Array.from({ length: count }, (_, index): Piece => {
    const kind = index === 0 ? KIND.first : index === count - 1 ? KIND.last : KIND.middle;
    return [Uint8Array.of(kind), payload.subarray(index * room, (index + 1) * room)];
  });
}

/** Puts together what comes in pieces, for each sender. */
export class Assembly {
  readonly #begun = new Map<NodeId, Uint8Array[]>();

  /** The message that is whole with this piece, or null. What has no beginning is dropped. */
  take(sender: NodeId, bytes: Uint8Array): Uint8Array | null {
    const body = bytes.subarray(1);
    switch (bytes[0]) {
      case KIND.whole:
        return body;
      case KIND.first:
        this.#begun.set(sender, [body]);
        return null;
      case KIND.middle:
        this.#begun.get(sender)?.push(body);
        return null;
      case KIND.last: {
        const begun = this.#begun.get(sender);
        this.#begun.delete(sender);
        return begun === undefined ? null : Buffer.concat([...begun, body]);
      }
      default:
        return null;
    }
  }

  /** A view: whatever is incomplete now is so for every member, and is forgotten by all. */
  view(): void {
    this.#begun.clear();
  }
}
