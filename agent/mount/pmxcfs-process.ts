/** Everything a running pmxcfs is: store, replica, mount, control socket. */
import type { Engine, EngineStatus } from '../engine/engine.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { ReplicaImage, ReplicaStatus } from '../replica/types.ts';
import type { NodeId } from '../totem/ids.ts';
import type { Tree } from '../tree/tree.ts';
import { LIMITS, type Errno, type Operation } from '../tree/types.ts';
import type { FileSystemStatus } from './control.ts';
import { ControlServer } from './control-server.ts';
import { FuseMount } from './fuse-mount.ts';
import { whyNoMount } from './fuse/device.ts';
import { CONF, Gate } from './gate.ts';
import { noteTookPart, replaceLost } from './restore.ts';
import { StatusGroup } from './status-group.ts';
import { StoreThread } from './store-thread.ts';
import { TreeService, type Withdraw } from './tree-service.ts';
import { membersFile } from './virtual/members-file.ts';
import { VirtualFiles, type VirtualPart } from './virtual/virtual-files.ts';

/** The mount point cannot be used. */
export class MountRefused extends Error {
  override readonly name = 'MountRefused';
}

type Log = (severity: 'info' | 'notice' | 'warning' | 'error', message: string) => void;

export interface PmxcfsOptions {
  readonly layout: NodeLayout;
  readonly self: NodeId;
  /** Null in local mode. */
  readonly engine: Engine | null;
  readonly log: Log;
  /** corosync.conf in the tree may be another; `read` gives it. */
  readonly confChanged: (read: () => string | null) => void;
  /** Why a text must not take the place of the tree's corosync.conf; null when it may. */
  readonly refusesConf: (text: string, present: string | null) => string | null;
  /** Says each operation that is asked for. */
  readonly debug: boolean;
}

export class PmxcfsProcess {
  readonly #options: PmxcfsOptions;
  readonly #store: StoreThread;
  readonly #service: TreeService;
  readonly #control: ControlServer;
  readonly #gate: Gate;
  readonly #group: StatusGroup;
  readonly #virtual: VirtualFiles;
  readonly #startTimeS = Math.floor(Date.now() / 1000);
  #mount: FuseMount | null = null;
  #whyNoMount = 'it is not mounted yet';
  #membersText = '';
  #membersVersion = 0;
  #accepting: boolean | null = null;
  #keyValues: Readonly<Record<string, Readonly<Record<string, number>>>> = {};
  #debug: boolean;
  #confRefused: FileSystemStatus['confRefused'];
  #breakOff: (reason: string) => void = () => undefined;
  /** Resolves when this process cannot go on, with the reason. */
  readonly fault: Promise<string>;

  /** Mounts where that is possible here. Rejects with what is wrong; nothing is left behind then. */
  static async start(options: PmxcfsOptions): Promise<PmxcfsProcess> {
    const { layout, engine, log } = options;
    if (engine !== null && replaceLost(layout.home, layout.treeState))
      log('warning', `the database in ${layout.treeState} is gone: this node takes the tree from the others`);
    const { store, image } = await StoreThread.open(layout.treeState);
    let made: PmxcfsProcess | null = null;
    try {
      made = new PmxcfsProcess(options, store, image);
      await made.#open();
      return made;
    } catch (error) {
      if (made === null) await store.close();
      else await made.close();
      throw error;
    }
  }

