/** The running pmxcfs over its control socket: connected anew after each loss, watched for changes. */
import type { FileSystemControl, FileSystemEvents, FileSystemStatus } from '../mount/control.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { TreePort } from './ports.ts';
import { connectSocket } from './socket-client.ts';
import type { SocketClient } from './socket-client.ts';

const RETRY_MS = 250;

export class TreeLink implements TreePort {
  readonly #path: string;
  #client: Promise<SocketClient<FileSystemControl>> | null = null;
  #watching: { events: FileSystemEvents; onLost: () => void; retry: NodeJS.Timeout | null } | null = null;

  constructor(layout: NodeLayout) {
    this.#path = layout.fileSystemSocket;
  }

  async status(): Promise<FileSystemStatus | null> {
    let client;
    try {
      client = await this.#connect();
    } catch {
      return null;
    }
    try {
      return await client.remote.status();
    } catch {
      return null;
    }
  }

  list: TreePort['list'] = async (path) => (await this.#remote()).list(path);
  stat: TreePort['stat'] = async (path) => (await this.#remote()).stat(path);
  read: TreePort['read'] = async (path) => (await this.#remote()).read(path);
  write: TreePort['write'] = async (path, base64) => (await this.#remote()).write(path, base64);
  rename: TreePort['rename'] = async (from, to) => (await this.#remote()).rename(from, to);
  remove: TreePort['remove'] = async (path) => (await this.#remote()).remove(path);
  makeDirectory: TreePort['makeDirectory'] = async (path) => (await this.#remote()).makeDirectory(path);

  /** From now on, over every reconnection, `events` are called, and `onLost` when pmxcfs goes away. */
  watch(events: FileSystemEvents, onLost: () => void): void {
    this.#watching = { events, onLost, retry: null };
    void this.#keepWatching();
  }

  close(): void {
    clearTimeout(this.#watching?.retry ?? undefined);
    this.#watching = null;
    void this.#client?.then(
      (client) => client.close(),
      () => undefined,
    );
    this.#client = null;
  }

  async #remote(): Promise<SocketClient<FileSystemControl>['remote']> {
    try {
      return (await this.#connect()).remote;
    } catch {
      throw new Error('pmxcfs does not run on this node');
    }
  }

  #connect(): Promise<SocketClient<FileSystemControl>> {
    this.#client ??= this.#open();
    return this.#client;
  }

  async #open(): Promise<SocketClient<FileSystemControl>> {
    const local: FileSystemEvents = {
      changed: (path) => this.#watching?.events.changed(path),
      statusChanged: (status) => this.#watching?.events.statusChanged(status),
    };
    try {
      const client = await connectSocket<FileSystemControl>(this.#path, local);
      void client.closed.then(() => {
        this.#client = null;
        if (this.#watching === null) return;
        this.#watching.onLost();
        this.#retry();
      });
      if (this.#watching !== null) await client.remote.watch();
      return client;
    } catch (error) {
      this.#client = null;
      throw error;
    }
  }

  async #keepWatching(): Promise<void> {
    try {
      const client = await this.#connect();
      // Connected before the watch was asked for: ask now. Asking twice is harmless.
      await client.remote.watch();
      const status = await client.remote.status();
      this.#watching?.events.statusChanged(status);
    } catch {
      this.#retry();
    }
  }

  #retry(): void {
    if (this.#watching === null || this.#watching.retry !== null) return;
    this.#watching.retry = setTimeout(() => {
      if (this.#watching !== null) this.#watching.retry = null;
      void this.#keepWatching();
    }, RETRY_MS);
  }
}
