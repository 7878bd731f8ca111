/**
 * What a change that came from elsewhere looks like to a process that watches the directory or the file (inotify(7)).
 * The kernel tells watchers of what is done through the mount only; ../watchers/ has it done once more for them.
 */
import type { Tree } from '../../tree/tree.ts';
import { sameVersion, type TreeNode } from '../../tree/types.ts';
import type { ChangedNode } from './messages.ts';

/** Where a name is, or was: also when its directories have gone since. */
export interface Place {
  /** From the root on, each directory with the name in it that leads on; the last name is the entry's own. */
  readonly steps: readonly { readonly folder: number; readonly name: string }[];
}

/** An entry, also after it is gone. */
export interface Entry {
  readonly inode: number;
  readonly kind: TreeNode['kind'];
  readonly mtimeS: number;
}

export type RemoteEvent =
  | { readonly kind: 'modified' | 'attributes'; readonly entry: Entry; readonly at: Place }
  | { readonly kind: 'created' | 'removed'; readonly entry: Entry; readonly at: Place }
  | {
      readonly kind: 'moved';
      readonly entry: Entry;
      readonly at: Place;
      readonly to: Place;
      /** What was at `to` before. */
      readonly replaced: Entry | null;
    };

/** Inodes that somebody watches. */
export type Watched = 'all' | readonly number[];

/** More than this at once is not told: whoever watches has missed most of it anyhow. */
export const MOST_EVENTS = 1_000;

const entryOf = ({ inode, kind, mtimeS }: TreeNode): Entry => ({ inode, kind, mtimeS });

/** Null when a directory on the way is not in the tree. */
export function placeOf(tree: Tree, parent: number, name: string): Place | null {
  const steps = [{ folder: parent, name }];
  for (let at = tree.get(parent); ; at = tree.get(at.parent)) {
    if (at === undefined) return null;
    if (at.parent === 0) return { steps };
    steps.unshift({ folder: at.parent, name: at.name });
  }
}

/** The directory that the entry is in. */
export const folderOf = ({ steps }: Place): number => steps.at(-1)?.folder ?? 0;

/** What one change did. `tree` is the tree before it. */
export function eventsOf(tree: Tree, put: readonly ChangedNode[], removed: readonly number[]): RemoteEvent[] {
  const events: RemoteEvent[] = [];
  const gone = new Map<number, TreeNode>();
  for (const inode of removed) {
    const node = tree.get(inode);
    if (node !== undefined) gone.set(inode, node);
  }
  for (const { node, contents } of put) {
    const at = placeOf(tree, node.parent, node.name);
    if (at === null) continue;
    const before = tree.get(node.inode);
    const entry = entryOf(node);
    if (before === undefined) events.push({ kind: 'created', entry, at });
    else if (before.parent !== node.parent || before.name !== node.name) {
      const from = placeOf(tree, before.parent, before.name);
      const replaced = [...gone.values()].find(({ parent, name }) => parent === node.parent && name === node.name);
      if (replaced !== undefined) gone.delete(replaced.inode);
      if (from === null) continue;
      events.push({ kind: 'moved', entry, at: from, to: at, replaced: replaced ? entryOf(replaced) : null });
    } else if (contents && node.kind === 'file') events.push({ kind: 'modified', entry, at });
    // A directory whose time moved because of a name in it was not touched itself.
    else if (!contents && !sameVersion(before.version, node.version)) events.push({ kind: 'attributes', entry, at });
  }
  for (const node of gone.values()) {
    const at = placeOf(tree, node.parent, node.name);
    if (at !== null) events.push({ kind: 'removed', entry: entryOf(node), at });
  }
  return events;
}

/** What differs in what is watched, when the tree gives way to another one. */
export function differences(before: Tree, after: Tree, watched: Watched): RemoteEvent[] {
  const events: RemoteEvent[] = [];
  const seen = new Set<number>();
  const removed = (node: TreeNode): void => {
    const at = placeOf(before, node.parent, node.name);
    if (at !== null && !seen.has(node.inode)) events.push({ kind: 'removed', entry: entryOf(node), at });
    seen.add(node.inode);
  };
  const present = (node: TreeNode, old: TreeNode | undefined): void => {
    const at = placeOf(after, node.parent, node.name);
    if (at === null || seen.has(node.inode)) return;
    seen.add(node.inode);
    if (old === undefined) events.push({ kind: 'created', entry: entryOf(node), at });
    else if (node.kind === 'file' && !sameVersion(old.version, node.version))
      events.push({ kind: 'modified', entry: entryOf(node), at });
  };
  const sameEntry = (left: TreeNode | undefined, right: TreeNode | undefined): boolean =>
    left?.inode === right?.inode && left?.kind === right?.kind;
  const inodes = watched === 'all' ? [...before.all()].map(({ inode }) => inode) : watched;
  for (const inode of inodes) {
    if (events.length > MOST_EVENTS) break;
    for (const node of before.list(inode)) if (!sameEntry(node, after.child(inode, node.name))) removed(node);
    for (const node of after.list(inode)) {
      const old = before.child(inode, node.name);
      present(node, sameEntry(old, node) ? old : undefined);
    }
    const [old, now] = [before.get(inode), after.get(inode)];
    if (old === undefined) continue;
    if (now === undefined) removed(old);
    else if (now.kind === 'file' && now.kind === old.kind) present(now, old);
  }
  return events.slice(0, MOST_EVENTS);
}

/** What is watched, kept up between two looks at the watchers. */
export class WatchedInodes {
  #told: 'all' | Set<number> = new Set();
  /** Made in a watched directory, and the time from which on a watcher of it would have been seen. */
  readonly #young = new Map<number, number>();

  set(watched: Watched): void {
    this.#told = watched === 'all' ? 'all' : new Set(watched);
  }
  get isEmpty(): boolean {
    return this.#told !== 'all' && this.#told.size === 0;
  }
  get all(): Watched {
    return this.#told === 'all' ? 'all' : [...this.#told, ...this.#young.keys()];
  }

  /** Those of the events that somebody waits for. `now`: milliseconds of any clock. */
  concerned(events: readonly RemoteEvent[], now: number): RemoteEvent[] {
    for (const [inode, end] of this.#young) if (end < now) this.#young.delete(inode);
    return events.filter((event) => {
      const { kind, entry, at } = event;
      const places = kind === 'moved' ? [at, event.to] : [at];
      const concerns =
        this.#has(entry.inode) ||
        places.some((place) => this.#has(folderOf(place))) ||
        (kind === 'moved' && event.replaced !== null && this.#has(event.replaced.inode));
      // Whoever watches a tree watches a new directory as soon as it is told of it.
      if (concerns && kind === 'created') this.#young.set(entry.inode, now + YOUNG_MS);
      return concerns;
    });
  }

  #has(inode: number): boolean {
    return this.#told === 'all' || this.#told.has(inode) || this.#young.has(inode);
  }
}

/** Longer than the longest pause between two looks (../watchers/watched.ts). */
const YOUNG_MS = 15_000;
