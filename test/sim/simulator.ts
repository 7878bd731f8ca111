/** The production ring, many of it, in virtual time on a network that misbehaves. One seed, one run. */
import { nodeId, type NodeId, type RingId } from '../../agent/totem/ids.ts';
import type { Multicast } from '../../agent/totem/packing.ts';
import { Ring } from '../../agent/totem/ring.ts';
import type { RingEffect, RingInput, RingTimeouts } from '../../agent/totem/ring-types.ts';
import { Checkers } from './checkers.ts';
import { EventQueue } from './event-queue.ts';
import { seeded, type Chance } from './chance.ts';

export const simulatedTimeouts: RingTimeouts = {
  token: 800,
  retransmit: 60,
  hold: 180,
  join: 50,
  consensus: 400,
  merge: 200,
};

export interface Faults {
  /** Probability that a packet is lost, doubled, or changed in one byte. */
  readonly loss: number;
  readonly duplication: number;
  readonly corruption: number;
  /** Most milliseconds a packet takes; reordering follows from it. */
  readonly delay: number;
  /** Milliseconds between two incidents (partition, crash, pause, one-way cut), on average. */
  readonly incidents: number;
}

export interface Run {
  readonly seed: number;
  readonly nodes: number;
  /** Milliseconds of virtual time with faults, before the network heals. */
  readonly storm: number;
  readonly faults: Faults;
  readonly trace?: (line: string) => void;
}

interface SimulatedNode {
  readonly id: NodeId;
  ring: Ring;
  /** What survives a crash. */
  disk: number;
  up: boolean;
  /** Grows with each start, so that nothing of an earlier life arrives in a later one. */
  life: number;
  pausedUntil: number;
  inbox: RingInput[];
  nextTimer: number;
  sent: number;
}

type Happening =
  | { readonly kind: 'packet'; readonly to: NodeId; readonly bytes: Uint8Array }
  | { readonly kind: 'timer'; readonly node: NodeId; readonly life: number }
  | { readonly kind: 'say'; readonly node: NodeId }
  | { readonly kind: 'incident' }
  | { readonly kind: 'resume'; readonly node: NodeId }
  | { readonly kind: 'restart'; readonly node: NodeId };

export class Simulation {
  private readonly run: Run;
  private readonly chance: Chance;
  private readonly queue = new EventQueue<Happening>();
  private readonly nodes = new Map<NodeId, SimulatedNode>();
  private readonly ids: readonly NodeId[];
  private readonly checkers = new Checkers();
  /** Which side of the partition each node is on; all equal: no partition. */
  private side = new Map<NodeId, number>();
  private readonly oneWay = new Set<string>();
  private now = 0;
  private calm = false;

  constructor(run: Run) {
    this.run = run;
    this.chance = seeded(run.seed);
    this.ids = Array.from({ length: run.nodes }, (_, index) => nodeId(index + 1));
    for (const id of this.ids) {
      const node = {
        id,
        ring: this.newRing(id, 0),
        disk: 0,
        up: false,
        life: 0,
        pausedUntil: 0,
        inbox: [],
        nextTimer: Infinity,
        sent: 0,
      };
      this.nodes.set(id, node);
    }
  }

  /** Runs the storm, heals, and gives the breaches of the invariants: none, if the ring is right. */
  breaches(): string[] {
    for (const node of this.nodes.values()) this.start(node);
    this.queue.push(this.delay(this.run.faults.incidents), { kind: 'incident' });
    for (const id of this.ids) this.queue.push(this.delay(50), { kind: 'say', node: id });
    this.advance(this.run.storm);
    this.heal();
    // Liveness (invariant 6): a ring of all within a bounded number of token timeouts.
    const { token, consensus } = simulatedTimeouts;
    this.advance(this.now + 12 * (token + consensus));
    const left = [...this.nodes.values()].filter((node) => !this.checkers.seesAll(node.id, this.ids));
    const late = left.map((node) => `liveness: node ${node.id} is not in a ring of all after the network healed`);
    this.checkers.checkOrder();
    return [...this.checkers.breaches, ...late];
  }

  private newRing(self: NodeId, sequence: number): Ring {
    return new Ring({
      ...{ self, clusterName: 'sim', peers: this.ids, timeouts: simulatedTimeouts },
      ...{ datagram: 200, window: 20, sequence, patient: false, version: 1 },
    });
  }

  private start(node: SimulatedNode): void {
    node.up = true;
    node.life += 1;
    node.ring = this.newRing(node.id, node.disk);
    node.inbox = [];
    node.nextTimer = Infinity;
    this.checkers.started(node.id);
    this.note(`node ${node.id} starts`);
    this.feed(node, { kind: 'start' });
  }

  private advance(until: number): void {
    for (let next = this.queue.pop(until); next !== null; next = this.queue.pop(until)) {
      this.now = next.at;
      this.happen(next.what);
    }
    this.now = until;
  }

  private happen(what: Happening): void {
    if (what.kind === 'incident') return this.incident();
    const node = this.nodes.get(what.kind === 'packet' ? what.to : what.node);
    if (node === undefined) return;
    switch (what.kind) {
      case 'packet':
        return this.feed(node, { kind: 'packet', bytes: what.bytes });
      case 'timer':
        if (what.life !== node.life) return;
        node.nextTimer = Infinity;
        return this.feed(node, { kind: 'timer' });
      case 'say':
        return this.say(node);
      case 'resume': {
        const waiting = node.inbox;
        node.inbox = [];
        for (const input of waiting) this.feed(node, input);
        return;
      }
      case 'restart':
        if (!node.up) this.start(node);
        return;
    }
  }

