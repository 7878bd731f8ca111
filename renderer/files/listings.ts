/** The directories of /etc/pve as far as they were opened, read through one host and kept current. */
import { computed, ref, shallowRef, watch } from 'vue';
import type { ComputedRef, Ref } from 'vue';
import type { TreeEntry } from '../../electron/host/api.ts';
import { asError, host } from '../connection/host.ts';

/** A type, not an interface: the tree takes records. */
export type FileNode = {
  /** Relative to /etc/pve. */
  readonly path: string;
  readonly entry: TreeEntry;
  /** Undefined for what is no directory. */
  readonly children: FileNode[] | undefined;
};

type Listing =
  | { readonly kind: 'loading' }
  | { readonly kind: 'there'; readonly entries: readonly TreeEntry[] }
  | { readonly kind: 'failed'; readonly reason: string };

export interface Listings {
  readonly roots: ComputedRef<readonly FileNode[]>;
  readonly expanded: Ref<string[]>;
  readonly loading: ComputedRef<boolean>;
  /** Why the root could not be read; null when it could. */
  readonly failure: ComputedRef<string | null>;
  find(path: string): FileNode | null;
  /** Opens every directory on the way to a path. */
  reveal(path: string): void;
  /** A path changed on some node. */
  changed(path: string): void;
  reload(): void;
}

/** Changes that come within this time cause one reading, in milliseconds. */
const GATHER_MS = 150;

export function useListings(hostId: Readonly<Ref<string | null>>): Listings {
  const listings = shallowRef<ReadonlyMap<string, Listing>>(new Map());
  const expanded = ref<string[]>([]);
  const pending = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  function put(path: string, listing: Listing): void {
    listings.value = new Map(listings.value).set(path, listing);
  }

  async function load(path: string): Promise<void> {
    const from = hostId.value;
    if (from === null) return;
    if (listings.value.get(path)?.kind !== 'there') put(path, { kind: 'loading' });
    try {
      const entries = await host.listFiles(from, path);
      if (hostId.value === from) put(path, { kind: 'there', entries: [...entries].sort(inOrder) });
    } catch (error) {
      if (hostId.value === from) put(path, { kind: 'failed', reason: asError(error).message });
    }
  }

  function nodesOf(path: string): FileNode[] {
    const listing = listings.value.get(path);
    if (listing?.kind !== 'there') return [];
    return listing.entries.map((entry) => {
      const own = path === '' ? entry.name : `${path}/${entry.name}`;
      return { path: own, entry, children: entry.kind === 'directory' ? nodesOf(own) : undefined };
    });
  }
  const roots = computed(() => nodesOf(''));

  watch(
    hostId,
    () => {
      listings.value = new Map();
      void load('');
      for (const path of expanded.value) void load(path);
    },
    { immediate: true },
  );
  watch(expanded, (paths) => {
    for (const path of paths) if (!listings.value.has(path)) void load(path);
  });

  function find(path: string): FileNode | null {
    let found: FileNode | null = null;
    let level: readonly FileNode[] = roots.value;
    for (const part of path.split('/')) {
      found = level.find(({ entry }) => entry.name === part) ?? null;
      if (found === null) return null;
      level = found.children ?? [];
    }
    return found;
  }

  function reveal(path: string): void {
    const parts = path.split('/').slice(0, -1);
    const above = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    const missing = above.filter((one) => !expanded.value.includes(one));
    if (missing.length > 0) expanded.value = [...expanded.value, ...missing];
  }

  function changed(path: string): void {
    const parent = path.split('/').slice(0, -1).join('/');
    for (const one of [parent, path]) if (listings.value.has(one)) pending.add(one);
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const one of pending) void load(one);
      pending.clear();
    }, GATHER_MS);
  }

  function reload(): void {
    for (const path of listings.value.keys()) void load(path);
    if (!listings.value.has('')) void load('');
  }

  const root = computed(() => listings.value.get(''));
  return {
    roots,
    expanded,
    loading: computed(() => root.value === undefined || root.value.kind === 'loading'),
    failure: computed(() => (root.value?.kind === 'failed' ? root.value.reason : null)),
    find,
    reveal,
    changed,
    reload,
  };
}

/** Directories first, then by name; a name with a dot in front after the others. */
function inOrder(a: TreeEntry, b: TreeEntry): number {
  const rank = ({ kind, name }: TreeEntry): number => (kind === 'directory' ? 0 : 1) + (name.startsWith('.') ? 2 : 0);
  return rank(a) - rank(b) || a.name.localeCompare(b.name, 'en', { numeric: true });
}
