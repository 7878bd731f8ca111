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

export class MessageLog {
  private readonly messages = new Map<number, LoggedMessage>();
  /** All received up to here. */
  aru = 0;
  /** Highest number known to exist on this ring. */
  high = 0;
  /** Handed to the application up to here. */
  delivered = 0;
  private discarded = 0;

  /** Keeps a message. False when it was here already. */
  put(message: LoggedMessage): boolean {
    if (message.seq <= this.discarded || this.messages.has(message.seq)) return false;
    this.messages.set(message.seq, message);
    this.high = Math.max(this.high, message.seq);
    while (this.messages.has(this.aru + 1)) this.aru += 1;
    return true;
  }

  get(seq: number): LoggedMessage | undefined {
    return this.messages.get(seq);
  }

  /** Numbers up to `high` that have not come, at most `limit`. */
  missing(high: number, limit: number): number[] {
    const found: number[] = [];
    for (let seq = this.aru + 1; seq <= high && found.length < limit; seq += 1) {
      if (!this.messages.has(seq)) found.push(seq);
    }
    return found;
  }

  /**
   * The next message in agreed order, or undefined at a gap, at the end, or at a safe message that not every member
   * is known to have: what follows it waits too, because there is one order.
   */
  next(stable: number): LoggedMessage | undefined {
    const message = this.messages.get(this.delivered + 1);
    if (message === undefined || (message.safe && message.seq > stable)) return undefined;
    this.delivered += 1;
    return message;
  }

  /** Everything after the delivery point, in order, past gaps: for the transitional configuration. */
  remainder(): LoggedMessage[] {
    const rest = [...this.messages.values()].filter((message) => message.seq > this.delivered);
    rest.sort((a, b) => a.seq - b.seq);
    this.delivered = this.high;
    return rest;
  }

  /** Forgets what every member has. Never what is still to be delivered here. */
  discard(stable: number): void {
    const limit = Math.min(stable, this.delivered);
    for (; this.discarded < limit; this.discarded += 1) this.messages.delete(this.discarded + 1);
  }
}
