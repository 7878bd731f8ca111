/** The group in which pmxcfs of all nodes tell each other their status and their log (shared-status.ts). */
import type { Engine, Group } from '../engine/engine.ts';
import { nodeStatusReader, rrdLine } from './node-status.ts';
import { SharedStatus } from './virtual/shared-status.ts';
import type { VersionFacts } from './virtual/formats.ts';

const GROUP = 'pmxcfs-status';
/** How often a node measures itself. Proxmox VE's daemon does so every 10 s. */
const EVERY_MS = 10_000;
/** The key under which a node's measurements are. */
const RRD = 'node-status';
/** As syslog(3) numbers them. */
const PRIORITY = { error: 3, warning: 4, notice: 5, info: 6 } as const;

export interface StatusGroupOptions {
  readonly hostname: string;
  readonly self: number;
  /** Null in local mode. */
  readonly engine: Engine | null;
  changed(texts: { readonly log: string; readonly rrd: string; readonly keyValues: VersionFacts['keyValues'] }): void;
}

export class StatusGroup {
  readonly #options: StatusGroupOptions;
  readonly #shared: SharedStatus;
  readonly #measure = nodeStatusReader();
  #group: Group | null = null;
  #timer: NodeJS.Timeout | null = null;
  #telling: NodeJS.Immediate | null = null;

  constructor(options: StatusGroupOptions) {
    this.#options = options;
    this.#shared = new SharedStatus(options.hostname, options.self);
  }

  /** Joins the group, measures, and goes on with both. */
  async start(): Promise<void> {
    const { engine } = this.#options;
    this.note('info', 'starting cluster log', 'cluster');
    this.#look();
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    if (engine === null) return;
    const group = await engine.group(GROUP);
    this.#group = group;
    group.onView(({ members, joined }) => {
      this.#send(this.#shared.view(members, joined));
      this.#tell();
    });
    group.onDeliver(({ sender, payload }) => {
      if (this.#shared.take(sender, Buffer.from(payload).toString('utf8'))) this.#tell();
    });
  }

  /** One entry of the cluster's log. */
  note(severity: keyof typeof PRIORITY, msg: string, tag = 'pmxcfs'): void {
    const [pri, time] = [PRIORITY[severity], Math.floor(Date.now() / 1000)];
    this.#send(this.#shared.note({ time, pri, tag, pid: process.pid, user: 'root', msg }));
    this.#tell();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer ?? undefined);
    if (this.#telling !== null) clearImmediate(this.#telling);
    await this.#group?.leave().catch(() => undefined);
  }

  #look(): void {
    this.#send(this.#shared.set(RRD, rrdLine(this.#options.hostname, this.#measure())));
    this.#tell();
  }

  /** While the engine is away nothing is sent; the view that follows has everyone say everything. */
  #send(text: string | null): void {
    if (text !== null) this.#group?.multicast(Buffer.from(text, 'utf8')).catch(() => undefined);
  }

  #tell(): void {
    this.#telling ??= setImmediate(() => {
      this.#telling = null;
      const rrd = this.#shared.values(RRD).map(({ value }) => `${value}\n`);
      this.#options.changed({ log: this.#shared.logText, rrd: rrd.join(''), keyValues: this.#shared.versions() });
    });
  }
}
