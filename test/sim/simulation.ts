/** The production ring and votes, many of them, in virtual time on a network that misbehaves. One seed, one run. */
import { quorumStatus, quorumWord, type QuorumWord } from '../../agent/quorum/quorum.ts';
import { sequenceWithoutDisk, type NodeId, type RingId } from '../../agent/totem/ids.ts';
import { clusterTag } from '../../agent/totem/packet.ts';
import type { Multicast } from '../../agent/totem/packing.ts';
import type { RingEffect, RingInput, RingPhase } from '../../agent/totem/ring-types.ts';
import { seeded, type Chance } from './chance.ts';
import { checkers } from './checkers/all.ts';
import { showRing, type Checker, type Invariant } from './checkers/checker.ts';
import { EventQueue } from './event-queue.ts';
import { readMessage, showMessage, SMALLEST_MESSAGE, writeMessage } from './messages.ts';
import { Network } from './network.ts';
import type { Plan } from './plan.ts';
import { SimulatedNode, type Conf } from './simulated-node.ts';
import { packetInWords } from './trace.ts';

export interface Breach {
  readonly invariant: Invariant;
  readonly text: string;
  /** Milliseconds of virtual time. */
  readonly at: number;
}

/** What runs on the nodes above the ring, when a run has more than messages to say. */
export interface Application {
  started(node: SimulatedNode): void;
  stopped(node: SimulatedNode): void;
  /** A regular view; its quorum is known later. */
  view(node: SimulatedNode, ring: RingId, members: readonly NodeId[]): void;
  /** The votes of the node's view may have changed. */
  standing(node: SimulatedNode): void;
  delivered(node: SimulatedNode, from: NodeId, payload: Uint8Array): void;
}

/** A payload of the application begins with these: no node has the number 0 (readMessage). */
const OF_APPLICATION = 4;

type Happening =
  | { readonly kind: 'packet'; readonly from: NodeId; readonly to: SimulatedNode; readonly bytes: Uint8Array }
  | { readonly kind: 'timer'; readonly node: SimulatedNode; readonly life: number }
  | { readonly kind: 'resume'; readonly node: SimulatedNode }
  | { readonly kind: 'call'; readonly call: () => void };

const TAG = clusterTag('sim');
/** A socket's buffer, in packets. */
const MOST_WAITING = 400;
/** Steps of a run: more of them means that packets breed packets. */
const MOST_STEPS = 3_000_000;
/** The time of day at which every run begins. */
const DAWN = Date.UTC(2026, 10, 25);
const WORD_BYTES = 24;

export class Simulation {
  readonly plan: Plan;
  readonly chance: Chance;
  readonly network: Network;
  readonly nodes: readonly SimulatedNode[];
  now = 0;
  breach: Breach | null = null;
  /** Outcomes that scenarios ask about. */
  readonly log: { readonly at: number; readonly node: NodeId; readonly effect: RingEffect }[] = [];
  private readonly byId = new Map<NodeId, SimulatedNode>();
  private readonly queue = new EventQueue<Happening>();
  private readonly checkers: readonly Checker[];
  private readonly words: QuorumWord[] = [];
  private readonly trace: ((line: string) => void) | null;
  private readonly application: Application | null;
  private steps = 0;
  private holderDiesIn: RingPhase | null = null;

  constructor(
    plan: Plan,
    trace: ((line: string) => void) | null = null,
    application: ((simulation: Simulation) => Application) | null = null,
  ) {
    this.plan = plan;
    this.trace = trace;
    this.chance = seeded(plan.seed);
    this.network = new Network(plan.faults, this.chance);
    this.checkers = checkers((invariant, text) => this.report(invariant, text));
    const conf: Conf = { version: 1, peers: plan.nodes };
    this.nodes = plan.nodes.map((id) => {
      const clock = { rate: 1 + (this.chance.below(21) - 10) / 1000, ahead: this.chance.below(1_000_000) };
      return new SimulatedNode(id, plan, conf, clock);
    });
    for (const node of this.nodes) this.byId.set(node.id, node);
    this.application = application?.(this) ?? null;
  }

  node(id: NodeId): SimulatedNode {
    const node = this.byId.get(id);
    if (node === undefined) throw new RangeError(`there is no node ${id}`);
    return node;
  }

