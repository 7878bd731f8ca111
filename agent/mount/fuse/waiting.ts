/**
 * Processes that wait for an operation, in memory that the serving, the replicating and the keeping thread
 * share. Whoever takes an entry out answers it, so that each is answered once: by the replicating thread when
 * the operation is done, or by the keeping thread when its time is over.
 */
import type { ErrnoName } from './protocol.ts';

/** More than this many processes waiting at once get EAGAIN. */
const PLACES = 4096;

/**
 * How long a process waits for an operation, in milliseconds. The replica itself gives up after 30 s where it
 * knows that nothing was done (EACCES); after this the outcome is not known (EIO).
 */
export const OPERATION_MS = 40_000;
/**
 * How long after a signal. Most signals are no wish to give up, and an operation takes milliseconds; a program
 * told EINTR for an append that was done would append again.
 */
export const INTERRUPTED_MS = 1_000;

/** Milliseconds of a clock that all threads share and that never goes back. */
export const sharedNow = (): number => Number(process.hrtime.bigint() / 1_000_000n);

export interface Overdue {
  readonly unique: bigint;
  readonly errno: ErrnoName;
}

export class Waiting {
  readonly memory: SharedArrayBuffer;
  /** FUSE's number of the request; 0 where nobody waits. */
  readonly #unique: BigInt64Array;
  readonly #deadline: BigInt64Array;
  readonly #interrupted: Int32Array;
  /** How many messages of the replicating thread the serving thread has taken. */
  readonly #taken: Int32Array;
  #next = 0;

  /** With the memory of another thread's, or of its own. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(PLACES * 20 + 8)) {
    this.memory = memory;
    this.#unique = new BigInt64Array(memory, 0, PLACES);
    this.#deadline = new BigInt64Array(memory, PLACES * 8, PLACES);
    this.#interrupted = new Int32Array(memory, PLACES * 16, PLACES);
    this.#taken = new Int32Array(memory, PLACES * 20, 1);
  }

  /** The place of a request that waits from now on, or null when all are taken. Serving thread only. */
  begin(unique: bigint, now: number): number | null {
    for (let tried = 0; tried < PLACES; tried += 1) {
      const place = this.#next;
      this.#next = (this.#next + 1) % PLACES;
      if (Atomics.load(this.#unique, place) !== 0n) continue;
      this.#interrupted[place] = 0;
      Atomics.store(this.#deadline, place, BigInt(now + OPERATION_MS));
      Atomics.store(this.#unique, place, unique);
      return place;
    }
    return null;
  }

  /** True when the caller is the one to answer. */
  claim(place: number, unique: bigint): boolean {
    return Atomics.compareExchange(this.#unique, place, unique, 0n) === unique;
  }

  /** The caller got a signal: it waits a little longer and no more. */
  interrupt(unique: bigint, now: number): void {
    const place = this.#unique.indexOf(unique);
    if (place < 0) return;
    this.#interrupted[place] = 1;
    const due = BigInt(now + INTERRUPTED_MS);
    if (due < Atomics.load(this.#deadline, place)) Atomics.store(this.#deadline, place, due);
  }

  /** Takes out those whose time is over. */
  overdue(now: number): Overdue[] {
    const found: Overdue[] = [];
    for (let place = 0; place < PLACES; place += 1) {
      const unique = Atomics.load(this.#unique, place);
      if (unique === 0n || Atomics.load(this.#deadline, place) > BigInt(now) || !this.claim(place, unique)) continue;
      found.push({ unique, errno: this.#interrupted[place] === 1 ? 'EINTR' : 'EIO' });
    }
    return found;
  }

  isEmpty(): boolean {
    return this.#unique.every((unique) => unique === 0n);
  }

  noteTaken(): void {
    Atomics.add(this.#taken, 0, 1);
  }
  /** Wraps at 32 bits. */
  get taken(): number {
    return Atomics.load(this.#taken, 0);
  }
}
