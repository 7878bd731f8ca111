/** Named deadlines, without a clock: the owner says what time it is. */
export class Timers<Name extends string> {
  private readonly deadlines = new Map<Name, number>();

  set(name: Name, at: number): void {
    this.deadlines.set(name, at);
  }
  stop(name: Name): void {
    this.deadlines.delete(name);
  }
  clear(): void {
    this.deadlines.clear();
  }
  /** Infinity when none is set. */
  earliest(): number {
    let first = Infinity;
    for (const at of this.deadlines.values()) first = Math.min(first, at);
    return first;
  }
  /** Those whose time has come, earliest first; each is given out once and checked anew before it. */
  *due(now: number): Generator<Name> {
    for (;;) {
      let first: Name | null = null;
      for (const [name, at] of this.deadlines) {
        if (at <= now && (first === null || at < (this.deadlines.get(first) ?? Infinity))) first = name;
      }
      if (first === null) return;
      this.deadlines.delete(first);
      yield first;
    }
  }
}
