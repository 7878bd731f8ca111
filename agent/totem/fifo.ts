/** First in, first out, for queues of any length: taking the first one costs the same however many wait. */
export class Fifo<T> {
  private items: T[] = [];
  private first = 0;

  get length(): number {
    return this.items.length - this.first;
  }

  push(item: T): void {
    this.items.push(item);
  }

  peek(): T | undefined {
    return this.items[this.first];
  }

  shift(): T | undefined {
    const item = this.items[this.first];
    if (item === undefined) return undefined;
    this.first += 1;
    // What has left is dropped when it is half of all: each item is moved once at most, on average.
    if (this.first >= 1024 && this.first * 2 >= this.items.length) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
    return item;
  }

  /** All that wait, in order; none waits any more. */
  take(): T[] {
    const all = this.items.slice(this.first);
    this.items = [];
    this.first = 0;
    return all;
  }
}
