/**
 * Whether one link to one peer works, by asking: an answer proves both directions, so a one-way cut takes the link
 * down on both sides. What is heard beside the answers proves only the peer's direction; it hurries the next ask.
 *
 * Names and defaults are knet's (corosync.conf(5): knet_ping_interval, knet_ping_timeout, knet_pong_count).
 */
import type { LinkState, LinkTimes } from './link-types.ts';

/** Weight of a new measurement in the smoothed round trip, as TCP has it (RFC 6298, section 2). */
const SMOOTHING = 1 / 8;
const WARM_UP = 8;
/** Milliseconds between asks of a peer that was just met: a ring should not wait for whole intervals at its start. */
const HURRY = 20;
/** A link that goes down sooner than this after it came up has relapsed. A steady spell of this length halves the wait. Milliseconds. */
const STEADY = 60_000;
/** How long a link that relapsed must answer before it is taken back, at first and at most. Milliseconds. */
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 32_000;
/** After this long without an answer a link is asked only every so often. Milliseconds. */
const LONG_DOWN = 10_000;
const SLOW_INTERVAL = 1_000;
/** Asks whose answers are still waited for. */
const MOST_OPEN = 64;

export class LinkHealth {
  state: LinkState = 'untested';
  since: number;
  latencyUs: number | null = null;
  #measured = 0;
  failures = 0;
  /** When an answer came last; -Infinity before the first. */
  answeredAt = -Infinity;
  #times: LinkTimes;
  /** When they were sent, by id. */
  readonly #open = new Map<number, number>();
  #lastId = 0;
  /** Silence is counted from here: the last answer, or the start. */
  #silentFrom: number;
  #regularAt = -Infinity;
  #askedAt = -Infinity;
  #unanswered = false;
  #hurriedAt = Infinity;
  /** Answers of a link that is not up, without a silence of the ping timeout between them, and since when. */
  #row = 0;
  #rowFrom = 0;
  /** Milliseconds for which a link that relapsed must answer before it is taken back. */
  #wait = 0;
  #waitBefore = 0;

  constructor(times: LinkTimes, now: number) {
    this.#times = times;
    this.since = now;
    this.#silentFrom = now;
  }

  retime(times: LinkTimes): void {
    this.#times = times;
  }

  /** Answers now and again, though it may not count as up yet. */
  get answers(): boolean {
    return this.state === 'up' || this.#row > 0;
  }

