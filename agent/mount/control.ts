/** What a running pmxcfs answers on its control socket (birpc over JSON lines). Types only. */

/** `path` is relative to the mount, without a leading slash; '' is the root. */
export interface TreeEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'link';
  readonly size: number;
  /** Milliseconds since 1970; whole seconds. */
  readonly mtimeMs: number;
  /** Permission bits, for instance 0o640. */
  readonly mode: number;
  /** Where a link leads; absent otherwise. */
  readonly target?: string;
}

export type Writability =
  | { readonly kind: 'writable' }
  /** `reason` is one plain sentence, ready for a person. */
  | { readonly kind: 'read-only'; readonly reason: string };

export interface FileSystemStatus {
  /** `local`: this node belongs to no cluster. */
  readonly mode: 'local' | 'cluster';
  readonly pid: number;
  readonly mount:
    { readonly kind: 'mounted'; readonly at: string } | { readonly kind: 'none'; readonly reason: string };
  readonly writability: Writability;
  /** Has this replica the state of the quorate lineage? */
  readonly synced: boolean;
  /** Position in the replicated history. */
  readonly version: { readonly epoch: number; readonly index: number };
  readonly entries: number;
  readonly bytes: number;
  readonly limits: { readonly entries: number; readonly bytes: number };
  /** The last change of corosync.conf that this node refused, since it was started. */
  readonly confRefused?: { readonly reason: string; readonly timeMs: number };
}

/** A failed call rejects with an Error whose message starts with the errno: `EACCES: no quorum`. */
export interface FileSystemControl {
  status(): FileSystemStatus;
  list(path: string): TreeEntry[];
  stat(path: string): TreeEntry;
  /** Contents in base64. */
  read(path: string): string;
  /** Replaces (or creates) the file whole; returns when a majority has it. Contents in base64. */
  write(path: string, base64: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  /** From now on `changed` and `status` are called on the other side. */
  watch(): void;
}

export interface FileSystemEvents {
  /** A path was created, changed or removed by any node. */
  changed(path: string): void;
  statusChanged(status: FileSystemStatus): void;
}
