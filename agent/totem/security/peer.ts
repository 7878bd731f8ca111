/** What is known of one peer's sessions. One session at most is believed; nothing is kept of any other. */
import type { NodeId } from '../ids.ts';
import { Budget } from './budget.ts';
import type { SessionKey } from './cluster-key.ts';
import { NONCE_BYTES } from './envelope.ts';
import { ReplayWindow } from './replay-window.ts';

/** Milliseconds in which a challenge can be answered: far beyond any round trip in a cluster. */
const NONCE_LIFE = 5000;
/** Proofs with the right nonce and a wrong seal until another nonce is drawn: somebody reads it from the wire. */
const MOST_FORGED = 32;
/** Two cluster keys while one is replaced, and two epochs of each while packets overtake one another. */
const MOST_KEYS = 4;

interface CachedKey {
  readonly id: number;
  readonly epoch: number;
  readonly key: SessionKey;
}

export class Peer {
  readonly node: NodeId;
  readonly challenges = new Budget();
  readonly answers = new Budget();
  private sessionHigh = 0;
  private sessionLow = 0;
  private window: ReplayWindow | null = null;
  private keys: CachedKey[] = [];
  private nonce: Uint8Array | null = null;
  private nonceAt = 0;
  private forged = 0;

  constructor(node: NodeId) {
    this.node = node;
  }

  /** The window of the session when it is the believed one, else null. */
  windowOf(sessionHigh: number, sessionLow: number): ReplayWindow | null {
    return sessionHigh === this.sessionHigh && sessionLow === this.sessionLow ? this.window : null;
  }

  /** The subkey of the believed session, if it was kept. */
  key(id: number, epoch: number, voucher: number): SessionKey | null {
    for (const cached of this.keys)
      if (cached.epoch === epoch && cached.key.voucher === voucher && cached.id === id) return cached.key;
    return null;
  }

  /** To be called only after a packet of the believed session was authentic under this key. */
  keep(id: number, epoch: number, key: SessionKey): void {
    this.keys.unshift({ id, epoch, key });
    if (this.keys.length > MOST_KEYS) this.keys.pop();
  }

  /** Forgets subkeys of cluster keys that are not in use any more. */
  keepOnly(used: (id: number) => boolean): void {
    this.keys = this.keys.filter((cached) => used(cached.id));
  }

  /** What the peer has to give back in its proof. */
  nonceFor(random: (bytes: number) => Uint8Array, now: number): Uint8Array {
    if (this.nonce === null || now - this.nonceAt > NONCE_LIFE) {
      this.nonce = random(NONCE_BYTES);
      this.nonceAt = now;
      this.forged = 0;
    }
    return this.nonce;
  }

  /** Whether the bytes at `at` are what the peer was asked for and the answer is in time. */
  asked(data: Uint8Array, at: number, now: number): boolean {
    const nonce = this.nonce;
    if (nonce === null || now - this.nonceAt > NONCE_LIFE) return false;
    for (let index = 0; index < NONCE_BYTES; index += 1) if (nonce[index] !== data[at + index]) return false;
    return true;
  }

  /** A proof with the right nonce was forged. */
  countForged(): void {
    this.forged += 1;
    if (this.forged >= MOST_FORGED) this.nonce = null;
  }

  /** The session is believed from the packet with this counter on, and no other is. A nonce proves once. */
  believe(sessionHigh: number, sessionLow: number, counter: number): void {
    this.nonce = null;
    const window = this.windowOf(sessionHigh, sessionLow);
    if (window !== null) {
      if (!window.seen(counter)) window.mark(counter);
      return;
    }
    this.sessionHigh = sessionHigh;
    this.sessionLow = sessionLow;
    this.window = new ReplayWindow(counter);
    this.keys = [];
  }
}