  /** Lets virtual time pass up to `until`, or to the first breach. */
  advance(until: number): void {
    while (this.breach === null) {
      const next = this.queue.pop(until);
      if (next === null) break;
      this.now = next.at;
      this.steps += 1;
      if (this.steps > MOST_STEPS) return this.report('liveness', `no rest after ${MOST_STEPS} steps`);
      this.happen(next.what);
    }
    this.now = Math.max(this.now, until);
  }

  /** Calls something after `ms` milliseconds of virtual time. */
  later(ms: number, call: () => void): void {
    this.queue.push(this.now + ms, { kind: 'call', call });
  }

  /** Lets a cluster whose faults are over heal: until all is well, or until its time is up. */
  heal(time: number): void {
    const until = this.now + time;
    const running = this.nodes.filter((node) => node.up).map((node) => node.id);
    const isWell = (): boolean => this.checkers.every((checker) => checker.isHealed?.(running) ?? true);
    while (this.breach === null && this.now < until && !isWell()) this.advance(this.now + 100);
    // And it must stay so.
    this.advance(this.now + 2 * this.plan.timeouts.token);
    for (const checker of this.checkers) checker.healed?.(running);
  }

  report(invariant: Invariant, text: string): void {
    if (this.breach !== null) return;
    this.breach = { invariant, text, at: this.now };
    this.note(`BREACH of ${invariant}: ${text}`);
  }

  note(line: string): void {
    this.trace?.(`${this.now.toFixed(1).padStart(9)} ${line}`);
  }

  // --- what happens to nodes ---

  start(node: SimulatedNode): void {
    if (node.up) return;
    // The clock on the wall may have been set back, by a day at most.
    const wall = DAWN + this.now - this.chance.below(86_400_000);
    node.start(sequenceWithoutDisk(wall, this.chance.below(1 << 20) / (1 << 20)));
    for (const checker of this.checkers) checker.started?.(node.id);
    this.note(`node ${node.id} starts`);
    this.application?.started(node);
    this.feed(node, { kind: 'start' });
  }

  /** As by kill -9. */
  kill(node: SimulatedNode): void {
    if (!node.up) return;
    this.note(`node ${node.id} is killed in ${node.phase}`);
    this.stopped(node);
  }

  /** Killed in the middle of what it does next, after so many effects of a step. */
  killAmid(node: SimulatedNode, effects: number): void {
    node.dyingAfter = effects;
  }
  killIn(node: SimulatedNode, phase: RingPhase): void {
    if (node.phase === phase) this.kill(node);
    else node.dyingIn = phase;
  }

  /** Kills whoever takes the token, or the commit packet, next while in this phase, before it has done anything with it. */
  killHolder(phase: RingPhase): void {
    this.holderDiesIn = phase;
  }

  leave(node: SimulatedNode): void {
    if (!node.up || this.now < node.pausedUntil) return;
    this.note(`node ${node.id} leaves`);
    node.stepQuorum({ kind: 'leave' });
    this.feed(node, { kind: 'leave' });
    if (node.up) this.stopped(node);
  }

  pause(node: SimulatedNode, ms: number): void {
    if (!node.up) return;
    node.pausedUntil = Math.max(node.pausedUntil, this.now + ms);
    this.queue.push(node.pausedUntil, { kind: 'resume', node });
    this.note(`node ${node.id} is paused for ${ms.toFixed(0)} ms`);
  }

  /** Installs a configuration on a node's disk and, after a while, in the running engine. */
  configure(node: SimulatedNode, conf: Conf, after: number): void {
    node.disk.conf = conf;
    const { life } = node;
    this.later(after, () => {
      if (node.life !== life || !node.up || node.disk.conf !== conf) return;
      this.note(`node ${node.id} loads version ${conf.version}, nodes {${conf.peers.join(' ')}}`);
      const { timeouts } = this.plan;
      this.feed(node, { kind: 'peers', peers: conf.peers, timeouts, version: conf.version });
    });
  }

  /** The application says something of so many bytes. False where the node is down or back-pressure holds it. */
  say(node: SimulatedNode, bytes: number, safe: boolean): boolean {
    if (!node.up || this.now < node.pausedUntil || node.ring.backlog > 60_000) return false;
    const draft = { sender: node.id, life: node.life, number: ++node.sent, safe, word: null };
    const { message, payload } = writeMessage(draft, Math.max(bytes, SMALLEST_MESSAGE));
    for (const checker of this.checkers) checker.said?.(message, payload);
    this.feed(node, { kind: 'multicast', payload, safe });
    return true;
  }

