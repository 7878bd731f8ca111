/** The mount as the replicating thread sees it: a serving thread that is told of changes and hands over operations. */
import { Worker } from 'node:worker_threads';
import { isLockPath, LockWatch } from '../tree/locks.ts';
import { splitPath } from '../tree/names.ts';
import type { Tree } from '../tree/tree.ts';
import type { Change, Errno, Operation } from '../tree/types.ts';
import type { VirtualFile } from '../tree/virtual.ts';
import { mountFuse, type FuseDevice } from './fuse/device.ts';
import type { FromServing, LateAnswer, ServingData, ToServing } from './fuse/messages.ts';
import { answer, attributesOut, entryOut, failure, FOPEN_DIRECT_IO, openOut, writeOut } from './fuse/protocol.ts';
import { TreeView } from './fuse/view.ts';
import { reply } from './fuse-thread.ts';

export interface MountPort {
  /** The tree as it is now; it is another object after a snapshot. */
  tree(): Tree;
  /** `done` gets null when the operation is done, else why it was not. */
  submit(operation: Operation, done: (errno: Errno | null) => void): void;
  /** The mount was lost: somebody else unmounted it, or it broke. */
  lost(reason: string): void;
}

export class FuseMount {
  readonly at: string;
  readonly #port: MountPort;
  readonly #device: FuseDevice;
  readonly #worker: Worker;
  readonly #view: TreeView;
  readonly #locks = new LockWatch();
  readonly #ended: Promise<void>;
  #closing = false;

  /** Mounts and serves. Rejects with mount's words. */
  static async open(at: string, hostname: string, port: MountPort): Promise<FuseMount> {
    return new FuseMount(at, hostname, port, await mountFuse(at));
  }

  private constructor(at: string, hostname: string, port: MountPort, device: FuseDevice) {
    this.at = at;
    this.#port = port;
    this.#device = device;
    this.#view = new TreeView(port.tree(), hostname);
    const data: ServingData = { ringmasterThread: 'fuse', fd: device.fd, hostname };
    // The agent is one file: the thread begins where the process did, and finds its part by its data.
    this.#worker = new Worker(process.argv[1] ?? '', { workerData: data });
    this.all(port.tree());
    this.#ended = new Promise((resolve) => {
      const end = (reason: string | null): void => {
        resolve();
        if (!this.#closing) port.lost(reason ?? `${at} was unmounted`);
        this.#closing = true;
      };
      this.#worker.on('message', (message: FromServing) => {
        if (message.kind === 'operation') this.#submit(message.unique, message.operation, message.answer);
        else end(message.error);
      });
      this.#worker.on('error', (error) => end(error.message));
      this.#worker.on('exit', () => end('the serving thread ended'));
    });
  }

  /** The whole tree is another. */
  all(tree: Tree): void {
    this.#view.tree = tree;
    this.#tell({ kind: 'all', nodes: [...tree.all()], nextInode: tree.nextInode });
  }
  /** To be called before the operation that made the change is answered. */
  changed(change: Change): void {
    this.#tell({ kind: 'change', put: change.put.map(({ node }) => node), removed: change.removed });
  }
  setWritable(writable: boolean): void {
    if (this.#view.writable === writable) return;
    this.#view.writable = writable;
    this.#tell({ kind: 'writable', writable });
  }
  setVirtual(name: VirtualFile, contents: Uint8Array): void {
    this.#view.setVirtual(name, contents);
    this.#tell({ kind: 'virtual', name, contents });
  }

  /** Unmounts and waits until the serving thread has ended: until then this process could not exit. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#device.unmount().catch(() => undefined);
    await this.#ended;
  }

  #tell(message: ToServing): void {
    this.#worker.postMessage(message);
  }

  #submit(unique: bigint, asked: Operation, late: LateAnswer): void {
    const operation = this.#lockExpiry(asked);
    if (operation === null) return this.#reply(unique, late, 'EACCES');
    this.#port.submit(operation, (errno) => this.#reply(unique, late, errno));
  }

  /** utime(0) on a lock asks for its expiry (locks.ts); null when it is not due. */
  #lockExpiry(operation: Operation): Operation | null {
    if (operation.kind !== 'setTime' || operation.mtimeS !== 0) return operation;
    const node = this.#port.tree().find(operation.target);
    const path = node.ok ? this.#port.tree().pathOf(node.value.inode) : null;
    const names = path === null ? null : splitPath(path);
    if (!node.ok || path === null || names === null || !names.ok || !isLockPath(names.value)) return operation;
    return this.#locks.ask(path, node.value.version, performance.now());
  }

  #reply(unique: bigint, late: LateAnswer, errno: Errno | null): void {
    if (late.kind === 'created') {
      const found = errno === null ? this.#port.tree().find(late.path) : null;
      const inode = found?.ok === true ? found.value.inode : null;
      this.#tell({ kind: 'opened', handle: late.handle, inode });
    }
    if (unique === 0n) return;
    reply(this.#device.fd, errno === null ? this.#success(unique, late) : failure(unique, errno));
  }

  #success(unique: bigint, late: LateAnswer): Uint8Array {
    switch (late.kind) {
      case 'empty':
        return answer(unique);
      case 'written':
        return answer(unique, writeOut(late.size));
      case 'attributes': {
        const attributes = this.#view.attributes(late.inode);
        return attributes === null ? failure(unique, 'ENOENT') : answer(unique, attributesOut(attributes));
      }
      case 'entry':
      case 'created': {
        // Another node may have removed it in the same breath.
        const found = this.#port.tree().find(late.path);
        const attributes = found.ok ? this.#view.attributes(found.value.inode) : null;
        if (attributes === null) return failure(unique, 'ENOENT');
        if (late.kind === 'entry') return answer(unique, entryOut(attributes));
        return answer(unique, entryOut(attributes), openOut(late.handle, FOPEN_DIRECT_IO));
      }
    }
  }
}
