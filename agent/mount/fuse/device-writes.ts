/** Writes to /dev/fuse. */
import { write, writeSync } from 'node:fs';

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** The caller may have been answered, or be gone (ENOENT): then nobody wants this answer. */
export function reply(fd: number, bytes: Uint8Array): void {
  try {
    writeSync(fd, bytes);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'ENOENT' && code !== 'ENODEV') throw error;
  }
}

/** Tells the kernel at once. What it does not know it need not forget (ENOENT). Gives false where it knows no such word. */
export function notifyNow(fd: number, bytes: Uint8Array): boolean {
  try {
    writeSync(fd, bytes);
    return true;
  } catch (error) {
    return codeOf(error) !== 'EINVAL';
  }
}

/**
 * Tells the kernel in the background, in the order asked for, a few at a time: each may wait for a lock that a
 * process holds until it is answered from here.
 */
export class BackgroundNotices {
  readonly #fd: number;
  /** By what they are about, so that two of one kind are one; each with its number. */
  readonly #queue = new Map<string, { readonly bytes: Uint8Array; readonly number: number }>();
  readonly #underWay = new Set<number>();
  #last = 0;
  #waiting: { readonly number: number; readonly then: () => void }[] = [];

  constructor(fd: number) {
    this.#fd = fd;
  }

  add(key: string, bytes: Uint8Array): void {
    const number = this.#queue.get(key)?.number ?? (this.#last += 1);
    this.#queue.set(key, { bytes, number });
    this.#go();
  }

  /** Calls `then` when everything added by now has been told. */
  whenTold(then: () => void): void {
    if (this.#oldest() > this.#last) then();
    else this.#waiting.push({ number: this.#last, then });
  }

  #go(): void {
    for (const [key, { bytes, number }] of this.#queue) {
      // The pool of threads that writes has four, and others need it too.
      if (this.#underWay.size >= 2) return;
      this.#queue.delete(key);
      this.#underWay.add(number);
      write(this.#fd, bytes, () => {
        this.#underWay.delete(number);
        this.#told();
        this.#go();
      });
    }
  }

  /** The lowest number that is not told yet. */
  #oldest(): number {
    // A map keeps the order of first insertion, and so of the numbers.
    for (const { number } of this.#queue.values()) return Math.min(number, ...this.#underWay);
    return Math.min(this.#last + 1, ...this.#underWay);
  }

  #told(): void {
    const oldest = this.#oldest();
    const due = this.#waiting.filter(({ number }) => number < oldest);
    this.#waiting = this.#waiting.filter(({ number }) => number >= oldest);
    for (const { then } of due) then();
  }
}