  /** The application's own words. Not from within what the simulation tells it: then `later`. */
  multicast(node: SimulatedNode, words: Uint8Array): void {
    const payload = new Uint8Array(OF_APPLICATION + words.length);
    payload.set(words, OF_APPLICATION);
    this.feed(node, { kind: 'multicast', payload, safe: false });
  }

  /** Something arrives that no node of ours has sent just now. */
  inject(to: SimulatedNode, bytes: Uint8Array): void {
    this.queue.push(this.now, { kind: 'packet', from: to.id, to, bytes });
  }

  // --- the loop ---

  private happen(what: Happening): void {
    switch (what.kind) {
      case 'packet':
        if (this.trace !== null && what.to.up && this.now >= what.to.pausedUntil) {
          this.note(`  ${what.from} > ${what.to.id} (${what.to.phase}): ${packetInWords(what.bytes, TAG)}`);
        }
        if (this.holderDiesIn === what.to.phase && (what.bytes[3] === TOKEN || what.bytes[3] === COMMIT)) {
          this.holderDiesIn = null;
          what.to.dyingAfter = 0;
        }
        return this.feed(what.to, { kind: 'packet', bytes: what.bytes });
      case 'timer':
        if (what.life !== what.node.life || what.node.wakesAt > this.now) return;
        what.node.wakesAt = Infinity;
        return this.timer(what.node);
      case 'resume':
        return this.resume(what.node);
      case 'call':
        return what.call();
    }
  }

  private timer(node: SimulatedNode): void {
    if (!node.up || this.now < node.pausedUntil) return;
    node.stepQuorum({ kind: 'timer', now: node.clock(this.now) });
    this.feed(node, { kind: 'timer' });
    this.standing(node);
  }

  private resume(node: SimulatedNode): void {
    if (!node.up || this.now < node.pausedUntil) return;
    this.note(`node ${node.id} goes on`);
    const waiting = node.inbox;
    node.inbox = [];
    // Which an event loop looks at first after a pause, timers or sockets, is not for the ring to choose.
    if (this.chance.happens(0.5)) this.timer(node);
    for (const input of waiting) this.feed(node, input);
    this.timer(node);
  }

  private feed(node: SimulatedNode, input: RingInput): void {
    if (!node.up || this.breach !== null) return;
    if (this.now < node.pausedUntil) {
      if (input.kind !== 'packet' || node.inbox.length < MOST_WAITING) node.inbox.push(input);
      return;
    }
    this.step(node, input);
    if (!node.up) return;
    const due = node.deadline();
    if (due >= node.wakesAt) return;
    // A little later: its clock is a product, and must not be found a hair before the time.
    node.wakesAt = Math.max(due, this.now) + 0.001;
    this.queue.push(node.wakesAt, { kind: 'timer', node, life: node.life });
  }

  private step(node: SimulatedNode, input: RingInput): void {
    const then: Multicast[] = [];
    let word: Multicast | null = null;
    let seen = false;
    for (const effect of node.ring.step(input, node.clock(this.now))) {
      if (node.dyingAfter !== null && node.dyingAfter-- <= 0) return this.kill(node);
      if (effect.kind === 'view' && effect.regular) {
        word = this.view(node, effect);
        seen = true;
      } else if (effect.kind === 'returned') then.push(...effect.payloads.filter(isOfApplication));
      else this.carryOut(node, effect);
      if (!node.up || this.breach !== null) return;
    }
    if (word !== null) this.step(node, { kind: 'multicast', ...word });
    for (const multicast of then) if (node.up) this.step(node, { kind: 'multicast', ...multicast });
    if (seen && node.up) this.standing(node);
  }

  private carryOut(node: SimulatedNode, effect: RingEffect): void {
    switch (effect.kind) {
      case 'send':
        for (const to of effect.to) this.transmit(node, to, effect.packet);
        return;
      case 'persist':
        node.disk.sequence = effect.sequence;
        return;
      case 'deliver':
        return this.delivered(node, effect.sender, effect.payload);
      case 'view':
        node.along = effect.members;
        for (const checker of this.checkers) checker.view?.(node.id, effect);
        return this.note(`node ${node.id} transitional {${effect.members.join(' ')}}`);
      case 'phase':
        node.phase = effect.phase;
        this.note(`node ${node.id} ${effect.phase}`);
        this.log.push({ at: this.now, node: node.id, effect });
        if (node.dyingIn === effect.phase) this.kill(node);
        return;
      case 'outdated':
        this.log.push({ at: this.now, node: node.id, effect });
        this.note(`node ${node.id} is outdated: node ${effect.peer} has version ${effect.version}`);
        return this.fetch(node, effect.peer);
      case 'kept-out':
        this.log.push({ at: this.now, node: node.id, effect });
        return this.note(`node ${node.id} keeps out node ${effect.peer} with version ${effect.version}`);
      case 'returned':
        return;
    }
  }