  private feed(node: SimulatedNode, input: RingInput): void {
    if (!node.up) return;
    if (this.now < node.pausedUntil) {
      node.inbox.push(input);
      return;
    }
    const returned: Multicast[] = [];
    for (const effect of node.ring.step(input, this.now)) {
      if (effect.kind === 'returned') returned.push(...effect.payloads);
      else this.carryOut(node, effect);
    }
    for (const multicast of returned) this.feed(node, { kind: 'multicast', ...multicast });
    const due = node.ring.deadline();
    if (due < node.nextTimer) {
      node.nextTimer = due;
      this.queue.push(Math.max(due, this.now), { kind: 'timer', node: node.id, life: node.life });
    }
  }

  private carryOut(node: SimulatedNode, effect: Exclude<RingEffect, { kind: 'returned' }>): void {
    switch (effect.kind) {
      case 'send':
        for (const to of effect.to) this.transmit(node.id, to, effect.packet);
        return;
      case 'persist':
        node.disk = effect.sequence;
        return;
      case 'deliver':
        return this.checkers.delivered(node.id, effect.sender, new TextDecoder().decode(effect.payload));
      case 'view':
        this.note(
          `node ${node.id} ${effect.regular ? 'view' : 'transitional'} ${show(effect.ring)} {${effect.members.join(' ')}}`,
        );
        return this.checkers.view(node.id, effect.regular, effect.ring, effect.members);
      case 'phase':
        return this.note(`node ${node.id} ${effect.phase}`);
    }
  }

  private transmit(from: NodeId, to: NodeId, packet: Uint8Array): void {
    const { faults } = this.run;
    const cut = this.side.get(from) !== this.side.get(to) || this.oneWay.has(`${from}>${to}`);
    if (!this.calm && (cut || this.chance.happens(faults.loss))) return;
    const copies = !this.calm && this.chance.happens(faults.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const bytes = packet.slice();
      // UDP's checksum (and, with crypto, the seal) drops damaged packets; what a stranger sends has another tag.
      if (!this.calm && this.chance.happens(faults.corruption))
        bytes.set([this.chance.below(256)], 4 + this.chance.below(4));
      this.queue.push(this.now + 0.1 + this.chance.below(this.calm ? 1 : faults.delay * 10) / 10, {
        kind: 'packet',
        to,
        bytes,
      });
    }
  }

  private say(node: SimulatedNode): void {
    if (node.up && node.ring.backlog < 10_000) {
      node.sent += 1;
      const text = `${node.id}/${node.life}/${node.sent}/${'x'.repeat(this.chance.below(this.chance.happens(0.1) ? 900 : 40))}`;
      this.checkers.said(node.id, text);
      this.feed(node, { kind: 'multicast', payload: new TextEncoder().encode(text), safe: this.chance.happens(0.3) });
    }
    if (!this.calm) this.queue.push(this.now + this.delay(40), { kind: 'say', node: node.id });
  }

  private incident(): void {
    if (this.calm) return;
    const node = this.nodes.get(this.ids[this.chance.below(this.ids.length)] ?? nodeId(1));
    if (node !== undefined) this.strike(node);
    this.queue.push(this.now + this.delay(this.run.faults.incidents), { kind: 'incident' });
  }

  private strike(node: SimulatedNode): void {
    switch (this.chance.below(6)) {
      case 0:
        this.side = new Map(this.ids.map((id) => [id, this.chance.below(2)]));
        return this.note(`partition ${[...this.side].map(([id, side]) => `${id}:${side}`).join(' ')}`);
      case 1:
        this.side = new Map();
        this.oneWay.clear();
        return this.note('the network is whole');
      case 2:
        if (!node.up) return;
        node.up = false;
        this.queue.push(this.now + this.delay(1500), { kind: 'restart', node: node.id });
        this.checkers.crashed(node.id);
        return this.note(`node ${node.id} crashes`);
      case 3:
        node.pausedUntil = this.now + this.delay(1500);
        this.queue.push(node.pausedUntil, { kind: 'resume', node: node.id });
        return this.note(`node ${node.id} pauses until ${node.pausedUntil.toFixed(1)}`);
      case 4: {
        const other = this.ids[this.chance.below(this.ids.length)] ?? node.id;
        this.oneWay.add(`${node.id}>${other}`);
        return this.note(`cut one way ${node.id} > ${other}`);
      }
      default:
        if (!node.up) return;
        this.note(`node ${node.id} leaves`);
        this.feed(node, { kind: 'leave' });
        node.up = false;
        this.checkers.crashed(node.id);
        this.queue.push(this.now + this.delay(1000), { kind: 'restart', node: node.id });
    }
  }

  private heal(): void {
    this.note('the storm is over');
    this.calm = true;
    this.side = new Map();
    this.oneWay.clear();
    for (const node of this.nodes.values()) {
      if (node.pausedUntil > this.now) {
        node.pausedUntil = this.now;
        this.queue.push(this.now, { kind: 'resume', node: node.id });
      }
      if (!node.up) this.start(node);
    }
  }

  /** A random time around `mean`, at least 0.1 ms. */
  private delay(mean: number): number {
    return 0.1 + this.chance.below(Math.max(1, Math.round(mean * 20))) / 10;
  }
  private note(line: string): void {
    this.run.trace?.(`${this.now.toFixed(1).padStart(9)} ${line}`);
  }
}

const show = (ring: RingId): string => `${ring.representative}.${ring.sequence}`;
