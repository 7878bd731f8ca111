/** Operations submitted on this node that are not answered yet, in the order they came. */
import type { Errno, Version } from '../tree/types.ts';

export type Progress =
  /** Not multicast: certainly not done. */
  | { readonly kind: 'held' }
  /** Multicast and not delivered. */
  | { readonly kind: 'sent' }
  /** Delivered: done, or failed with its errno. `needs` must be stored by a majority to say so. */
  | { readonly kind: 'delivered'; readonly errno: Errno | null; readonly needs: Version }
  /** The view ended: members we are parted from may have done it, or what was done here may be lost. */
  | { readonly kind: 'unknown' };

export interface PendingOperation {
  readonly id: number;
  readonly counter: number;
  /** The operation, encoded. */
  readonly bytes: Uint8Array;
  readonly mtimeS: number;
  progress: Progress;
  /** Whoever asked has gone. */
  withdrawn: boolean;
  /** When to give up waiting, in the unit of `now`; Infinity while it moves on. */
  deadline: number;
}

export class PendingOperations {
  private readonly byCounter = new Map<number, PendingOperation>();
  private nextCounter = 1;

  add(id: number, bytes: Uint8Array, mtimeS: number, deadline: number): PendingOperation {
    const counter = this.nextCounter++;
    const progress = { kind: 'held' } as const;
    const entry: PendingOperation = { id, counter, bytes, mtimeS, progress, withdrawn: false, deadline };
    this.byCounter.set(counter, entry);
    return entry;
  }
  get(counter: number): PendingOperation | undefined {
    return this.byCounter.get(counter);
  }
  withId(id: number): PendingOperation | undefined {
    return this.all().find((entry) => entry.id === id);
  }
  remove(entry: PendingOperation): void {
    this.byCounter.delete(entry.counter);
  }
  /** In order of submission, without a copy. */
  inOrder(): Iterable<PendingOperation> {
    return this.byCounter.values();
  }
  /** In order of submission; removing while going through them is fine. */
  all(): PendingOperation[] {
    return [...this.byCounter.values()];
  }
  /** The oldest one not answered: nobody will ask about any before it. */
  get floor(): number {
    // Maps keep the order of insertion, and counters grow.
    for (const counter of this.byCounter.keys()) return counter;
    return this.nextCounter;
  }
  held(): PendingOperation[] {
    return this.all().filter((entry) => entry.progress.kind === 'held');
  }

  /** The view ended: what was sent in it may have been done elsewhere, or be lost here. */
  loseTrack(deadline: number): void {
    for (const entry of this.byCounter.values()) {
      if (entry.progress.kind === 'held') continue;
      entry.progress = { kind: 'unknown' };
      entry.deadline = Math.min(entry.deadline, deadline);
    }
  }
  waitUntil(deadline: number): void {
    for (const entry of this.byCounter.values()) entry.deadline = deadline;
  }
  waitAtMostUntil(deadline: number): void {
    for (const entry of this.byCounter.values()) entry.deadline = Math.min(entry.deadline, deadline);
  }
  due(now: number): PendingOperation[] {
    return this.all().filter((entry) => entry.deadline <= now);
  }
  deadline(): number {
    let earliest = Infinity;
    for (const entry of this.byCounter.values()) earliest = Math.min(earliest, entry.deadline);
    return earliest;
  }
  /** Delivered ones whose outcome rests on nothing newer than `version`, in its epoch. */
  restingOn(version: Version): PendingOperation[] {
    return this.all().filter(
      ({ progress }) =>
        progress.kind === 'delivered' &&
        progress.needs.epoch === version.epoch &&
        progress.needs.index <= version.index,
    );
  }
}
