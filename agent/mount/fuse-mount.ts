/** The mount as the replicating thread sees it: a serving thread that is told of changes and hands over operations. */
import { spawn } from 'node:child_process';
import type { Worker } from 'node:worker_threads';
import { splitPath } from '../tree/names.ts';
import type { Tree } from '../tree/tree.ts';
import type { Change, Errno, Operation, TreeNode } from '../tree/types.ts';
import { mountFuse, type FuseDevice } from './fuse/device.ts';
import { notifyNow, reply } from './fuse/device-writes.ts';
import { namesValidS } from './fuse/init.ts';
import { Invalidation } from './fuse/invalidation.ts';
import type {
  DeviceNumber,
  FromKeeping,
  FromServing,
  KeepingData,
  LateAnswer,
  ServingData,
  ToServing,
} from './fuse/messages.ts';
import { wakeReader } from './fuse/notify.ts';
import { answer, attributesOut, entryOut, failure, FOPEN, openOut, writeOut } from './fuse/protocol.ts';
import { Untaken } from './fuse/untaken.ts';
import { TreeView } from './fuse/view.ts';
import { Waiting } from './fuse/waiting.ts';
import { startThread } from './start-thread.ts';
import type { Withdraw } from './tree-service.ts';
import type { VirtualPart } from './virtual/virtual-files.ts';
import { Replayer } from './watchers/replayer.ts';

export interface MountPort {
  readonly hostname: string;
  readonly startTimeS: number;
  /** The tree as it is now; it is another object after a snapshot. */
  tree(): Tree;
  /** `done` gets null when the operation is done, else why it was not. */
  submit(operation: Operation, done: (errno: Errno | 'EPERM' | null) => void): Withdraw;
  /** Somebody wrote to `.debug`. */
  debug(on: boolean): void;
  warn(words: string): void;
  /** The mount was lost: somebody else unmounted it, or it broke. */
  lost(reason: string): void;
}

/** How long operations under way may take before the mount is taken away. Milliseconds. */
const CLOSE_MS = 2_000;
/** Their objects live for one request: the usual 48 MiB would be memory that nobody needs. */
const SERVING_YOUNG_MB = 12;
const KEEPER_YOUNG_MB = 2;
const EMPTY = new Uint8Array();

const bytesOf = (nodes: readonly TreeNode[]): number => nodes.reduce((sum, { data }) => sum + data.length, 0);

type Submitted = Extract<FromServing, { kind: 'operation' }>;

export class FuseMount {
  readonly at: string;
  readonly #port: MountPort;
  readonly #device: FuseDevice;
  readonly #worker: Worker;
  readonly #keeper: Worker;
  readonly #waiting = new Waiting();
  readonly #untaken = new Untaken(() => this.#waiting.taken);
  readonly #view: TreeView;
  readonly #invalidation: Invalidation;
  /** Paths that operations of this mount are about, and how many of them are under way. */
  readonly #underWay = new Map<string, number>();
  /** By request (FUSE's number), what to do when nobody waits for its operation any more. */
  readonly #giveUps = new Map<bigint, () => void>();
  readonly #ended: Promise<void>;
  /** Wakes those who watch; null where they cannot be seen. */
  readonly #replayer: Replayer | null;
  #isWaking = false;
  #closing = false;

  /** Mounts and serves. Rejects with mount's words. */
  static async open(at: string, port: MountPort): Promise<FuseMount> {
    return new FuseMount(at, port, await mountFuse(at));
  }

