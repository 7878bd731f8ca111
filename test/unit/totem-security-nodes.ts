/** Nodes with Security and nothing else, for its tests. */
import { createHash } from 'node:crypto';
import { clusterKey } from '../../agent/engine/totem/cipher.ts';
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';
import { clusterTag } from '../../agent/totem/packet.ts';
import type { ClusterKey } from '../../agent/totem/security/cluster-key.ts';
import { Security, type Opened } from '../../agent/totem/security/security.ts';

export const TAG = clusterTag('prod');
export const [ONE, TWO, THREE] = [nodeId(1), nodeId(2), nodeId(3)];
export const STRANGER = nodeId(9);

export const keyOf = (letter: string): ClusterKey =>
  clusterKey(new Uint8Array(256).fill(letter.charCodeAt(0)), 'aes256');
export const KEY = keyOf('k');

let drawn = 0;
/** The same numbers in every run, so that a failure repeats; each life draws others. */
function random(bytes: number): Uint8Array {
  drawn += 1;
  return createHash('sha512').update(`draw ${drawn}`).digest().subarray(0, bytes);
}

/** A new life of a node. */
export function life(self: NodeId, keys: readonly ClusterKey[] = [KEY], tag = TAG): Security {
  return new Security({ self, clusterTag: tag, peers: [ONE, TWO, THREE], keys, random });
}

export const text = (words: string): Uint8Array => new TextEncoder().encode(words);

/** `payload hello`, `refused replayed`, `proven`, `send`. */
export function said(opened: Opened): string {
  switch (opened.kind) {
    case 'payload':
      return `payload ${new TextDecoder().decode(opened.payload)}`;
    case 'refused':
      return `refused ${opened.reason}`;
    case 'proven':
    case 'send':
      return opened.kind;
  }
}

/** The datagram that a challenge or proof is. Throws when the node said anything else. */
export function sent(opened: Opened): Uint8Array {
  if (opened.kind !== 'send') throw new Error(`expected a challenge or a proof, and it was: ${said(opened)}`);
  return opened.datagram;
}

/** Lets `hearer` believe the session that `speaker` is in. */
export function introduce(speaker: Security, hearer: Security, now: number): void {
  const challenge = sent(hearer.open(speaker.seal(text('first')), now));
  const proof = sent(speaker.open(challenge, now));
  const opened = hearer.open(proof, now);
  if (opened.kind !== 'proven') throw new Error(`the proof was not taken: ${said(opened)}`);
}
