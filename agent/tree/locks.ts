/**
 * Cluster-wide locks: a directory priv/lock/NAME. Its owner renews it with utime; a contender asks for
 * it with utime(0). It goes 120 s after the last renewal as the asking node's own clock saw it.
 */
import { sameVersion, type Operation, type Version } from './types.ts';

export const LOCK_LIFETIME_MS = 120_000;

/** Is this the path (its components) of a lock? */
export const isLockPath = (names: readonly string[]): boolean =>
  names.length === 3 && names[0] === 'priv' && names[1] === 'lock';

/** Remembers since when each contended lock has not been renewed. One per node. */
export class LockWatch {
  private readonly seen = new Map<string, { readonly version: Version; readonly since: number }>();

  /**
   * A contender asks for the lock at `path`, whose entry has `version`. Gives the operation that
   * removes the lock once its time is over, otherwise null: then the answer is EACCES. `now` in
   * milliseconds of a clock that never goes back.
   */
  ask(path: string, version: Version, now: number): Operation | null {
    const before = this.seen.get(path);
    if (before === undefined || !sameVersion(before.version, version)) {
      this.forget(now);
      this.seen.set(path, { version, since: now });
      return null;
    }
    if (now - before.since < LOCK_LIFETIME_MS) return null;
    return { kind: 'expireLock', path, version };
  }

  /** Locks nobody asked for in a long time need not be remembered. */
  private forget(now: number): void {
    if (this.seen.size < 1024) return;
    for (const [path, { since }] of this.seen) if (now - since > 2 * LOCK_LIFETIME_MS) this.seen.delete(path);
  }
}
