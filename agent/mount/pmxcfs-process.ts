/** Everything a running pmxcfs is: store, replica, mount, control socket. */
import type { Engine, EngineStatus } from '../engine/engine.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { ReplicaStatus } from '../replica/types.ts';
import type { NodeId } from '../totem/ids.ts';
import { LIMITS } from '../tree/types.ts';
import type { VirtualFile } from '../tree/virtual.ts';
import type { FileSystemStatus } from './control.ts';
import { ControlServer } from './control-server.ts';
import { FuseMount } from './fuse-mount.ts';
import { whyNoMount } from './fuse/device.ts';
import { membersFile } from './members-file.ts';
import { Store } from './store.ts';
import { TreeService } from './tree-service.ts';

type Log = (severity: 'info' | 'notice' | 'warning' | 'error', message: string) => void;

export interface PmxcfsOptions {
  readonly layout: NodeLayout;
  readonly self: NodeId;
  /** Null in local mode. */
  readonly engine: Engine | null;
  readonly log: Log;
  /** corosync.conf in the tree may be another; `read` gives it. */
  readonly confChanged: (read: () => string | null) => void;
}

const CONF = 'corosync.conf';

export class PmxcfsProcess {
  readonly #options: PmxcfsOptions;
  readonly #store: Store;
  readonly #service: TreeService;
  readonly #control: ControlServer;
  readonly #virtual = new Map<VirtualFile, Uint8Array>();
  #mount: FuseMount | null = null;
  #whyNoMount = 'it is not mounted yet';
  #membersText = '';
  #membersVersion = 0;
  #accepting: boolean | null = null;
  #breakOff: (reason: string) => void = () => undefined;
  /** Resolves when this process cannot go on, with the reason. */
  readonly fault: Promise<string>;

  /** Mounts where that is possible here. Rejects with what is wrong; nothing is left behind then. */
  static async start(options: PmxcfsOptions): Promise<PmxcfsProcess> {
    const store = Store.open(options.layout.treeState);
    let made: PmxcfsProcess | null = null;
    try {
      made = new PmxcfsProcess(options, store);
      await made.#open();
      return made;
    } catch (error) {
      if (made === null) store.close();
      else await made.close();
      throw error;
    }
  }

  private constructor(options: PmxcfsOptions, store: Store) {
    const { layout, self, engine, log } = options;
    this.#options = options;
    this.#store = store;
    this.fault = new Promise((resolve) => (this.#breakOff = resolve));
    this.#service = new TreeService({
      store,
      self,
      engine,
      events: {
        changed: (change) => {
          this.#mount?.changed(change);
          for (const path of change.paths) this.#control.changed(path);
          if (change.paths.includes(CONF)) this.#confChanged();
        },
        replaced: (tree) => {
          this.#mount?.all(tree);
          this.#control.changed('');
          this.#confChanged();
        },
        status: (status) => {
          this.#mount?.setWritable(status.accepting);
          const { writability } = status;
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
      virtual: (name) => this.#virtual.get(name) ?? null,
      submit: (operation, done) => this.#service.submit(operation, done),
    });
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
    };
  }

  async close(): Promise<void> {
    // The mount first: nothing may come in any more, and the thread that serves it must end.
    await this.#mount?.close();
    this.#mount = null;
    await this.#service.close();
    this.#control.close();
    this.#store.close();
  }

  async #open(): Promise<void> {
    const { layout, engine, log } = this.#options;
    this.#setMembers(engine?.status() ?? null);
    engine?.onStatus((status) => this.#setMembers(status));
    const why = whyNoMount(layout.root);
    if (why === null) {
      this.#mount = await FuseMount.open(layout.mountPoint, layout.hostname, {
        tree: () => this.#service.tree,
        submit: (operation, done) => this.#service.submit(operation, done),
        lost: (reason) => this.#breakOff(`the mount was lost: ${reason}`),
      });
      this.#mount.setWritable(this.#service.status().accepting);
      for (const [name, contents] of this.#virtual) this.#mount.setVirtual(name, contents);
    } else this.#whyNoMount = why;
    await this.#control.listen();
    const where = why === null ? `mounted at ${layout.mountPoint}` : `not mounted: ${why}`;
    log('notice', `pmxcfs runs in ${engine === null ? 'local' : 'cluster'} mode, ${where}`);
    await this.#service.start();
  }

  /** While the members agree after a change of the ring, a write waits and is not refused: no news. */
  #logWritability({ accepting, writability }: ReplicaStatus): void {
    if (accepting === this.#accepting) return;
    this.#accepting = accepting;
    if (accepting) this.#options.log('notice', 'the tree can be written to');
    else if (writability.kind === 'read-only')
      this.#options.log('warning', `the tree is read-only. ${writability.reason}`);
  }

  #setMembers(status: EngineStatus | null): void {
    const { hostname } = this.#options.layout;
    const text = membersFile(hostname, status, 0);
    if (text === this.#membersText) return;
    this.#membersText = text;
    this.#membersVersion += 1;
    const contents = Buffer.from(membersFile(hostname, status, this.#membersVersion));
    this.#virtual.set('.members', contents);
    this.#mount?.setVirtual('.members', contents);
    this.#control.changed('.members');
  }

  #confChanged(): void {
    const read = (): string | null => {
      const found = this.#service.tree.find(CONF);
      return found.ok && found.value.kind === 'file' ? Buffer.from(found.value.data).toString('utf8') : null;
    };
    this.#service.whenAnswered(() => this.#options.confChanged(read));
  }
}
