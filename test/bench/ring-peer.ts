/**
 * A process of a node that uses the engine's group, as the file system does: counts what is delivered, and sends when
 * told. `ring-peer.ts totem|corosync`, orders over IPC. The bundled engine is reached over its socket as by every
 * client of ours; Corosync through libcpg as its cpgbench does it: multicast until told to try again, then dispatch.
 */
import { TotemClient } from '../../agent/engine/totem/client.ts';
import { CS, csError, loadCorosync, type Corosync } from '../../agent/engine/corosync/libraries.ts';
import { nodeLayout } from '../../agent/node-layout.ts';

export type PeerOrder =
  | { readonly do: 'count' }
  /** Sends messages of this size until told to stop. */
  | { readonly do: 'send'; readonly bytes: number }
  | { readonly do: 'stop' }
  /** One message after another, each when the one before has come back. */
  | { readonly do: 'echo'; readonly bytes: number; readonly times: number };

export type PeerAnswer =
  | { readonly kind: 'joined'; readonly members: number }
  | {
      readonly kind: 'count';
      readonly at: number;
      readonly messages: number;
      readonly bytes: number;
      readonly sent: number;
    }
  /** Microseconds from multicast to own delivery. */
  | { readonly kind: 'echo'; readonly times: readonly number[] };

const GROUP = 'bench';
/** This many messages in a row at most before deliveries are looked at. */
const BURST = 64;

class Peer {
  messages = 0;
  bytes = 0;
  sent = 0;
  sending: Uint8Array | null = null;
  #echoed: (() => void) | null = null;

  deliver(payload: Uint8Array): void {
    this.messages += 1;
    this.bytes += payload.length;
    this.#echoed?.();
  }
  tell(answer: PeerAnswer): void {
    process.send?.(answer);
  }
  async echo(bytes: number, times: number, multicast: (payload: Uint8Array) => Promise<void>): Promise<void> {
    const took: number[] = [];
    for (let index = 0; index < times; index += 1) {
      const begun = performance.now();
      const back = new Promise<void>((resolve) => (this.#echoed = resolve));
      this.sent += 1;
      await multicast(new Uint8Array(bytes));
      await back;
      took.push((performance.now() - begun) * 1000);
    }
    this.#echoed = null;
    this.tell({ kind: 'echo', times: took });
  }
}

async function onTotem(peer: Peer): Promise<void> {
  const engine = new TotemClient(nodeLayout());
  const group = await engine.group(GROUP);
  group.onDeliver(({ payload }) => peer.deliver(payload));
  group.onView(({ members }) => peer.tell({ kind: 'joined', members: members.length }));
  let pumping = false;
  // One after another: a multicast resolves when the engine's socket has room, so waiting for it is the flow control.
  const pump = async (): Promise<void> => {
    if (pumping) return;
    pumping = true;
    for (let count = 1; peer.sending !== null; count += 1) {
      peer.sent += 1;
      await group.multicast(peer.sending);
      // Orders and deliveries get their turn.
      if (count % BURST === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    pumping = false;
  };
  listen(
    peer,
    () => void pump(),
    (payload) => group.multicast(payload),
  );
}

async function onCorosync(peer: Peer): Promise<void> {
  const corosync = await loadCorosync();
  const opened = corosync.cpg.open({
    deliver: (_sender, payload) => peer.deliver(payload),
    confchg: (members) => peer.tell({ kind: 'joined', members: members.length }),
    ring: () => undefined,
  });
  if ('error' in opened) throw new Error(csError(opened.error));
  const code = corosync.cpg.join(opened.handle, GROUP);
  if (code !== CS.ok) throw new Error(csError(code));
  const send = (payload: Uint8Array): boolean => {
    const code = corosync.cpg.mcast(opened.handle, payload);
    if (code !== CS.ok && code !== CS.tryAgain) throw new Error(csError(code));
    return code === CS.ok;
  };
  listen(
    peer,
    () => undefined,
    async (payload) => {
      while (!send(payload)) await new Promise((resolve) => setImmediate(resolve));
    },
  );
  await follow(peer, corosync, opened, (): void => {
    for (let burst = 0; burst < BURST && peer.sending !== null && send(peer.sending); burst += 1) peer.sent += 1;
  });
}

/** Never returns: sends, dispatches, and waits in poll() when there was nothing to take. */
async function follow(
  peer: Peer,
  corosync: Corosync,
  { handle, fd }: { readonly handle: bigint; readonly fd: number },
  send: () => void,
): Promise<void> {
  for (;;) {
    const before = peer.messages;
    send();
    corosync.cpg.dispatch(handle);
    // A sender that was told to try again does so soon; who only listens is woken by what comes.
    if (peer.messages === before) await corosync.poll([fd], peer.sending === null ? 20 : 1);
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

function listen(peer: Peer, pump: () => void, multicast: (payload: Uint8Array) => Promise<void>): void {
  process.on('message', (order: PeerOrder) => {
    switch (order.do) {
      case 'count':
        return peer.tell({ ...peer, kind: 'count', at: performance.now() });
      case 'send':
        peer.sending = new Uint8Array(order.bytes);
        return pump();
      case 'stop':
        peer.sending = null;
        return;
      case 'echo':
        void peer.echo(order.bytes, order.times, multicast);
    }
  });
}

if (import.meta.main) {
  process.on('disconnect', () => process.exit(0));
  await (process.argv[2] === 'corosync' ? onCorosync : onTotem)(new Peer());
}
