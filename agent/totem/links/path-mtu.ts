/**
 * The largest IP packet that passes on one link to one peer, found by padded asks (after RFC 8899, packetization
 * layer path MTU discovery: probe, confirm, black hole). Sizes are bytes of the IP packet. Packets are sent with
 * DF, so that a router drops what is too large instead of cutting it up.
 */

/** Taken for granted until measured: the least that IPv6 allows (RFC 8200, section 5), and as good as all of IPv4. */
const BASE = 1280;
/** The least that every IPv4 host takes (RFC 791). */
const FLOOR = 576;
/** Sizes worth a try between them and the top: WireGuard, VXLAN, IP in IP, PPPoE, Ethernet, FDDI, jumbo frames, loopback. */
const STEPS = [1400, 1420, 1450, 1480, 1492, 1500, 4352, 9000, 16_384, 32_768];
/** Unanswered asks of one size before it counts as too large, and small ones answered meanwhile. */
const TRIES = 5;
const PROOFS = 2;
/** Milliseconds between them at least, between confirmations of the present size, and before larger ones are tried anew. */
const PAUSE = 60;
const CONFIRM = 1_000;
const RAISE = 30_000;

export class PathMtu {
  /** Confirmed; null before the first answer, and in a black hole. */
  good: number | null = null;
  readonly #top: number;
  /** Smallest size known not to pass. */
  #bad = Infinity;
  #trying: { readonly size: number; readonly firstAt: number; tries: number; proofs: number } | null = null;
  #dueAt = Infinity;
  #raiseAt = Infinity;

  /** `top`: the largest size to try. */
  constructor(top: number) {
    this.#top = top;
  }

  /** What may be sent: confirmed, or taken for granted. */
  get usable(): number {
    return this.good ?? Math.min(this.#top, this.#bad > BASE ? BASE : FLOOR);
  }

  /** Is a size being asked for whose answer has not come at once? Then small asks must go beside it. */
  get inDoubt(): boolean {
    return this.#trying !== null;
  }

  /** The link answers (again): its way may be another one than before. */
  begin(now: number): void {
    this.#bad = Infinity;
    this.#trying = null;
    this.#dueAt = now;
  }

  /** The link is down: sizes cannot be told from silence. */
  rest(): void {
    this.#trying = null;
    this.#dueAt = Infinity;
  }

  due(): number {
    return this.#dueAt;
  }

  /** The size to ask with now, or null. To be called when due. `roundTrip` in milliseconds. */
  next(now: number, roundTrip: number): number | null {
    if (this.#trying === null && now >= this.#raiseAt) {
      this.#bad = Infinity;
      this.#raiseAt = Infinity;
    }
    const size = this.#trying?.size ?? this.#candidate() ?? this.good;
    if (size === null) {
      this.#dueAt = now + RAISE;
      this.#raiseAt = now + RAISE;
      return null;
    }
    this.#trying ??= { size, firstAt: now, tries: 0, proofs: 0 };
    this.#trying.tries += 1;
    this.#dueAt = now + Math.max(PAUSE, 2 * roundTrip);
    return size;
  }

  /** A small ask was answered that was sent at `sentAt`. */
  proof(sentAt: number): void {
    if (this.#trying !== null && sentAt >= this.#trying.firstAt) this.#trying.proofs += 1;
  }

  /** To be called when due, before `next`: gives up on a size that was tried often enough. Returns whether it did. */
  settle(now: number): boolean {
    if (this.#trying === null || now < this.#dueAt) return false;
    if (this.#trying.tries < TRIES || this.#trying.proofs < PROOFS) return false;
    this.#fail(this.#trying.size, now);
    return true;
  }

  /** An ask of this size was answered. */
  answered(size: number, now: number): void {
    if (size > (this.good ?? 0)) this.good = size;
    if (size >= this.#bad) this.#bad = Infinity;
    if (this.#trying !== null && size >= this.#trying.size) this.#trying = null;
    if (this.#trying !== null) return;
    this.#dueAt = this.#candidate() === null ? now + CONFIRM : now;
  }

  /** The kernel knows that this size does not fit. */
  tooLarge(size: number, now: number): void {
    if (size <= FLOOR) return;
    this.#fail(size, now);
  }

  #fail(size: number, now: number): void {
    this.#bad = Math.min(this.#bad, size);
    if (this.good !== null && this.good >= this.#bad) this.good = null;
    this.#trying = null;
    this.#raiseAt = now + RAISE;
    this.#dueAt = now;
  }

  /** The next size that is not known either way, or null when all steps are known. */
  #candidate(): number | null {
    const { good } = this;
    if (good === null) {
      if (this.#bad === Infinity) return this.#top;
      // A black hole, or the first size failed: first what is taken for granted, then up from there.
      if (this.#bad > BASE) return Math.min(BASE, this.#top);
      return this.#bad > FLOOR ? FLOOR : null;
    }
    if (this.#bad === Infinity) return good < this.#top ? this.#top : null;
    // From below: a size that passes costs one round trip, one that does not costs all the tries.
    return STEPS.find((step) => step > good && step < this.#bad) ?? null;
  }
}
