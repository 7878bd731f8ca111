/** What a node does with the messages of its old ring when a new one is formed (Totem, section 5.3). */
import { sameRing, type NodeId, type RingId } from './ids.ts';
import { MOST_LOGGED, type LoggedMessage, type MessageLog } from './message-log.ts';
import { encode, type CommitEntry } from './packet.ts';

export interface RecoveryPlan {
  /** Members of the new ring that come with us from our present one: the transitional configuration. */
  readonly transitional: readonly NodeId[];
  /** Packets of the old ring that this node resends on the new one. */
  readonly resend: readonly Uint8Array[];
  /** Highest number that any of them knows of on the old ring. */
  readonly high: number;
  /** The most that any of them knew every member of the old ring to have. */
  readonly stable: number;
}

/** Plans the exchange from what the commit token has collected about everyone. */
export function planRecovery(
  self: NodeId,
  ring: RingId,
  log: MessageLog,
  entries: readonly CommitEntry[],
  tag: number,
): RecoveryPlan {
  const mates = entries.flatMap((entry) =>
    entry.old !== null && sameRing(entry.old.ring, ring) ? [{ node: entry.node, ...entry.old }] : [],
  );
  const low = Math.min(...mates.map((mate) => mate.aru));
  const high = Math.max(log.high, ...mates.map((mate) => mate.high));
  const stable = Math.max(0, ...mates.map((mate) => mate.stable));
  const resend: Uint8Array[] = [];
  for (let seq = Math.max(low + 1, log.high - MOST_LOGGED); seq <= Math.min(high, log.high); seq += 1) {
    const message = log.get(seq);
    // Of those known to have it by their aru, one is enough; beyond every aru each sends what it has.
    const keeper = mates.find((mate) => mate.aru >= seq)?.node ?? self;
    if (message !== undefined && keeper === self) resend.push(forResending(message, ring, tag));
  }
  return { transitional: mates.map((mate) => mate.node), resend, high, stable };
}

/** What an old message resent itself was delivered long ago: only its number still matters. */
function forResending(message: LoggedMessage, ring: RingId, tag: number): Uint8Array {
  if (!message.encapsulated) return message.packet;
  const { seq, sender, encapsulated, safe } = message;
  return encode({ kind: 'message', sender, ring, seq, encapsulated, safe, body: new Uint8Array() }, tag);
}
