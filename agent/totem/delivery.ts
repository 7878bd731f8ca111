/** From the messages of a ring to payloads in order: agreed and safe delivery, and what a change of ring cuts off. */
import type { NodeId, RingId } from './ids.ts';
import { MessageLog, type LoggedMessage } from './message-log.ts';
import { Inbox, Outbox } from './packing.ts';
import type { RingEffect } from './ring-types.ts';

export class Delivery {
  readonly outbox = new Outbox();
  private readonly inbox = new Inbox();
  private readonly self: NodeId;
  private readonly effect: (effect: RingEffect) => void;
  /** Messages of the present ring. */
  log = new MessageLog();
  /** Every member of the present ring is known to have everything up to here. */
  stable = 0;

  constructor(self: NodeId, effect: (effect: RingEffect) => void) {
    this.self = self;
    this.effect = effect;
  }

  /** Delivers what may be delivered now. */
  deliver(): void {
    this.deliverUpTo(this.stable);
  }

  /** The token has shown that all members have everything up to `stable`. */
  settled(stable: number): void {
    if (stable > this.stable) this.stable = stable;
    this.deliver();
    this.log.discard(this.stable);
  }

  /**
   * The present ring ends, and `transitional` of its members come with us: what is left of it, in the regular and in
   * the transitional configuration (extended virtual synchrony, section 3). `stable` is the most that any of them
   * knew all members to have, so that all of them draw the line between the two configurations at the same message.
   * A safe message beyond it belongs to the second: those that come with us have it.
   */
  end(ring: RingId, transitional: readonly NodeId[], stable: number): void {
    this.stable = Math.max(this.stable, stable);
    this.deliver();
    this.effect({ kind: 'view', regular: false, ring, members: transitional, left: [] });
    this.deliverUpTo(Infinity);
    // Past a gap only messages of members that come with us: others may depend on what is lost.
    const comesWithUs = new Set(transitional);
    for (const message of this.log.remainder()) if (comesWithUs.has(message.sender)) this.handOver(message);
  }

  /** A new ring, whose first messages may be here already. */
  begin(log: MessageLog): void {
    this.inbox.clear();
    this.effect({ kind: 'returned', payloads: this.outbox.takeBack() });
    this.log = log;
    this.stable = 0;
  }

  private deliverUpTo(stable: number): void {
    for (let message = this.log.next(stable); message !== undefined; message = this.log.next(stable)) {
      this.handOver(message);
    }
  }

  private handOver(message: LoggedMessage): void {
    if (message.encapsulated) return;
    for (const payload of this.inbox.open(message.sender, message.body)) {
      if (message.sender === this.self) this.outbox.ownDelivered();
      this.effect({ kind: 'deliver', sender: message.sender, payload });
    }
  }
}