  private constructor(at: string, port: MountPort, device: FuseDevice) {
    this.at = at;
    this.#port = port;
    this.#device = device;
    this.#invalidation = new Invalidation(device.fd);
    const nothing = { virtual: () => null, orphan: () => undefined };
    const { hostname, startTimeS } = port;
    this.#view = new TreeView(port.tree(), { hostname, ...nothing });
    const { fd } = device;
    const waiting = this.#waiting.memory;
    const data: ServingData = { ringmasterThread: 'fuse', fd, hostname, startTimeS, waiting };
    const keeping: KeepingData = { ringmasterThread: 'fuse-keeper', fd, waiting, device: device.number };
    this.#worker = startThread(data, { maxYoungGenerationSizeMb: SERVING_YOUNG_MB });
    this.#keeper = startThread(keeping, { maxYoungGenerationSizeMb: KEEPER_YOUNG_MB });
    this.#keeper.unref();
    this.#replayer = device.number === null ? null : this.#openReplayer(device.number);
    this.#keeper.on('message', (message: FromKeeping) => {
      if (message.kind === 'given-up') return this.#giveUps.get(message.unique)?.();
      this.#tell(message);
      this.#replayer?.watched(message.watched);
    });
    this.#tellAll(port.tree());
    this.#ended = new Promise((resolve) => {
      const end = (reason: string | null): void => {
        resolve();
        if (!this.#closing) port.lost(reason ?? `${at} was unmounted`);
        this.#closing = true;
        this.#replayer?.close();
      };
      this.#worker.on('message', (message: FromServing) => {
        if (message.kind === 'operation') this.#submit(message);
        else if (message.kind === 'initialized') this.#invalidation.initialized(message.features);
        else if (message.kind === 'debug') port.debug(message.on);
        else if (message.kind === 'happened') this.#replayer?.happened(message.events);
        else end(message.error);
      });
      for (const worker of [this.#worker, this.#keeper]) {
        worker.on('error', (error) => end(error.message));
        worker.on('exit', () => end('a thread of the mount ended'));
      }
    });
  }

  /** The whole tree is another. */
  all(tree: Tree): void {
    const before = [...this.#view.tree.all()];
    this.#view.tree = tree;
    this.#tellAll(tree);
    this.#invalidation.everything(before, tree);
    this.#replayer?.changed();
  }

  /** To be called before the operation that made the change is answered. `local`: asked for on this node. */
  changed(change: Change, local: boolean): void {
    const own = local && change.paths.some((path) => this.#underWay.has(path));
    const put = change.put.map(({ node, contents }) => ({
      node: contents ? node : { ...node, data: EMPTY },
      contents,
    }));
    const { removed, paths } = change;
    // Before the kernel, which would else learn once more what was; what the kernel does in between: moved.ts.
    this.#tell({ kind: 'change', put, removed, paths, own }, bytesOf(put.map(({ node }) => node)));
    this.#invalidation.changed(this.#port.tree(), change, own);
    if (!own) this.#replayer?.changed();
  }
  setWritable(writable: boolean): void {
    if (this.#view.writable === writable) return;
    this.#view.writable = writable;
    this.#tell({ kind: 'writable', writable });
    this.#invalidation.modes(this.#port.tree());
  }
  setVirtual(part: VirtualPart): void {
    this.#tell({ kind: 'virtual', part });
  }

  /** Unmounts, whoever uses the mount, and waits until the serving thread has ended: until then this process could not exit. */
  async close(): Promise<void> {
    for (const end = performance.now() + CLOSE_MS; performance.now() < end && !this.#waiting.isEmpty();)
      await new Promise((resolve) => setTimeout(resolve, 20));
    this.#closing = true;
    this.#replayer?.close();
    await this.#device.unmount().catch(() => undefined);
    await this.#ended;
    await this.#keeper.terminate();
  }

  #openReplayer(device: DeviceNumber): Replayer {
    return new Replayer({
      at: this.at,
      device,
      tree: () => this.#port.tree(),
      announce: (pid, event) => this.#tell({ kind: 'replay', pid, event }),
      warn: (words) => this.#port.warn(words),
    });
  }

  #tellAll(tree: Tree): void {
    this.#tell({ kind: 'all', nodes: [...tree.all()], nextInode: tree.nextInode }, tree.bytes);
  }

  /** `bytes`: of file data in it. */
  #tell(message: ToServing, bytes = 0): void {
    const wakes = this.#untaken.telling(bytes);
    this.#worker.postMessage(message);
    if (wakes) this.#wakeServing();
  }

  /** A kernel that gives back nothing of a directory (6.18) has another process ask for something. */
  #wakeServing(): void {
    if (notifyNow(this.#device.fd, wakeReader()) || this.#isWaking) return;
    this.#isWaking = true;
    const asking = spawn('stat', ['-f', '-c', '%i', this.at], { cwd: '/', stdio: 'ignore' });
    asking.unref();
    for (const end of ['exit', 'error']) asking.once(end, () => (this.#isWaking = false));
  }

  #submit(message: Submitted): void {
    const { operation, waiting } = message;
    const paths = this.#pathsOf(operation);
    let isOwn = true;
    for (const path of paths) this.#underWay.set(path, (this.#underWay.get(path) ?? 0) + 1);
    const disown = (): void => {
      if (!isOwn) return;
      isOwn = false;
      for (const path of paths) {
        const left = (this.#underWay.get(path) ?? 1) - 1;
        if (left === 0) this.#underWay.delete(path);
        else this.#underWay.set(path, left);
      }
    };
    let isDone = false;
    const withdraw = this.#port.submit(operation, (errno) => {
      isDone = true;
      disown();
      if (waiting !== null) this.#giveUps.delete(waiting.unique);
      this.#answer(message, errno);
    });
    if (isDone || waiting === null) return;
    this.#giveUps.set(waiting.unique, () => {
      // The kernel was told that it failed: should it be done after all, that is news to the kernel.
      disown();
      withdraw();
    });
  }

  #pathsOf(operation: Operation): string[] {
    if (operation.kind === 'rename') return [operation.from, operation.to];
    if ('path' in operation) return [operation.path];
    if (operation.kind === 'sync') return [];
    const path = typeof operation.target === 'number' ? this.#port.tree().pathOf(operation.target) : operation.target;
    return path === null || !splitPath(path).ok ? [] : [path];
  }

  #answer(message: Submitted, errno: Errno | 'EPERM' | null): void {
    const { waiting, answer: late } = message;
    if (late.kind === 'created') {
      const found = errno === null ? this.#port.tree().find(late.path) : null;
      const node = found?.ok === true ? found.value : null;
      const hasContents = node !== null && node.data.length > 0;
      this.#tell({ kind: 'opened', handle: late.handle, inode: node?.inode ?? null, hasContents });
    }
    if (waiting === null || !this.#waiting.claim(waiting.place, waiting.unique)) return;
    const { unique } = waiting;
    const say = (): void =>
      reply(this.#device.fd, errno === null ? this.#success(unique, late) : failure(unique, errno));
    if (errno === null && late.kind === 'fresh') this.#invalidation.names(say);
    else say();
  }

  #success(unique: bigint, late: LateAnswer): Uint8Array {
    switch (late.kind) {
      case 'empty':
      case 'fresh':
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
        const nameS = namesValidS(this.#invalidation.features);
        if (late.kind === 'entry') return answer(unique, entryOut(attributes, nameS));
        return answer(unique, entryOut(attributes, nameS), openOut(late.handle, FOPEN.directIo));
      }
    }
  }
}
