/** Why a datagram was not taken, and what to tell the administrator about it. */
import type { NodeId } from '../ids.ts';

export type Refusal =
  /** Not an envelope of ours, or cut short. */
  | 'malformed'
  | 'other-cluster'
  /** This node's own, come back by multicast or sent by somebody who uses its node id. */
  | 'own'
  /** Its sender is no configured node. */
  | 'stranger'
  /** In clear, and this node has a key. */
  | 'plain'
  /** Sealed, and this node has no key. */
  | 'sealed'
  | 'unknown-key'
  /** Not sealed with the key it names, or changed on its way. */
  | 'forged'
  | 'replayed'
  /** Of a session of its sender that is not proven to be the present one. */
  | 'unproven'
  /** A challenge to another session, or a proof that nobody asked for. */
  | 'not-asked';

/** The sentence for the log, or null for what needs no one's attention. `node`: the name of the alleged sender. */
export function refusalSentence(reason: Refusal, node: string | null): string | null {
  const who = node === null ? 'an unknown node' : `node ${node}`;
  switch (reason) {
    case 'malformed':
      return 'something that is no packet of a cluster arrives on the cluster port: another program uses it, or packets are damaged on their way';
    case 'other-cluster':
      return `packets of another cluster arrive (sender's node id ${node ?? 'unknown'}): two clusters share addresses or a multicast group and a port`;
    case 'stranger':
      return 'packets arrive from a node id that is not in this node’s nodelist: it was removed from the cluster, or this node has an old corosync.conf';
    case 'plain':
      return `${who} sends without encryption: crypto_cipher or secauth differs there, or it has no key`;
    case 'sealed':
      return `${who} sends encrypted, and this node has no key: crypto_cipher or secauth differs here, or the key file is missing`;
    case 'unknown-key':
      return `${who} seals with a key that this node does not have, or with another crypto_cipher: compare /etc/corosync/authkey on both`;
    case 'forged':
      return `packets in the name of ${who} were not sealed with the cluster's key, or were changed on their way`;
    case 'replayed':
    case 'unproven':
    case 'own':
    case 'not-asked':
      return null;
  }
}

/** One sentence for a reason and a sender in this time, in milliseconds. */
const SILENCE_MS = 60_000;

/** Turns refusals into sentences for the log, rarely. Memory is bounded by reasons times configured nodes. */
export class RefusalReports {
  private readonly told = new Map<string, number>();

  /** What to log now, or null. `node`: the name of the alleged sender when it is a configured node, else null. */
  note(reason: Refusal, sender: NodeId | null, node: string | null, now: number): string | null {
    const subject = node === null ? reason : `${reason} ${sender ?? ''}`;
    const before = this.told.get(subject);
    if (before !== undefined && now - before < SILENCE_MS) return null;
    const sentence = refusalSentence(reason, node);
    if (sentence !== null) this.told.set(subject, now);
    return sentence;
  }

  /** To be called when the nodelist changes: forgets who is gone. */
  clear(): void {
    this.told.clear();
  }
}