  private transmit(node: SimulatedNode, to: NodeId, packet: Uint8Array): void {
    const target = this.byId.get(to);
    if (packet.length > this.plan.datagram && packet[3] !== COMMIT) {
      this.report('delivery', `node ${node.id} sent a packet of ${packet.length} bytes, more than a datagram takes`);
    }
    if (target === undefined) return;
    for (const { after, bytes } of this.network.carry(node.id, to, packet, this.now)) {
      this.queue.push(this.now + after, { kind: 'packet', from: node.id, to: target, bytes });
    }
  }

  private delivered(node: SimulatedNode, from: NodeId, payload: Uint8Array): void {
    if (this.application !== null && payload[0] === 0 && payload[1] === 0) {
      return this.application.delivered(node, from, payload.subarray(OF_APPLICATION));
    }
    const message = readMessage(payload);
    if (message === null) return this.report('delivery', `node ${node.id} delivered what nobody can have said`);
    if (message.word !== null) {
      const word = this.words[message.word];
      if (word === undefined) return;
      node.stepQuorum({ kind: 'told', node: from, word, now: node.clock(this.now) });
      return this.standing(node);
    }
    node.taken += 1;
    if (this.trace !== null) this.note(`node ${node.id} delivers ${showMessage(message)}`);
    for (const checker of this.checkers) checker.delivered?.(node.id, from, message, payload);
  }

  private view(node: SimulatedNode, view: Extract<RingEffect, { kind: 'view' }>): Multicast {
    const { ring, members, left } = view;
    this.note(`node ${node.id} view ${showRing(ring)} {${members.join(' ')}}`);
    this.log.push({ at: this.now, node: node.id, effect: view });
    for (const checker of this.checkers) checker.view?.(node.id, view);
    node.members = members;
    this.application?.view(node, ring, members);
    node.stepQuorum({ kind: 'view', ring, members, from: node.along, left, now: node.clock(this.now) });
    const word = quorumWord(node.quorum);
    if (word === null) throw new Error('a node in a view has a word on its votes');
    this.words.push(word);
    const draft = { sender: node.id, life: node.life, number: 0, safe: false, word: this.words.length - 1 };
    return { payload: writeMessage(draft, WORD_BYTES).payload, safe: false };
  }

  private standing(node: SimulatedNode): void {
    if (!node.up) return;
    this.step(node, { kind: 'quorate', quorate: quorumStatus(node.quorum).quorate });
    const all = this.nodes
      .filter((other) => other.up && this.now >= other.pausedUntil)
      .map((other) => other.standing());
    const changed = node.standing();
    this.application?.standing(node);
    for (const checker of this.checkers) checker.standing?.(changed, all);
  }

  /** The daemon's rule for an outdated node: it takes the file of the one it heard of, if it can reach it. */
  private fetch(node: SimulatedNode, from: NodeId): void {
    if (node.fetching) return;
    node.fetching = true;
    const { life } = node;
    this.later(20 + this.chance.below(100), () => {
      if (!node.up || node.life !== life) return;
      node.fetching = false;
      const source = this.byId.get(from);
      if (source === undefined || !source.up || this.now < source.pausedUntil) return;
      if (!this.network.reaches(from, node.id) || !this.network.reaches(node.id, from)) return;
      if (source.disk.conf.version > node.disk.conf.version) this.configure(node, source.disk.conf, 0);
    });
  }

  private stopped(node: SimulatedNode): void {
    node.up = false;
    node.phase = 'stopped';
    node.members = [];
    for (const checker of this.checkers) checker.stopped?.(node.id);
    this.application?.stopped(node);
  }
}

/** Kinds of packets, at their place in the head. */
const TOKEN = 1;
const COMMIT = 3;

/** A word on the votes of a ring that is gone is not said on the next one. */
const isOfApplication = ({ payload }: Multicast): boolean => readMessage(payload)?.word === null;