  /**
   * Takes note of an ask that is about to be sent, and names it. `padded`: it measures the path, and its loss says
   * nothing of the link. `both`: a padded one in place of a small one.
   */
  asked(now: number, kind: 'small' | 'padded' | 'both'): number {
    this.#lastId = (this.#lastId + 1) >>> 0;
    this.#open.set(this.#lastId, now);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MOST_OPEN && oldest !== undefined) this.#open.delete(oldest);
    if (kind === 'padded') return this.#lastId;
    if (now >= this.#regularDue() - this.#slack()) this.#regularAt = now;
    this.#askedAt = now;
    this.#unanswered = true;
    this.#hurriedAt = Infinity;
    return this.#lastId;
  }

  /** An answer has come. Returns whether it was one to an ask of ours, and whether it takes the link up. */
  answered(id: number, sentAt: number, now: number): { readonly ours: boolean; readonly up: boolean } {
    // The time is compared too: an answer meant for this process before a restart may carry the same id.
    if (this.#open.get(id) !== sentAt) return { ours: false, up: false };
    this.#open.delete(id);
    this.#measure(Math.max(1, Math.round((now - sentAt) * 1000)));
    this.answeredAt = now;
    this.#silentFrom = now;
    this.#unanswered = false;
    if (this.state === 'up') return { ours: true, up: false };
    if (this.#row === 0) this.#rowFrom = now;
    this.#row += 1;
    if (this.#row < this.#times.pongCount || now - this.#rowFrom < this.#wait) {
      if (this.#wait === 0) this.#hurriedAt = now + HURRY;
      return { ours: true, up: false };
    }
    this.state = 'up';
    this.since = now;
    return { ours: true, up: true };
  }

  /** Something came from the peer over this link: if it is not up it may be by now. Returns whether an ask is due sooner. */
  heard(now: number): boolean {
    if (this.state === 'up' || this.#hurriedAt <= now) return false;
    const at = Math.max(now, this.#askedAt + this.#pause());
    if (at >= this.#hurriedAt || at >= this.#regularDue()) return false;
    this.#hurriedAt = at;
    return true;
  }

  /** This process itself stood still for so long: it could not have seen an answer. Milliseconds. */
  excuse(late: number, now: number): void {
    this.#silentFrom = Math.min(now, this.#silentFrom + late);
  }

  /** When the link goes down unless an answer comes. */
  downAt(): number {
    return this.state === 'down' ? Infinity : this.#silentFrom + this.#times.pingTimeout;
  }

  /** Takes the link down. Returns the reason in words. */
  goDown(now: number): string {
    const silence = `no answer for ${Math.round(now - this.#silentFrom)} ms`;
    if (this.state === 'up') {
      this.failures += 1;
      this.#waitBefore = this.#wait;
      this.#wait = waitAfter(this.#wait, now - this.since);
    }
    const reason = this.state === 'up' ? silence : 'it has not answered yet';
    this.state = 'down';
    this.since = now;
    this.#row = 0;
    this.#hurriedAt = Infinity;
    return this.#wait === 0 ? reason : `${reason}; it is taken back when it has answered for ${this.#wait / 1000} s`;
  }

  /** All links to the peer fell silent at once: that was the peer, and no relapse of this link. */
  forgive(now: number): void {
    if (this.state === 'down' && now - this.since < this.#times.pingTimeout) this.#wait = this.#waitBefore;
  }

  /** When a link that is not up, but answered, is silent again; then endRow is to be called. */
  rowEndsAt(): number {
    return this.state === 'down' && this.#row > 0 ? this.answeredAt + this.#times.pingTimeout : Infinity;
  }

  endRow(): void {
    this.#row = 0;
  }

  /** When the next ask is due. */
  due(): number {
    const again = this.answers && this.#unanswered ? this.#askedAt + this.#pause() : Infinity;
    return Math.min(this.#regularDue(), this.#hurriedAt, again);
  }

  /** A regular ask may come a little early, so that all peers are asked at one wakeup of the process. */
  isDue(now: number): boolean {
    return this.due() <= now || this.#regularDue() - this.#slack() <= now;
  }

  /** A process that has just started answers late: of the first answers the quickest tells most of the way. */
  #measure(took: number): void {
    const before = this.latencyUs ?? took;
    this.#measured += 1;
    this.latencyUs =
      this.#measured <= WARM_UP ? Math.min(before, took) : Math.round(before + (took - before) * SMOOTHING);
  }

  #regularDue(): number {
    const { pingInterval } = this.#times;
    const resting = this.state === 'down' && this.#row === 0 && this.#askedAt - this.since > LONG_DOWN;
    return this.#regularAt + (resting ? Math.max(pingInterval, SLOW_INTERVAL) : pingInterval);
  }

  #slack(): number {
    return this.#times.pingInterval / 8;
  }

  /** Before asking again: one packet lost must not look like a link lost, nor a long way like a loss. */
  #pause(): number {
    return Math.max(this.#times.pingInterval / 8, ((this.latencyUs ?? 0) * 2) / 1000);
  }
}

/** The next wait of a link that was up for so long: doubled by a relapse, halved by each steady spell. Milliseconds. */
function waitAfter(wait: number, upFor: number): number {
  if (upFor < STEADY) return Math.min(LONGEST_WAIT, Math.max(FIRST_WAIT, wait * 2));
  const decayed = wait / 2 ** Math.floor(upFor / STEADY);
  return decayed < FIRST_WAIT ? 0 : decayed;
}
