/**
 * How often an answer is given that costs something. A span of time has a few places; which one a question falls into
 * is shuffled anew with every span, so that somebody who repeats an old question without end takes the place of a
 * genuine one now and then, but not again and again. Memory: two numbers.
 */
const SPAN_MS = 50;
const PLACES = 16;

export class Budget {
  private span = -1;
  private taken = 0;

  /** True when the question may be answered now. `salt`: random, of this process. `now` in milliseconds. */
  take(question: number, salt: number, now: number): boolean {
    const span = Math.floor(now / SPAN_MS);
    if (span !== this.span) {
      this.span = span;
      this.taken = 0;
    }
    const place = 1 << (mixed(question ^ Math.imul(span ^ salt, 0x9e3779b1)) % PLACES);
    if ((this.taken & place) !== 0) return false;
    this.taken |= place;
    return true;
  }
}

/** Scatters the bits of a number (the finalizer of MurmurHash3, public domain). */
function mixed(value: number): number {
  const one = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  const two = Math.imul(one ^ (one >>> 13), 0xc2b2ae35);
  return (two ^ (two >>> 16)) >>> 0;
}
