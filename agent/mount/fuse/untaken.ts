/** What the serving thread was told and has not taken: it takes when somebody uses the mount, or when it is woken. */

/** It is woken for every so many messages, */
export const MOST_UNTAKEN = 256;
/** and for every so many bytes of file data in them: few messages of large files take as much memory. */
export const MOST_UNTAKEN_BYTES = 4 * 1024 * 1024;

export class Untaken {
  readonly #taken: () => number;
  #told = 0;
  /** Since all was taken. */
  #bytes = 0;

  /** `taken`: how many messages the thread has taken; wraps at 32 bits (waiting.ts). */
  constructor(taken: () => number) {
    this.#taken = taken;
  }

  /**
   * To be called before a message with so many bytes of file data is told, for it may be taken at once. True when the
   * thread is to be woken after.
   */
  telling(bytes: number): boolean {
    const before = (this.#told - this.#taken()) | 0;
    if (before === 0) this.#bytes = 0;
    const amounts = Math.floor(this.#bytes / MOST_UNTAKEN_BYTES);
    this.#told = (this.#told + 1) | 0;
    this.#bytes += bytes;
    return (before + 1) % MOST_UNTAKEN === 0 || Math.floor(this.#bytes / MOST_UNTAKEN_BYTES) > amounts;
  }
}
