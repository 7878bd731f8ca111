/** What has been handed to the store and is not on stable storage yet, and what waits for it. */
import type { Version } from '../tree/types.ts';

/** What to do when a ticket is on stable storage. */
export type Afterwards =
  | { readonly kind: 'promise'; readonly tag: string; readonly round: number; readonly epoch: number }
  | { readonly kind: 'ack'; readonly version: Version }
  /** Local mode. */
  | { readonly kind: 'answer'; readonly id: number }
  | { readonly kind: 'nothing' };

export class Journal {
  private waiting: { readonly ticket: number; readonly then: Afterwards }[] = [];
  private last = 0;

  /** Gives the ticket. */
  add(then: Afterwards): number {
    this.last += 1;
    this.waiting.push({ ticket: this.last, then });
    return this.last;
  }

  /** Everything up to this ticket is stored: what waited for it, in order. */
  stored(ticket: number): Afterwards[] {
    const open = this.waiting.findIndex((each) => each.ticket > ticket);
    const done = this.waiting.splice(0, open === -1 ? this.waiting.length : open);
    return done.map((each) => each.then);
  }
}
