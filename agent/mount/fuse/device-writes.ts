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
  /** By what they are about, so that two of one kind are one. */
  readonly #queue = new Map<string, Uint8Array>();
  #busy = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  add(key: string, bytes: Uint8Array): void {
    this.#queue.set(key, bytes);
    this.#go();
  }

  #go(): void {
    for (const [key, bytes] of this.#queue) {
      // The pool of threads that writes has four, and others need it too.
      if (this.#busy >= 2) return;
      this.#queue.delete(key);
      this.#busy += 1;
      write(this.#fd, bytes, () => {
        this.#busy -= 1;
        this.#go();
      });
    }
  }
}