  private constructor(options: PmxcfsOptions, store: StoreThread, image: ReplicaImage) {
    const { layout, self, engine } = options;
    const log: Log = (severity, message) => this.#log(severity, message);
    this.#options = options;
    this.#debug = options.debug;
    this.#store = store;
    this.#virtual = new VirtualFiles(this.#startTimeS);
    this.fault = new Promise((resolve) => (this.#breakOff = resolve));
    this.#service = new TreeService({
      store,
      image,
      self,
      engine,
      events: {
        changed: (change, writer) => {
          this.#virtual.noteChange(this.#service.tree, change.paths);
          this.#gate.changed(change);
          this.#mount?.changed(change, writer === self);
          for (const path of change.paths) this.#control.changed(path);
          if (!change.paths.includes(CONF)) return;
          this.#confRefused = undefined;
          this.#confChanged();
        },
        replaced: (tree) => {
          this.#virtual.noteAll(tree);
          this.#gate.replaced();
          this.#mount?.all(tree);
          this.#control.changed('');
          this.#confChanged();
        },
        status: (status) => {
          this.#mount?.setWritable(status.accepting);
          const { writability } = status;
          if (engine !== null && status.synced) noteTookPart(layout.home);
          this.#logWritability(status);
          this.#control.statusChanged(this.status());
          if (writability.kind === 'writable') this.#confChanged();
        },
        log,
        fault: (reason) => this.#breakOff(reason),
      },
    });
    this.#control = new ControlServer(layout.fileSystemSocket, {
      hostname: layout.hostname,
      tree: () => this.#service.tree,
      status: () => this.status(),
      virtual: (name) => this.#virtual.contents(name, this.#service.tree),
      submit: (operation, done) => this.#service.submit(operation, done),
    });
    this.#gate = new Gate({
      tree: () => this.#service.tree,
      submit: (operation, done) => this.#service.submit(operation, done),
      refusesConf: (text, present) => (engine === null ? null : options.refusesConf(text, present)),
      confRefused: (reason) => {
        this.#confRefused = { reason, timeMs: Date.now() };
        this.#log('error', `a change of corosync.conf in the tree is refused: ${reason}`);
        this.#control.statusChanged(this.status());
      },
      now: () => performance.now(),
    });
    this.#group = new StatusGroup({
      hostname: layout.hostname,
      self,
      engine,
      changed: ({ log: text, rrd, keyValues }) => {
        this.#setVirtual({ kind: 'text', name: '.clusterlog', text });
        this.#setVirtual({ kind: 'text', name: '.rrd', text: rrd });
        this.#keyValues = keyValues;
        this.#setFacts();
      },
    });
    this.#virtual.noteAll(this.#service.tree);
  }

  /** Into this node's events and the log of the cluster. */
  #log(severity: Parameters<Log>[0], message: string): void {
    this.#options.log(severity, message);
    this.#group.note(severity, message);
  }

  status(): FileSystemStatus {
    const { writability, synced, version } = this.#service.status();
    const { tree } = this.#service;
    return {
      mode: this.#options.engine === null ? 'local' : 'cluster',
      pid: process.pid,
      mount:
        this.#mount === null ? { kind: 'none', reason: this.#whyNoMount } : { kind: 'mounted', at: this.#mount.at },
      writability,
      synced,
      version,
      entries: tree.entries,
      bytes: tree.bytes,
      limits: { entries: LIMITS.entries, bytes: LIMITS.bytes },
      ...(this.#confRefused === undefined ? {} : { confRefused: this.#confRefused }),
    };
  }

  async close(): Promise<void> {
    // The mount first: nothing may come in any more, and the thread that serves it must end.
    await this.#mount?.close();
    this.#mount = null;
    this.#gate.close();
    await this.#group.close();
    await this.#service.close();
    this.#control.close();
    await this.#store.close();
  }

  async #open(): Promise<void> {
    const { layout, engine } = this.#options;
    this.#setMembers(engine?.status() ?? null);
    engine?.onStatus((status) => this.#setMembers(status));
    const why = whyNoMount(layout.root);
    if (why === null) {
      this.#mount = await FuseMount.open(layout.mountPoint, {
        hostname: layout.hostname,
        startTimeS: this.#startTimeS,
        tree: () => this.#service.tree,
        submit: (operation, done) => this.#submit(operation, done),
        debug: (on) => {
          this.#debug = on;
          this.#virtual.take({ kind: 'debug', on });
        },
        warn: (words) => this.#log('warning', words),
        lost: (reason) => this.#breakOff(`the mount was lost: ${reason}`),
      }).catch((error: unknown) => {
        throw new MountRefused(error instanceof Error ? error.message : String(error), { cause: error });
      });
      this.#mount.setWritable(this.#service.status().accepting);
      this.#setMembers(engine?.status() ?? null, true);
      if (this.#debug) this.#setVirtual({ kind: 'debug', on: true });
    } else this.#whyNoMount = why;
    await this.#control.listen();
    const where = why === null ? `mounted at ${layout.mountPoint}` : `not mounted: ${why}`;
    this.#log('notice', `pmxcfs runs in ${engine === null ? 'local' : 'cluster'} mode, ${where}`);
    await this.#service.start();
    await this.#group.start();
  }

  #submit(operation: Operation, done: (errno: Errno | 'EPERM' | null) => void): Withdraw {
    if (!this.#debug) return this.#gate.submit(operation, done);
    const [begun, words] = [performance.now(), wordsOf(operation, this.#service.tree)];
    return this.#gate.submit(operation, (errno) => {
      const took = (performance.now() - begun).toFixed(1);
      this.#options.log('info', `${words}: ${errno ?? 'done'} after ${took} ms`);
      done(errno);
    });
  }

  #setVirtual(part: VirtualPart): void {
    this.#virtual.take(part);
    this.#mount?.setVirtual(part);
    if (part.kind === 'text') this.#control.changed(part.name);
  }
  #setFacts(): void {
    const facts = { clusterInfo: this.#membersVersion, keyValues: this.#keyValues };
    this.#setVirtual({ kind: 'facts', facts });
  }

  /** While the members agree after a change of the ring, a write waits and is not refused: no news. */
  #logWritability({ accepting, writability }: ReplicaStatus): void {
    if (accepting === this.#accepting) return;
    this.#accepting = accepting;
    if (accepting) this.#log('notice', 'the tree can be written to');
    else if (writability.kind === 'read-only') this.#log('warning', `the tree is read-only. ${writability.reason}`);
  }

  #setMembers(status: EngineStatus | null, again = false): void {
    const { hostname } = this.#options.layout;
    const text = membersFile(hostname, status, 0);
    if (text === this.#membersText && !again) return;
    if (text !== this.#membersText) this.#membersVersion += 1;
    this.#membersText = text;
    this.#setVirtual({ kind: 'text', name: '.members', text: membersFile(hostname, status, this.#membersVersion) });
    this.#setFacts();
  }

  #confChanged(): void {
    const read = (): string | null => {
      const found = this.#service.tree.find(CONF);
      return found.ok && found.value.kind === 'file' ? Buffer.from(found.value.data).toString('utf8') : null;
    };
    this.#service.whenAnswered(() => this.#options.confChanged(read));
  }
}

/** For the debugging log: what is asked for, without contents. */
function wordsOf(operation: Operation, tree: Tree): string {
  const { kind } = operation;
  if (operation.kind === 'rename') return `${kind} ${operation.from} to ${operation.to}`;
  if (operation.kind === 'sync') return kind;
  const target = 'path' in operation ? operation.path : operation.target;
  return `${kind} ${typeof target === 'number' ? (tree.pathOf(target) ?? target) : target}`;
}
