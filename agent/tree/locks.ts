/**
 * Cluster-wide locks: a directory priv/lock/NAME. Its owner renews it with utime; a contender asks for
 * it with utime(0). It goes 120 s after the last renewal as the asking node's own clock saw it; one that
 * nobody asks for stays.
 */
import type { Tree } from './tree.ts';
import { sameVersion, type Operation, type Version } from './types.ts';

export const LOCK_LIFETIME_MS = 120_000;

/** Is this the path (its components) of a lock? */
export const isLockPath = (names: readonly string[]): boolean =>
  names.length === 3 && names[0] === 'priv' && names[1] === 'lock';

interface Seen {
  readonly version: Version;
  /** When this node saw it made or renewed. */
  readonly since: number;
  /** Somebody on this node waits for it. */
  asked: boolean;
}

/** Remembers when each lock was last renewed, and who of them is asked for. One per node; times in milliseconds. */
export class LockWatch {
  private readonly seen = new Map<string, Seen>();

  /** Paths were created, changed or removed; `tree` is as it is afterwards. */
  note(tree: Tree, paths: readonly string[], now: number): void {
    for (const path of paths) {
      if (!path.startsWith('priv/lock/') || !isLockPath(path.split('/'))) continue;
      const found = tree.find(path);
      if (found.ok) this.look(path, found.value.version, now);
      else this.seen.delete(path);
    }
  }

  /** The tree is another one. Locks that are in it as before keep their time. */
  noteAll(tree: Tree, now: number): void {
    const folder = tree.find('priv/lock');
    const names = folder.ok ? tree.list(folder.value.inode) : [];
    const present = new Set(names.map(({ name }) => `priv/lock/${name}`));
    for (const path of this.seen.keys()) if (!present.has(path)) this.seen.delete(path);
    for (const { name, version } of names) this.look(`priv/lock/${name}`, version, now);
  }

  /**
   * A contender asks for the lock at `path`, whose entry has `version`. Gives the operation that
   * removes the lock when its time is over, otherwise null: then the answer is EACCES, and the lock is
   * `due` later. `now` in milliseconds of a clock that never goes back.
   */
  ask(path: string, version: Version, now: number): Operation | null {
    const lock = this.look(path, version, now);
    lock.asked = true;
    return now - lock.since < LOCK_LIFETIME_MS ? null : { kind: 'expireLock', path, version };
  }

  /** Operations that remove locks which were asked for and not renewed in time. Each is given once. */
  due(now: number): Operation[] {
    const operations: Operation[] = [];
    for (const [path, lock] of this.seen) {
      if (!lock.asked || now - lock.since < LOCK_LIFETIME_MS) continue;
      lock.asked = false;
      operations.push({ kind: 'expireLock', path, version: lock.version });
    }
    return operations;
  }

  /** When something will be due; Infinity when nothing will. */
  deadline(): number {
    let earliest = Infinity;
    for (const { asked, since } of this.seen.values())
      if (asked) earliest = Math.min(earliest, since + LOCK_LIFETIME_MS);
    return earliest;
  }

  private look(path: string, version: Version, now: number): Seen {
    const before = this.seen.get(path);
    if (before !== undefined && sameVersion(before.version, version)) return before;
    // Renewed: whoever still wants it asks again.
    const lock: Seen = { version, since: now, asked: false };
    this.seen.set(path, lock);
    return lock;
  }
}
