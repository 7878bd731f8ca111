/** The pages that show the app: each gets the state pushed, and may call the checked API. */
import { createBirpc } from 'birpc';
import type { BirpcReturn } from 'birpc';
import type { HostApi, HostEvent, HostEvents, Snapshot } from './api.ts';
import { checkedApi } from './inputs.ts';

/** One page's line: each message one JSON document. */
export interface RendererChannel {
  post(line: string): void;
  on(receive: (line: string) => void): void;
  /** True while so much waits to be sent that a snapshot should wait too. */
  busy?(): boolean;
}

interface Page {
  readonly rpc: BirpcReturn<HostEvents, HostApi>;
  readonly busy: () => boolean;
  watching: boolean;
}

/** Changes within this time become one snapshot, in milliseconds. */
const COALESCE_MS = 50;

export class Renderers {
  readonly #pages = new Set<Page>();
  readonly #snapshot: () => Snapshot;
  #timer: NodeJS.Timeout | null = null;

  constructor(snapshot: () => Snapshot) {
    this.#snapshot = snapshot;
  }

  get count(): number {
    return this.#pages.size;
  }

  /** Serves a page until the returned function is called. */
  connect(channel: RendererChannel, api: HostApi): () => void {
    const page: { watching: boolean; rpc?: Page['rpc']; busy: () => boolean } = {
      watching: false,
      busy: () => channel.busy?.() ?? false,
    };
    const checked = checkedApi(api);
    const watch = checked.watch;
    checked.watch = async () => {
      const snapshot = await watch();
      page.watching = true;
      return snapshot;
    };
    const rpc = createBirpc<HostEvents, HostApi>(checked, {
      post: (line: string) => channel.post(line),
      on: (receive: (line: string) => void) => channel.on(receive),
      serialize: (data: unknown) => JSON.stringify(data, errorAsData),
      deserialize: asMessage,
      eventNames: ['snapshot', 'event', 'treeChanged'],
      timeout: -1,
    });
    const whole: Page = Object.assign(page, { rpc });
    this.#pages.add(whole);
    return () => {
      this.#pages.delete(whole);
      rpc.$close();
    };
  }

  /** Something is another now: every page gets a snapshot soon. */
  changed(): void {
    if (this.#timer !== null || this.#pages.size === 0) return;
    this.#timer = setTimeout(() => this.#flush(), COALESCE_MS);
  }

  event(event: HostEvent): void {
    for (const page of this.#pages) if (page.watching) page.rpc.event(event).catch(ignore);
  }

  treeChanged(clusterId: string, path: string): void {
    for (const page of this.#pages) if (page.watching) page.rpc.treeChanged(clusterId, path).catch(ignore);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const page of this.#pages) page.rpc.$close();
    this.#pages.clear();
  }

  #flush(): void {
    this.#timer = null;
    const snapshot = this.#snapshot();
    let waiting = false;
    for (const page of this.#pages) {
      if (!page.watching) continue;
      if (page.busy()) waiting = true;
      else page.rpc.snapshot(snapshot).catch(ignore);
    }
    if (waiting) this.changed();
  }
}

/** A page that is gone hears nothing more. */
const ignore = (): void => undefined;

/** JSON.stringify makes `{}` of an Error. */
const errorAsData = (_key: string, value: unknown): unknown =>
  value instanceof Error ? { name: value.name, message: value.message } : value;

/** A line that is not a message becomes the answer of a call nobody made. */
function asMessage(line: string): unknown {
  try {
    const message = JSON.parse(line) as { t?: unknown; a?: unknown; m?: unknown } | null;
    if (typeof message === 'object' && message !== null) {
      if (message.t !== 'q') return message;
      if (typeof message.m === 'string' && Array.isArray(message.a)) return message;
    }
  } catch {
    // Not JSON.
  }
  return { t: 's', i: '' };
}
