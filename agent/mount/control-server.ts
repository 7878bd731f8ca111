/** The control socket of pmxcfs: the tree for processes that are not behind the kernel, and its status. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createBirpc } from 'birpc';
import { jsonLines } from '../json-lines.ts';
import { followLinks, list, present, type Appearance } from '../tree/presentation.ts';
import type { Tree } from '../tree/tree.ts';
import type { Errno, Operation } from '../tree/types.ts';
import type { VirtualFile } from '../tree/virtual.ts';
import type { FileSystemControl, FileSystemEvents, FileSystemStatus, TreeEntry } from './control.ts';

/** How long a change may wait for others before watchers are told. Milliseconds. */
const TELL_MS = 100;

export interface ControlPort {
  readonly hostname: string;
  tree(): Tree;
  status(): FileSystemStatus;
  /** Contents of a virtual file; null when it does not exist here. */
  virtual(name: VirtualFile): Uint8Array | null;
  submit(operation: Operation, done: (errno: Errno | null) => void): void;
}

interface Watcher {
  readonly socket: Socket;
  readonly events: FileSystemEvents;
}

export class ControlServer {
  readonly #port: ControlPort;
  readonly #path: string;
  readonly #clients = new Set<Socket>();
  readonly #watchers = new Set<Watcher>();
  /** Paths that watchers are to be told of. */
  readonly #news = new Set<string>();
  #telling: NodeJS.Timeout | null = null;
  readonly #server: Server;

  constructor(path: string, port: ControlPort) {
    this.#path = path;
    this.#port = port;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  async listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true });
    // The store's lock was taken before: nobody else of this node serves here.
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, resolve);
    });
    chmodSync(this.#path, 0o600);
  }

  /** Told a moment later, and once for many changes: a watcher woken by each write of a busy node costs more than the write. */
  changed(path: string): void {
    if (this.#watchers.size === 0) return;
    this.#news.add(path);
    this.#telling ??= setTimeout(() => {
      this.#telling = null;
      const news = [...this.#news];
      this.#news.clear();
      this.#each((events) => news.forEach((each) => events.changed(each)));
    }, TELL_MS);
  }
  statusChanged(status: FileSystemStatus): void {
    this.#each((events) => events.statusChanged(status));
  }

  /** A connection may break between two looks at it: that must not stop the file system. */
  #each(tell: (events: FileSystemEvents) => void): void {
    for (const watcher of [...this.#watchers]) {
      try {
        tell(watcher.events);
      } catch {
        this.#watchers.delete(watcher);
        watcher.socket.destroy();
      }
    }
  }

  close(): void {
    clearTimeout(this.#telling ?? undefined);
    this.#server.close();
    for (const socket of this.#clients) socket.destroy();
  }

  #accept(socket: Socket): void {
    this.#clients.add(socket);
    let watcher: Watcher | null = null;
    const channel = jsonLines(socket, socket, () => {
      if (watcher !== null) this.#watchers.delete(watcher);
      rpc.$close();
      socket.destroy();
    });
    const control = this.#control(() => {
      if (watcher !== null) return;
      const events: FileSystemEvents = {
        changed: (path) => void rpc.changed.asEvent(path),
        statusChanged: (status) => void rpc.statusChanged.asEvent(status),
      };
      watcher = { socket, events };
      this.#watchers.add(watcher);
    });
    const rpc = createBirpc<FileSystemEvents, FileSystemControl>(control, channel);
    socket.once('close', () => {
      this.#clients.delete(socket);
      if (watcher !== null) this.#watchers.delete(watcher);
    });
  }

  #control(watch: () => void): FileSystemControl {
    const { hostname, status, submit, tree, virtual } = this.#port;
    const viewer = () => ({ hostname, writable: status().writability.kind === 'writable' });
    const at = (path: string): string => followLinks(path, hostname);
    const look = (path: string): Appearance => {
      const found = present(tree(), path, viewer());
      if (!found.ok) throw failure(found.error, path);
      if (found.value.virtual !== null && virtual(found.value.virtual) === null) throw failure('ENOENT', path);
      return found.value;
    };
    const entryOf = (appearance: Appearance): TreeEntry => {
      const { name, kind, mode, mtimeS, target } = appearance;
      const size = appearance.virtual === null ? appearance.size : (virtual(appearance.virtual)?.length ?? 0);
      const entry = { name, kind, size, mtimeMs: mtimeS * 1000, mode };
      return target === null ? entry : { ...entry, target };
    };
    const run = (operation: Operation, path: string): Promise<void> =>
      new Promise((resolve, reject) => {
        submit(operation, (errno) => (errno === null ? resolve() : reject(failure(errno, path))));
      });
    return {
      status,
      list: (path) => {
        const found = list(tree(), at(path), viewer());
        if (!found.ok) throw failure(found.error, path);
        return found.value.filter((one) => one.virtual === null || virtual(one.virtual) !== null).map(entryOf);
      },
      stat: (path) => entryOf(look(path)),
      read: (path) => {
        const { node, virtual: name, kind } = look(at(path));
        if (kind === 'directory') throw failure('EISDIR', path);
        const data = name === null ? node?.data : virtual(name);
        return Buffer.from(data ?? new Uint8Array()).toString('base64');
      },
      write: (path, base64) => {
        const data = new Uint8Array(Buffer.from(base64, 'base64'));
        return run({ kind: 'write', target: at(path), data, create: true }, path);
      },
      rename: (from, to) => run({ kind: 'rename', from: at(from), to: at(to), noReplace: false }, from),
      remove: (path) => {
        const isDirectory = look(at(path)).kind === 'directory';
        return run({ kind: isDirectory ? 'rmdir' : 'unlink', path: at(path) }, path);
      },
      makeDirectory: (path) => run({ kind: 'mkdir', path: at(path) }, path),
      watch,
    };
  }
}

const WORDS: Readonly<Record<Errno, string>> = {
  EACCES: 'the tree is read-only: there is no quorum, or this entry cannot be changed',
  EEXIST: 'it exists already',
  EFBIG: 'a file has at most 1 MiB',
  EINVAL: 'this is not possible',
  EIO: 'the outcome is not known; look before you repeat it',
  EISDIR: 'it is a directory',
  ENAMETOOLONG: 'a name has at most 255 bytes',
  ENOENT: 'there is no such file or directory',
  ENOSPC: 'the tree is full',
  ENOTDIR: 'it is not a directory',
  ENOTEMPTY: 'the directory is not empty',
};

const failure = (errno: Errno, path: string): Error => new Error(`${errno}: ${path}: ${WORDS[errno]}`);
