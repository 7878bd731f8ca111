/**
 * The Totem single-ring protocol (Amir, Moser, Melliar-Smith, Agarwal, Ciarfella 1995) as a state
 * machine: `step(input, now)` gives the effects to carry out, in order. No clock, socket or chance inside.
 */
import { Gathering } from './gathering.ts';
import { sameRing, type NodeId, type RingId } from './ids.ts';
import { Delivery } from './delivery.ts';
import { MessageLog } from './message-log.ts';
import {
  clusterTag,
  decode,
  encode,
  headMessage,
  MESSAGE_OVERHEAD,
  type CommitEntry,
  type CommitPacket,
  type JoinPacket,
  type MessagePacket,
  type Packet,
  type SignalPacket,
  type TokenPacket,
} from './packet.ts';
import { planRecovery } from './recovery.ts';
import type { RingConfig, RingEffect, RingInput, RingPhase, RingTimeouts } from './ring-types.ts';
import { Rotation, type NextBody } from './rotation.ts';
import { Timers } from './timers.ts';

type TimerName = 'token' | 'retransmit' | 'hold' | 'join' | 'consensus' | 'merge';

/** A ring that is being formed: agreed, not yet installed. */
interface Forming {
  readonly ring: RingId;
  readonly members: readonly NodeId[];
  readonly log: MessageLog;
  /** Members that come with us from our present ring. */
  readonly transitional: readonly NodeId[];
  /** Messages of our old ring still to be resent on the new one. */
  readonly resend: Uint8Array[];
}

export class Ring {
  private config: RingConfig;
  private readonly tag: number;
  private readonly timers = new Timers<TimerName>();
  private effects: RingEffect[] = [];
  private now = 0;

  private phase: RingPhase = 'stopped';
  private sequence: number;
  private ring: RingId;
  private members: readonly NodeId[] = [];
  private readonly delivery: Delivery;
  private gathering: Gathering;
  private forming: Forming | null = null;

  /** The last packet passed around the ring, until there is a sign that it arrived. */
  private passed: { readonly to: NodeId; readonly packet: Uint8Array } | null = null;
  private held: TokenPacket | null = null;
  private lastHop = 0;
  private rotation = new Rotation();
  private woke = false;

  constructor(config: RingConfig) {
    this.config = config;
    this.tag = clusterTag(config.clusterName);
    this.sequence = config.sequence;
    // Not the id of any real ring (those step by 4): a restarted node shares no history with the
    // members of the ring that it was in, though it may have been that ring's representative.
    this.ring = { representative: config.self, sequence: config.sequence + 1 };
    this.gathering = new Gathering(config.self, [], []);
    this.delivery = new Delivery(config.self, (effect) => this.effects.push(effect));
  }

  /** Bytes that wait for the token: the caller's measure for back-pressure. */
  get backlog(): number {
    return this.delivery.outbox.bytes;
  }

  /** When `step({kind: 'timer'})` is due, in the unit of `now`; Infinity when nothing is. */
  deadline(): number {
    return this.timers.earliest();
  }

  step(input: RingInput, now: number): RingEffect[] {
    this.now = now;
    this.effects = [];
    switch (input.kind) {
      case 'start':
        this.gather([], []);
        break;
      case 'packet':
        this.receive(input.bytes);
        break;
      case 'timer':
        for (const name of this.timers.due(now)) this.expire(name);
        break;
      case 'multicast':
        this.delivery.outbox.push(input.payload, input.safe);
        this.hurry();
        break;
      case 'heard':
        if (this.phase === 'gather') this.send([input.node], this.joinPacket(false));
        break;
      case 'datagram':
        this.config = { ...this.config, datagram: input.bytes };
        break;
      case 'peers':
        this.reconfigure(input.peers, input.timeouts);
        break;
      case 'leave':
        this.leave();
        break;
    }
    return this.effects;
  }

  // --- effects ---

