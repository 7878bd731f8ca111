/**
 * Closed process groups over one ring, with the semantics of corosync's CPG (cpg_overview(3)): joins,
 * leaves and messages are ordered together. After each change of ring the members first tell each
 * other which groups they are in; until all have, nothing else travels. A pure state machine.
 */
import { Fifo } from '../../totem/fifo.ts';
import type { View } from '../engine.ts';
import type { NodeId, RingId } from '../../totem/ids.ts';
import { DATA, groupBytes, groupMessage, GroupNames, JOIN, LEAVE } from './group-message.ts';

export type GroupEvent =
  | { readonly kind: 'view'; readonly group: string; readonly view: View }
  /** `message` is what carried the payload through the ring. */
  | {
      readonly kind: 'deliver';
      readonly group: string;
      readonly sender: NodeId;
      readonly payload: Uint8Array;
      readonly message: Uint8Array;
    };

const LISTS = 4;
const NOTHING = new Uint8Array();

const text = new TextEncoder();
const words = new TextDecoder();

export class Groups {
  private readonly self: NodeId;
  private readonly members = new Map<string, Set<NodeId>>();
  /** Members in the view last given out, by group. */
  private readonly shown = new Map<string, readonly NodeId[]>();
  private queue = new Fifo<Uint8Array>();
  private queued = 0;
  private readonly names = new GroupNames();
  private ring: RingId | null = null;
  private ringMembers: readonly NodeId[] = [];
  /** The groups of each ring member, while they are being told; null when all are known. */
  private lists: Map<NodeId, readonly string[]> | null = new Map();

  constructor(self: NodeId) {
    this.self = self;
  }

  /** Bytes that wait for the ring: the measure for back-pressure. */
  get waiting(): number {
    return this.queued;
  }
  /** All members of the ring have told their groups. */
  get settled(): boolean {
    return this.lists === null;
  }

  join(group: string): void {
    this.push(groupMessage(JOIN, group, NOTHING));
  }
  leave(group: string): void {
    this.push(groupMessage(LEAVE, group, NOTHING));
  }
  /** A message of the kind DATA, in the form of group-message.ts. */
  multicast(message: Uint8Array): void {
    this.push(message);
  }

  /** The next payload for the ring, or null when nothing waits or nothing may travel yet. */
  next(): Uint8Array | null {
    if (this.lists !== null) return null;
    const payload = this.queue.shift();
    if (payload === undefined) return null;
    this.queued -= payload.length;
    return payload;
  }

  /** The ring gives back what it did not deliver before it changed. */
  returned(payloads: readonly Uint8Array[]): void {
    const ours = payloads.filter((payload) => payload[0] !== LISTS);
    const waiting = this.queue.take();
    for (const payload of ours) this.push(payload);
    for (const payload of waiting) this.queue.push(payload);
  }

  /** A new ring. Gives what is to be multicast on it at once. */
  view(ring: RingId, members: readonly NodeId[]): Uint8Array {
    this.ring = ring;
    this.ringMembers = members;
    this.lists = new Map();
    const mine = [...this.members].filter(([, nodes]) => nodes.has(this.self)).map(([group]) => group);
    const body = text.encode(JSON.stringify(mine));
    const payload = new Uint8Array(1 + body.length);
    payload[0] = LISTS;
    payload.set(body, 1);
    return payload;
  }

  /** A payload of the ring's total order. Gives the events for the groups that this node is in. */
  deliver(sender: NodeId, payload: Uint8Array): GroupEvent[] {
    if (payload[0] === LISTS) return this.told(sender, payload);
    const group = this.names.of(payload);
    const nodes = this.members.get(group) ?? new Set();
    switch (payload[0]) {
      case JOIN:
        this.members.set(group, nodes.add(sender));
        return this.show(group, sender);
      case LEAVE:
        nodes.delete(sender);
        return this.show(group, null);
      case DATA:
        if (!nodes.has(sender) || !nodes.has(this.self)) return [];
        return [{ kind: 'deliver', group, sender, payload: groupBytes(payload), message: payload }];
      default:
        return [];
    }
  }

  private told(sender: NodeId, payload: Uint8Array): GroupEvent[] {
    if (this.lists === null) return [];
    this.lists.set(sender, groupNames(payload.subarray(1)));
    if (!this.ringMembers.every((node) => this.lists?.has(node))) return [];
    const told = this.lists;
    this.lists = null;
    this.members.clear();
    for (const [node, groups] of told) {
      for (const group of groups) this.members.set(group, (this.members.get(group) ?? new Set()).add(node));
    }
    for (const group of this.shown.keys()) if (!this.members.has(group)) this.shown.delete(group);
    return [...this.members.keys()].flatMap((group) => this.show(group, null));
  }

  /** `joiner`: the one that joins where the ring stays as it is, as in CPG; it may have been a member just before. */
  private show(group: string, joiner: NodeId | null): GroupEvent[] {
    const nodes = this.members.get(group) ?? new Set();
    if (!nodes.has(this.self) || this.ring === null) {
      this.shown.delete(group);
      return [];
    }
    const before = this.shown.get(group) ?? [];
    const members = [...nodes].sort((a, b) => a - b);
    this.shown.set(group, members);
    const joined = joiner === null ? members.filter((node) => !before.includes(node)) : [joiner];
    const left = before.filter((node) => !nodes.has(node));
    return [{ kind: 'view', group, view: { ringId: this.ring, members, joined, left } }];
  }

  private push(payload: Uint8Array): void {
    this.queue.push(payload);
    this.queued += payload.length;
  }
}

/** A list that is damaged or not ours counts as no groups. */
function groupNames(bytes: Uint8Array): string[] {
  try {
    const value: unknown = JSON.parse(words.decode(bytes));
    return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
  } catch {
    return [];
  }
}
