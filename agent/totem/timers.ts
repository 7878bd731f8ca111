/** Named deadlines, without a clock: the owner says what time it is. */
export class Timers<Name extends string> {
  private readonly deadlines = new Map<Name, number>();
  /** The least of `deadlines`; asked for after every packet, so that it is not searched for each time. */
  private first = Infinity;
  private firstIsKnown = true;

  set(name: Name, at: number): void {
    this.forget(name);
    this.deadlines.set(name, at);
    if (at < this.first) this.first = at;
  }
  stop(name: Name): void {
    if (this.deadlines.size > 0 && this.deadlines.has(name)) {
      this.forget(name);
      this.deadlines.delete(name);
    }
  }
  clear(): void {
    this.deadlines.clear();
    this.first = Infinity;
    this.firstIsKnown = true;
  }
  isDue(name: Name, now: number): boolean {
    return (this.deadlines.get(name) ?? Infinity) <= now;
  }
  /** Infinity when none is set. */
  earliest(): number {
    if (!this.firstIsKnown) {
      this.first = Infinity;
      for (const at of this.deadlines.values()) if (at < this.first) this.first = at;
      this.firstIsKnown = true;
    }
    return this.first;
  }
  /** Gives out, once, the earliest whose time has come; null when there is none. */
  take(now: number): Name | null {
    if (this.earliest() > now) return null;
    for (const [name, at] of this.deadlines) {
      if (at > this.first) continue;
      this.stop(name);
      return name;
    }
    return null;
  }

  private forget(name: Name): void {
    if (this.deadlines.get(name) === this.first) this.firstIsKnown = false;
  }
}
