/**
 * How a node whose corosync.conf is older than that of the others gets the newer one: it asks one of them, over the
 * same wire as the ring, because it is in no ring and so has no tree to get it from. A state machine without clock.
 */
import type { NodeId } from '../../totem/ids.ts';

const ASK = 64;
const OFFER = 65;
/** Bytes. One datagram, which IP may cut: it is sent seldom, and asked for again when it is lost. */
const LONGEST_CONF = 60_000;
/** Milliseconds between two asks. */
const ASK_INTERVAL = 1000;

const words = new TextDecoder('utf-8', { fatal: true });
const text = new TextEncoder();

export type ConfExchangeEffect =
  | { readonly kind: 'send'; readonly to: NodeId; readonly payload: Uint8Array }
  /** A peer's corosync.conf, said to be newer: whether it is, and whether it is good, the owner looks. */
  | { readonly kind: 'offered'; readonly by: NodeId; readonly conf: string };

export class ConfExchange {
  /** The corosync.conf that may be given away, with its version; null while one is on trial here. */
  private readonly own: () => { readonly version: number; readonly conf: string } | null;
  private askedFor: { readonly version: number; at: number } | null = null;
  private readonly holders = new Map<NodeId, number>();

  constructor(own: () => { readonly version: number; readonly conf: string } | null) {
    this.own = own;
  }

  /** `peer` runs `version`, which is newer than `ours`. */
  outdated(peer: NodeId, version: number, ours: number, now: number): ConfExchangeEffect[] {
    this.holders.set(peer, version);
    this.askedFor ??= { version: ours, at: -Infinity };
    return this.timer(now);
  }

  /** This node is up to date. */
  settled(): void {
    this.askedFor = null;
    this.holders.clear();
  }

  deadline(): number {
    return this.askedFor === null ? Infinity : Math.max(this.askedFor.at + ASK_INTERVAL, 0);
  }

  timer(now: number): ConfExchangeEffect[] {
    const asked = this.askedFor;
    if (asked === null || now < asked.at + ASK_INTERVAL) return [];
    asked.at = now;
    const newest = Math.max(...this.holders.values());
    const holders = [...this.holders].filter(([, version]) => version === newest);
    return holders.map(([to]) => ({ kind: 'send', to, payload: ask(asked.version) }));
  }

  /** A payload of the wire that is neither the ring's nor a link's. Anything else than ours is passed over. */
  receive(sender: NodeId, payload: Uint8Array): ConfExchangeEffect[] {
    if (payload[0] === ASK && payload.length === 5) {
      const theirs = new DataView(payload.buffer, payload.byteOffset).getUint32(1);
      const own = this.own();
      if (own === null || own.version <= theirs || own.conf.length > LONGEST_CONF) return [];
      return [{ kind: 'send', to: sender, payload: offer(own.conf) }];
    }
    if (payload[0] === OFFER && this.askedFor !== null) {
      try {
        return [{ kind: 'offered', by: sender, conf: words.decode(payload.subarray(1)) }];
      } catch {
        return [];
      }
    }
    return [];
  }
}

function ask(version: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(5));
  view.setUint8(0, ASK);
  view.setUint32(1, version);
  return new Uint8Array(view.buffer);
}

function offer(conf: string): Uint8Array {
  const bytes = text.encode(conf);
  const payload = new Uint8Array(1 + bytes.length);
  payload[0] = OFFER;
  payload.set(bytes, 1);
  return payload;
}