  private get self(): NodeId {
    return this.config.self;
  }
  private get timeouts(): RingTimeouts {
    return this.config.timeouts;
  }
  private send(to: readonly NodeId[], packet: Packet | Uint8Array, again = false): void {
    const others = to.filter((node) => node !== this.self);
    if (others.length === 0) return;
    const bytes = packet instanceof Uint8Array ? packet : encode(packet, this.tag);
    this.effects.push({ kind: 'send', to: others, packet: bytes, again });
  }
  private enter(phase: RingPhase): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.effects.push({ kind: 'phase', phase });
  }
  private persist(sequence: number): void {
    if (sequence <= this.sequence) return;
    this.sequence = sequence;
    this.effects.push({ kind: 'persist', sequence });
  }

  // --- inputs ---

  private receive(bytes: Uint8Array): void {
    const packet = decode(bytes, this.tag);
    if (packet === null || packet.sender === this.self || this.phase === 'stopped') return;
    if (!this.config.peers.includes(packet.sender)) return;
    switch (packet.kind) {
      case 'message':
        return this.onMessage(packet, bytes);
      case 'token':
        return this.onToken(packet);
      case 'join':
        return this.onJoin(packet);
      case 'commit':
        return this.onCommit(packet);
      case 'merge':
      case 'wake':
        return this.onSignal(packet);
    }
  }

  private expire(name: TimerName): void {
    switch (name) {
      case 'token':
        // The ring is broken (operational, recovery) or could not be formed (commit).
        return this.gather([], []);
      case 'retransmit':
        if (this.passed === null) return;
        this.send([this.passed.to], this.passed.packet, true);
        return this.timers.set('retransmit', this.now + this.timeouts.retransmit);
      case 'hold':
        return this.release();
      case 'join':
        this.sendJoin(false);
        return this.timers.set('join', this.now + this.timeouts.join);
      case 'consensus':
        return this.consensusExpired();
      case 'merge':
        return this.announce();
    }
  }

  private reconfigure(peers: readonly NodeId[], timeouts: RingTimeouts): void {
    this.config = { ...this.config, peers, timeouts };
    const gone = this.members.filter((node) => !peers.includes(node));
    if (gone.length > 0 && this.phase !== 'stopped') this.gather([], gone);
    else if (this.phase === 'operational') this.announce();
  }

  private leave(): void {
    if (this.phase === 'stopped') return;
    this.sendJoin(true);
    this.timers.clear();
    this.passed = null;
    this.enter('stopped');
  }

  private isRepresentative(): boolean {
    return this.members[0] === this.self;
  }

  /** Lets nodes that are configured but not in the ring know of it, so that partitions merge. */
  private announce(): void {
    if (this.phase !== 'operational') return;
    if (this.isRepresentative()) {
      const absent = this.config.peers.filter((node) => !this.members.includes(node));
      this.send(absent, { kind: 'merge', sender: this.self, ring: this.ring });
    }
    this.timers.set('merge', this.now + this.timeouts.merge);
  }

  private onSignal(packet: SignalPacket): void {
    if (packet.kind === 'wake') {
      if (sameRing(packet.ring, this.ring)) this.release();
      return;
    }
    this.foreign(packet.sender, packet.ring);
  }

  /** A packet of a ring that is not ours: its sender is alive and not with us. */
  private foreign(sender: NodeId, ring: RingId): void {
    if (sameRing(ring, this.ring)) return;
    if (this.phase === 'operational' && !this.members.includes(sender)) this.gather([sender], []);
    else if (this.phase === 'gather' && !this.gathering.knows(sender)) {
      this.gathering.add(sender);
      this.sendJoin(false);
    }
  }

  // --- gather: agree on who shall be in the next ring ---

  private gather(more: readonly NodeId[], gone: readonly NodeId[]): void {
    this.forming = null;
    this.held = null;
    this.passed = null;
    for (const name of ['token', 'retransmit', 'hold', 'merge'] as const) this.timers.stop(name);
    const known = [...this.members, ...more].filter((node) => this.config.peers.includes(node));
    this.gathering = new Gathering(this.self, known, gone);
    this.enter('gather');
    this.sendJoin(false);
    this.timers.set('join', this.now + this.timeouts.join);
    this.timers.set('consensus', this.now + this.timeouts.consensus);
  }

  private sendJoin(leaving: boolean): void {
    this.send(this.config.peers, this.joinPacket(leaving));
  }
  private joinPacket(leaving: boolean): JoinPacket {
    return {
      kind: 'join',
      sender: this.self,
      leaving,
      sequence: this.sequence,
      proc: this.gathering.procs(),
      fail: this.gathering.fails(),
    };
  }

  private onJoin(join: JoinPacket): void {
    if (join.leaving) {
      if (this.members.includes(join.sender) || this.forming?.members.includes(join.sender))
        this.gather([], [...(this.phase === 'gather' ? this.gathering.fails() : []), join.sender]);
      return;
    }
    if (this.phase !== 'gather') {
      const members = this.forming?.members ?? this.members;
      const sequence = this.forming?.ring.sequence ?? this.ring.sequence;
      // A join that was sent before this ring was formed, and came late.
      if (members.includes(join.sender) && join.sequence < sequence) return;
      // It has given up on some of us in its round. To answer would break our ring and carry its
      // verdict among us; once the sender has its own ring, the two find each other afresh.
      if (join.fail.some((node) => members.includes(node))) return;
      this.gather([join.sender], []);
    }
    this.persistHeard(join.sequence);
    const verdict = this.gathering.hear(join, new Set(this.config.peers));
    if (verdict === 'learned') {
      this.sendJoin(false);
      this.timers.set('consensus', this.now + this.timeouts.consensus);
    } else if (verdict === 'behind') this.send([join.sender], this.joinPacket(false));
    if (verdict !== 'ignored') this.tryCommit();
  }

  /** A sequence heard of need not be on disk: the one we form or join is, and is higher. */
  private persistHeard(sequence: number): void {
    this.sequence = Math.max(this.sequence, sequence);
  }

  private consensusExpired(): void {
    if (this.phase !== 'gather') return;
    // Agreed, and yet no commit token came: ask everyone anew, the representative may be dead.
    if (this.gathering.consensus() && this.gathering.candidates()[0] !== this.self) this.gathering.disagree();
    else if (!this.gathering.consensus()) this.gathering.giveUp();
    this.sendJoin(false);
    this.timers.set('consensus', this.now + this.timeouts.consensus);
    this.tryCommit(true);
  }

  /** The lowest id of an agreed set forms the ring. Alone only when the wait for others is over. */
  private tryCommit(waited = false): void {
    const members = this.gathering.candidates();
    if (!this.gathering.consensus() || members[0] !== this.self) return;
    if (members.length === 1 && !waited) return;
    const ring: RingId = { representative: this.self, sequence: this.sequence + 4 };
    this.persist(ring.sequence);
    const entries = members.map((node): CommitEntry => ({ node, old: node === this.self ? this.whereWeAre() : null }));
    this.startForming(ring, members);
    if (members.length === 1) {
      this.recover(entries);
      this.install();
    } else this.pass({ kind: 'commit', sender: this.self, ring, entries });
  }

  // --- commit: the commit token goes round twice, collecting where everyone stands ---

  private whereWeAre(): NonNullable<CommitEntry['old']> {
    return { ring: this.ring, aru: this.delivery.log.aru, high: this.delivery.log.high };
  }

  private startForming(ring: RingId, members: readonly NodeId[]): void {
    this.forming = { ring, members, log: new MessageLog(), transitional: [], resend: [] };
    this.timers.stop('join');
    this.timers.stop('consensus');
    this.timers.set('token', this.now + this.timeouts.token);
    this.enter('commit');
  }

  private onCommit(commit: CommitPacket): void {
    const members = commit.entries.map((entry) => entry.node);
    const complete = commit.entries.every((entry) => entry.old !== null);
    if (this.phase === 'gather') {
      const agreed = this.gathering.candidates();
      const same = agreed.length === members.length && agreed.every((node, index) => node === members[index]);
      if (!same || commit.ring.sequence <= this.sequence || complete) return;
      this.persist(commit.ring.sequence);
      this.startForming(commit.ring, members);
      const entries = commit.entries.map((entry) =>
        entry.node === this.self ? { ...entry, old: this.whereWeAre() } : entry,
      );
      return this.pass({ ...commit, sender: this.self, entries });
    }
    if (this.forming === null || !sameRing(commit.ring, this.forming.ring) || !complete) return;
    if (this.phase === 'commit') {
      this.recover(commit.entries);
      this.pass({ ...commit, sender: this.self });
    } else if (this.phase === 'recovery' && this.forming.members[0] === this.self && this.lastHop === 0) {
      const ring = this.forming.ring;
      this.onToken({
        ...{ kind: 'token', sender: this.self, ring, hop: 1, seq: 0, aru: 0 },
        ...{ aruSetter: 0, flow: 0, quiet: 0, missing: [] },
      });
    }
  }

  // --- recovery: those who come from one ring give each other what the others lack of it ---

  private recover(entries: readonly CommitEntry[]): void {
    const forming = this.forming;
    if (forming === null) return;
    const plan = planRecovery(this.self, this.ring, this.delivery.log, entries, this.tag);
    this.forming = { ...forming, transitional: plan.transitional, resend: plan.resend };
    this.delivery.log.high = plan.high;
    this.lastHop = 0;
    this.rotation = new Rotation();
    this.enter('recovery');
  }

  /** Old messages first, then the transitional configuration, the rest, and the new ring. */
  private install(): void {
    const forming = this.forming;
    if (forming === null) return;
    if (this.members.length > 0) this.delivery.end(this.ring, forming.transitional);
    this.delivery.begin(forming.log);
    this.ring = forming.ring;
    this.members = forming.members;
    this.forming = null;
    this.enter('operational');
    this.effects.push({ kind: 'view', regular: true, ring: this.ring, members: this.members });
    this.timers.set('merge', this.now + this.timeouts.merge);
    this.delivery.deliver();
    if (this.members.length === 1) {
      this.timers.stop('token');
      this.sendAlone();
    }
  }

  // --- messages ---

  private onMessage(packet: MessagePacket, bytes: Uint8Array): void {
    const log = this.logOf(packet.ring);
    if (log === null) return this.foreign(packet.sender, packet.ring);
    const { seq, sender, encapsulated, safe, body } = packet;
    if (!log.put({ seq, sender, encapsulated, safe, body, packet: bytes })) return;
    if (log === this.forming?.log && encapsulated) this.takeOld(body);
    if (this.phase === 'operational') {
      this.arrived();
      this.delivery.deliver();
    }
  }

  private logOf(ring: RingId): MessageLog | null {
    if (this.forming !== null && sameRing(ring, this.forming.ring)) return this.forming.log;
    return this.members.length > 0 && sameRing(ring, this.ring) ? this.delivery.log : null;
  }

  /** A message of our old ring, resent by a mate on the new one. */
  private takeOld(bytes: Uint8Array): void {
    const old = decode(bytes, this.tag);
    if (old?.kind !== 'message' || !sameRing(old.ring, this.ring)) return;
    const { seq, sender, encapsulated, safe, body } = old;
    this.delivery.log.put({ seq, sender, encapsulated, safe, body, packet: bytes });
  }

  // --- the token ---

  private onToken(token: TokenPacket): void {
    const recovering = this.phase === 'recovery' && this.forming !== null && sameRing(token.ring, this.forming.ring);
    if (!recovering && !(this.phase === 'operational' && sameRing(token.ring, this.ring))) return;
    if (token.hop <= this.lastHop) return;
    this.lastHop = token.hop;
    this.arrived();
    this.timers.set('token', this.now + this.timeouts.token);
    this.woke = false;
    const members = this.forming?.members ?? this.members;
    if (recovering && token.quiet >= members.length) this.install();
    this.visit(token, members);
  }

  /** A sign that what we passed on has arrived. */
  private arrived(): void {
    this.passed = null;
    this.timers.stop('retransmit');
  }

  private visit(token: TokenPacket, members: readonly NodeId[]): void {
    const recovering = this.phase === 'recovery';
    const log = this.forming?.log ?? this.delivery.log;
    const { next, stable } = this.rotation.visit(token, log, {
      self: this.self,
      members: members.length,
      window: this.config.window,
      recovery: recovering ? { left: () => this.forming?.resend.length ?? 0 } : null,
      patient: this.config.patient,
      resend: (packet) => this.send(members, packet, true),
      nextBody: () => this.nextBody(),
      originate: (seq, body) => this.originate(log, members, seq, body),
    });
    if (!recovering) this.delivery.settled(stable);
    const idle = !recovering && this.delivery.outbox.size === 0 && this.rotation.rests();
    if (idle && this.isRepresentative()) {
      this.held = next;
      this.timers.set('hold', this.now + this.timeouts.hold);
    } else this.pass(next);
  }

  /** The next thing to send on the forming or present ring. */
  private nextBody(): NextBody | null {
    if (this.phase !== 'recovery') {
      const filled = this.delivery.outbox.fill(this.config.datagram - MESSAGE_OVERHEAD, MESSAGE_OVERHEAD);
      return filled === null ? null : { ...filled, encapsulated: false };
    }
    const old = this.forming?.resend.shift();
    if (old === undefined) return null;
    const buffer = new Uint8Array(MESSAGE_OVERHEAD + old.length);
    buffer.set(old, MESSAGE_OVERHEAD);
    return { buffer, safe: false, encapsulated: true };
  }

  private originate(log: MessageLog, members: readonly NodeId[], seq: number, next: NextBody): void {
    const ring = this.forming?.ring ?? this.ring;
    const { buffer: packet, encapsulated, safe } = next;
    headMessage(packet, { sender: this.self, ring, seq, encapsulated, safe }, this.tag);
    log.put({ seq, sender: this.self, encapsulated, safe, body: packet.subarray(MESSAGE_OVERHEAD), packet });
    this.send(members, packet);
  }

  private pass(packet: TokenPacket | CommitPacket): void {
    const members = this.forming?.members ?? this.members;
    const to = members[(members.indexOf(this.self) + 1) % members.length];
    if (to === undefined) return;
    const bytes = encode(packet, this.tag);
    this.passed = { to, packet: bytes };
    this.send([to], bytes);
    this.timers.set('retransmit', this.now + this.timeouts.retransmit);
  }

  /** The held token moves on: time is up, or somebody has something to say. */
  private release(): void {
    const token = this.held;
    if (token === null) return;
    this.held = null;
    this.timers.stop('hold');
    this.timers.set('token', this.now + this.timeouts.token);
    this.rotation.rest();
    this.lastHop = token.hop;
    this.visit(token, this.members);
  }

  /** Something new to send: get the token moving when it rests. */
  private hurry(): void {
    if (this.phase !== 'operational') return;
    if (this.members.length === 1) this.sendAlone();
    else if (this.held !== null) this.release();
    else if (!this.isRepresentative() && !this.woke && this.members[0] !== undefined) {
      this.woke = true;
      this.send([this.members[0]], { kind: 'wake', sender: this.self, ring: this.ring });
    }
  }

  /** A ring of one needs no token. */
  private sendAlone(): void {
    for (let next = this.nextBody(); next !== null; next = this.nextBody()) {
      const { log } = this.delivery;
      const seq = log.high + 1;
      this.originate(log, this.members, seq, next);
      this.delivery.settled(seq);
    }
  }
}
