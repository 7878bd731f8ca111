/**
 * Whether multicast on one link reaches each peer. Networks that carry unicast and swallow multicast are common
 * (IGMP snooping without a querier); a peer that does not hear is sent to by itself, and it is reported.
 */
import type { NodeId } from '../ids.ts';

/** Milliseconds between asks to the group, and between the first ones of a peer that was just met. */
const INTERVAL = 1_000;
const HURRY = 200;
/** Asks in a row without an answer before a peer counts as deaf. */
const MOST_MISSED = 5;
/** Asks whose answers are still waited for. */
const MOST_OPEN = 8;

interface Listener {
  hears: boolean;
  missed: number;
  /** It was reported as deaf. */
  deaf: boolean;
}

export class MulticastCheck {
  readonly #listeners = new Map<NodeId, Listener>();
  /** When they were sent, by id. */
  readonly #open = new Map<number, number>();
  #lastId = 0;
  #dueAt = Infinity;

  due(): number {
    return this.#dueAt;
  }

  hears(node: NodeId): boolean {
    return this.#listeners.get(node)?.hears === true;
  }

  /** These peers answer on the link now; others are forgotten. To one alone there is nothing to multicast. */
  audience(nodes: readonly NodeId[], now: number): void {
    for (const node of this.#listeners.keys()) if (!nodes.includes(node)) this.#listeners.delete(node);
    if (nodes.length < 2) {
      this.#dueAt = Infinity;
      return;
    }
    for (const node of nodes) {
      if (this.#listeners.has(node)) continue;
      this.#listeners.set(node, { hears: false, missed: 0, deaf: false });
      this.#dueAt = Math.min(this.#dueAt, now);
    }
    if (this.#dueAt === Infinity) this.#dueAt = now;
  }

  /** To be called when due. `id` and `to` are of the ask to be sent; `deaf` are peers that turned out to be. */
  ask(now: number): { readonly id: number; readonly to: NodeId[]; readonly deaf: NodeId[] } {
    const deaf: NodeId[] = [];
    let hurry = false;
    for (const [node, listener] of this.#listeners) {
      if (listener.missed >= MOST_MISSED && !listener.deaf) {
        listener.deaf = true;
        listener.hears = false;
        deaf.push(node);
      }
      listener.missed += 1;
      if (!listener.hears && !listener.deaf) hurry = true;
    }
    this.#dueAt = now + (hurry ? HURRY : INTERVAL);
    this.#lastId = (this.#lastId + 1) >>> 0;
    this.#open.set(this.#lastId, now);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MOST_OPEN && oldest !== undefined) this.#open.delete(oldest);
    return { id: this.#lastId, to: [...this.#listeners.keys()], deaf };
  }

  /** `changed`: it hears now, and did not before; `wasDeaf`: and was reported. */
  answered(node: NodeId, id: number, sentAt: number): { readonly changed: boolean; readonly wasDeaf: boolean } {
    const listener = this.#listeners.get(node);
    if (listener === undefined || this.#open.get(id) !== sentAt) return { changed: false, wasDeaf: false };
    const result = { changed: !listener.hears, wasDeaf: listener.deaf };
    listener.missed = 0;
    listener.hears = true;
    listener.deaf = false;
    return result;
  }
}
