/**
 * A process of a node that uses the node's engine through its interface, for conformance.ts: orders come over IPC, and
 * whatever the engine tells goes back. `conformance-peer.ts totem|corosync`.
 */
import type { EngineKind, EngineStatus, Group, View } from '../../agent/engine/engine.ts';
import { openEngine } from '../../agent/engine/open.ts';
import { nodeLayout } from '../../agent/node-layout.ts';
import { History } from './ring-history.ts';

export type PeerOrder =
  | { readonly do: 'enter' }
  | { readonly do: 'leave' }
  /** Sends one message of each size. `at-once`: without waiting for one before the next. */
  | { readonly do: 'say'; readonly sizes: readonly number[]; readonly how: 'one-by-one' | 'at-once' }
  | { readonly do: 'expected'; readonly votes: number }
  | { readonly do: 'reload' }
  | { readonly do: 'read-back'; readonly text: string };

export interface Said {
  /** What every history will have of them. */
  readonly lines: readonly string[];
  /** How many had been taken when the last had been given. */
  readonly takenAtOnce: number;
}

export type PeerTold =
  | { readonly kind: 'status'; readonly status: EngineStatus }
  | { readonly kind: 'view'; readonly view: View }
  | { readonly kind: 'heard'; readonly line: string }
  | { readonly kind: 'connection'; readonly connected: boolean }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly name: string; readonly message: string };

const GROUP = 'conformance';

class Peer {
  readonly #engine;
  #group: Group | null = null;
  #serial = 0;

  constructor(kind: EngineKind) {
    this.#engine = openEngine(kind, nodeLayout());
    this.#engine.onStatus((status) => this.#tell({ kind: 'status', status }));
    this.#tell({ kind: 'status', status: this.#engine.status() });
  }

  async take(id: number, order: PeerOrder): Promise<void> {
    try {
      this.#tell({ kind: 'answer', id, value: (await this.#do(order)) ?? null });
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      this.#tell({ kind: 'refused', id, name, message });
    }
  }

  async #do(order: PeerOrder): Promise<unknown> {
    switch (order.do) {
      case 'enter':
        return this.#enter();
      case 'leave':
        return this.#need().leave();
      case 'say':
        return this.#say(order.sizes, order.how);
      case 'expected':
        return this.#engine.setExpectedVotes(order.votes);
      case 'reload':
        return this.#engine.reload();
      case 'read-back':
        return this.#engine.readBack(order.text);
    }
  }

  async #enter(): Promise<void> {
    const group = await this.#engine.group(GROUP);
    group.onConnection((connected) => this.#tell({ kind: 'connection', connected }));
    group.onDeliver(({ sender, payload }) => this.#tell({ kind: 'heard', line: History.line(sender, payload) }));
    group.onView((view) => this.#tell({ kind: 'view', view }));
    this.#group = group;
  }

  async #say(sizes: readonly number[], how: 'one-by-one' | 'at-once'): Promise<Said> {
    const group = this.#need();
    const lines: string[] = [];
    const sent: Promise<void>[] = [];
    let taken = 0;
    for (const size of sizes) {
      this.#serial += 1;
      // The process is in the number, so that one that was started anew does not repeat itself.
      const payload = History.compose(this.#engine.status().localNode, process.pid * 1000 + this.#serial, size);
      lines.push(History.line(this.#engine.status().localNode, payload));
      const one = group.multicast(payload).then(() => void (taken += 1));
      // It is waited for below; until then a refusal is nobody's.
      one.catch(() => undefined);
      sent.push(one);
      if (how === 'one-by-one') await one;
    }
    await new Promise((resolve) => setImmediate(resolve));
    const takenAtOnce = taken;
    await Promise.all(sent);
    return { lines, takenAtOnce };
  }

  #need(): Group {
    if (this.#group === null) throw new Error('this process is in no group');
    return this.#group;
  }

  #tell(told: PeerTold): void {
    process.send?.(told);
  }
}

const peer = new Peer(process.argv[2] === 'corosync' ? 'corosync' : 'totem');
process.on('message', (message: { readonly id: number; readonly order: PeerOrder }) => {
  void peer.take(message.id, message.order);
});
process.on('disconnect', () => process.exit(0));
