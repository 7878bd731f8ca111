/** The messages of one ring that this node has received and that some member may still lack. */
import type { NodeId } from './ids.ts';

export interface LoggedMessage {
  readonly seq: number;
  readonly sender: NodeId;
  readonly encapsulated: boolean;
  readonly safe: boolean;
  readonly body: Uint8Array;
  /** The packet as it was sent, for retransmission. */
  readonly packet: Uint8Array;
}

/**
 * How far beyond what every member has a message can be. Flow control keeps a ring far below it; a number beyond it
 * is no number of this ring, and must not make the log grow.
 */
export const MOST_LOGGED = 16_384;
const FIRST_SLOTS = 256;
const NOTHING: readonly number[] = [];

/** Slots in a circle: a message's place is its number modulo the number of slots, a power of two. */
export class MessageLog {
  private slots: (LoggedMessage | undefined)[] = new Array<LoggedMessage | undefined>(FIRST_SLOTS).fill(undefined);
  /** All received up to here. */
  aru = 0;
  /** Highest number known to exist on this ring. */
  high = 0;
  /** Handed to the application up to here. */
  delivered = 0;
  private discarded = 0;

  /** Keeps a message. False when it was here already, or cannot be one of this ring. */
  put(message: LoggedMessage): boolean {
    const { seq } = message;
    if (seq <= this.discarded || seq > this.discarded + MOST_LOGGED) return false;
    while (seq > this.discarded + this.slots.length) this.grow();
    const slot = seq & (this.slots.length - 1);
    if (this.slots[slot] !== undefined) return false;
    this.slots[slot] = message;
    if (seq > this.high) this.high = seq;
    if (seq === this.aru + 1) {
      do this.aru += 1;
      while (this.get(this.aru + 1) !== undefined);
    }
    return true;
  }

  get(seq: number): LoggedMessage | undefined {
    if (seq <= this.discarded || seq > this.discarded + this.slots.length) return undefined;
    return this.slots[seq & (this.slots.length - 1)];
  }

  /** Numbers up to `high` that have not come, at most `limit`. */
  missing(high: number, limit: number): readonly number[] {
    if (this.aru >= high) return NOTHING;
    const found: number[] = [];
    for (let seq = this.aru + 1; seq <= high && found.length < limit; seq += 1) {
      if (this.get(seq) === undefined) found.push(seq);
    }
    return found;
  }

  /**
   * The next message in agreed order, or undefined at a gap, at the end, or at a safe message that not every member
   * is known to have: what follows it waits too, because there is one order.
   */
  next(stable: number): LoggedMessage | undefined {
    const message = this.get(this.delivered + 1);
    if (message === undefined || (message.safe && message.seq > stable)) return undefined;
    this.delivered += 1;
    return message;
  }

  /** Everything after the delivery point, in order, past gaps: for the transitional configuration. */
  remainder(): LoggedMessage[] {
    const rest: LoggedMessage[] = [];
    const last = Math.min(this.high, this.discarded + this.slots.length);
    for (let seq = this.delivered + 1; seq <= last; seq += 1) {
      const message = this.get(seq);
      if (message !== undefined) rest.push(message);
    }
    this.delivered = this.high;
    return rest;
  }

  /** Forgets what every member has. Never what is still to be delivered here. */
  discard(stable: number): void {
    const limit = Math.min(stable, this.delivered);
    for (; this.discarded < limit; this.discarded += 1) {
      this.slots[(this.discarded + 1) & (this.slots.length - 1)] = undefined;
    }
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new Array<LoggedMessage | undefined>(old.length * 2).fill(undefined);
    for (const message of old) {
      if (message !== undefined) this.slots[message.seq & (this.slots.length - 1)] = message;
    }
  }
}
