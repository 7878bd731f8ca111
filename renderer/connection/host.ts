/**
 * The host as the page sees it: one object with the calls of HostApi, kept connected. A failed call
 * rejects with an Error whose message is ready for a person.
 */
import { createBirpc } from 'birpc';
import type { BirpcReturn } from 'birpc';
import { shallowRef } from 'vue';
import type { HostApi, HostEvents } from '../../electron/host/api.ts';
import { pauseAfter } from './backoff.ts';
import { openLine } from './line.ts';
import type { Line } from './line.ts';

export type LinkState =
  /** Nothing was ever shown yet. */
  | { readonly kind: 'connecting' }
  | { readonly kind: 'open' }
  /** Lost (or never there); the next try comes at `nextMs`, milliseconds since 1970; null while trying. */
  | { readonly kind: 'lost'; readonly failures: number; readonly nextMs: number | null };

/** What became of the line to the host. */
export const linkState = shallowRef<LinkState>({ kind: 'connecting' });

type Rpc = BirpcReturn<HostApi, HostEvents>;

let rpc: Rpc | null = null;
let line: Line | null = null;
let failures = 0;
let timer: ReturnType<typeof setTimeout> | null = null;
let trying = false;
let listeners: HostEvents | null = null;
let opened: () => Promise<void> = () => Promise.resolve();

const NOT_CONNECTED = 'Ringmaster is not connected to its back end just now. Try again when it is back.';

/** The calls of the host. */
export const host: HostApi = new Proxy({} as HostApi, {
  get:
    (_target, name) =>
    async (...args: unknown[]): Promise<unknown> => {
      if (rpc === null || typeof name !== 'string') throw new Error(NOT_CONNECTED);
      try {
        return await rpc.$callRaw({ method: name, args });
      } catch (error) {
        throw asError(error);
      }
    },
});

/**
 * Connects, and connects again whenever the line is lost. `onOpen` runs on each new line; when it
 * rejects, the line counts as lost.
 */
export function keepConnected(events: HostEvents, onOpen: () => Promise<void>): void {
  listeners = events;
  opened = onOpen;
  window.addEventListener('online', retryNow);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') retryNow();
  });
  attempt();
}

/** Tries at once instead of waiting for the next try. Does nothing while connected. */
export function retryNow(): void {
  if (linkState.value.kind !== 'lost' || trying) return;
  attempt();
}

function attempt(): void {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  trying = true;
  if (linkState.value.kind === 'lost') linkState.value = { kind: 'lost', failures, nextMs: null };
  openLine({
    opened: (fresh) => void begin(fresh),
    lost: () => {
      trying = false;
      line = null;
      rpc?.$close(new Error('The connection to Ringmaster was lost before the answer came.'));
      rpc = null;
      failures += 1;
      const pause = pauseAfter(failures);
      linkState.value = { kind: 'lost', failures, nextMs: Date.now() + pause };
      timer = setTimeout(attempt, pause);
    },
  });
}

async function begin(fresh: Line): Promise<void> {
  line = fresh;
  rpc = createBirpc<HostApi, HostEvents>(listeners ?? NO_LISTENERS, {
    post: (message: string) => fresh.post(message),
    on: (receive: (message: string) => void) => fresh.on(receive),
    serialize: (data: unknown) => JSON.stringify(data),
    deserialize: asMessage,
    bind: 'functions',
    timeout: -1,
  });
  try {
    await opened();
    trying = false;
    failures = 0;
    if (line === fresh) linkState.value = { kind: 'open' };
  } catch {
    fresh.close();
  }
}

const NO_LISTENERS: HostEvents = {
  snapshot: () => undefined,
  event: () => undefined,
  treeChanged: () => undefined,
};

/** A message that is not JSON becomes the answer of a call nobody made. */
function asMessage(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { t: 's', i: '' };
  }
}

/** Errors cross the line as `{ name, message }`. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) {
    const error = new Error(String(thrown.message));
    if ('name' in thrown && typeof thrown.name === 'string') error.name = thrown.name;
    return error;
  }
  return new Error(String(thrown));
}
