/**
 * The Totem single-ring protocol (Amir, Moser, Melliar-Smith, Agarwal, Ciarfella 1995) as a state
 * machine: `step(input, now)` gives the effects to carry out, in order. No clock, socket or chance inside.
 * Here: membership (gather, commit, recovery, operational). The token's visits are in token-holder.ts.
 */
import { Delivery } from './delivery.ts';
import { nextSequence, sameRing, type NodeId, type RingId } from './ids.ts';
import { Joins } from './joins.ts';
import { MessageLog, MOST_LOGGED } from './message-log.ts';
import {
  decode,
  type CommitEntry,
  type CommitPacket,
  type JoinPacket,
  type MergePacket,
  type MessagePacket,
  type OldRing,
  type TokenPacket,
} from './packet.ts';
import { planRecovery, type RecoveryPlan } from './recovery.ts';
import type { RingConfig, RingEffect, RingInput } from './ring-types.ts';
import { Station, type TimerName } from './station.ts';
import { Strangers } from './strangers.ts';
import { predecessorOf, TokenHolder, type Course } from './token-holder.ts';
import { Versions } from './versions.ts';

/** A ring that is being formed: agreed, not yet installed. */
interface Forming extends Course {
  /** Null until the commit packet has come round with what everybody brings. */
  readonly plan: RecoveryPlan | null;
  /** Who said goodbye to any of its members. */
  readonly left: readonly NodeId[];
}

export class Ring {
  private readonly station: Station;
  private readonly delivery: Delivery;
  private readonly token: TokenHolder;
  private readonly strangers = new Strangers();
  private readonly versions: Versions;

  private readonly joins: Joins;

  private ring: RingId;
  private members: readonly NodeId[] = [];
  private forming: Forming | null = null;
  /** Who said goodbye since the last view. */
  private left = new Set<NodeId>();

  constructor(config: RingConfig) {
    this.station = new Station(config);
    // Not the id of any real ring (those are multiples of 4): a restarted node shares no history with the
    // members of the ring that it was in, though it may have been that ring's representative.
    this.ring = { representative: config.self, sequence: config.sequence + 1 };
    this.joins = new Joins(this.station);
    this.delivery = new Delivery(config.self, (effect) => this.station.effects.push(effect));
    this.token = new TokenHolder(this.station, this.delivery, this.ring);
    this.versions = new Versions(this.station, this.strangers);
  }

  /** Bytes that wait for the token: the caller's measure for back-pressure. */
  get backlog(): number {
    return this.delivery.outbox.bytes;
  }

  /** When `step({kind: 'timer'})` is due, in the unit of `now`; Infinity when nothing is. */
  deadline(): number {
    return this.station.timers.earliest();
  }

  /** `now` in milliseconds, with fractions; never less than the last one. */
  step(input: RingInput, now: number): RingEffect[] {
    const { station } = this;
    station.now = now;
    station.effects = [];
    switch (input.kind) {
      case 'start':
        if (station.phase === 'stopped') this.gather([], []);
        break;
      case 'packet':
        this.receive(input.bytes);
        break;
      case 'timer':
        this.expireDue();
        break;
      case 'multicast':
        this.delivery.outbox.push(input.payload, input.safe);
        if (station.phase === 'operational') this.token.hurry();
        break;
      case 'heard':
        this.reachable(input.node);
        break;
      case 'datagram':
        station.configure({ ...station.config, datagram: input.bytes, window: input.window });
        break;
      case 'patient':
        station.configure({ ...station.config, patient: input.patient });
        break;
      case 'peers':
        this.reconfigure({ ...station.config, peers: input.peers, timeouts: input.timeouts, version: input.version });
        break;
      case 'quorate':
        this.versions.quorate = input.quorate;
        break;
      case 'leave':
        this.leave();
        break;
    }
    return station.effects;
  }

  // --- inputs ---

  private receive(bytes: Uint8Array): void {
    const packet = decode(bytes, this.station.tag);
    if (packet === null || packet.sender === this.station.self || this.station.phase === 'stopped') return;
    if (!this.station.known.has(packet.sender)) return;
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
        return this.onMerge(packet);
      case 'wake':
        if (this.station.phase === 'operational') this.token.wake(packet.ring);
    }
  }

  private expireDue(): void {
    const { timers, now } = this.station;
    // A node that was paused for longer than the token timeout must not first send the token that it held.
    if (timers.isDue('token', now)) {
      timers.stop('token');
      this.expire('token');
    }
    for (let name = timers.take(now); name !== null; name = timers.take(now)) this.expire(name);
  }

  private expire(name: TimerName): void {
    switch (name) {
      case 'token':
        // The ring is broken (operational, recovery) or could not be formed (commit).
        return this.gather([], []);
      case 'retransmit':
        return this.token.passAgain();
      case 'hold':
        return this.token.release();
      case 'join':
        this.joins.send();
        return this.tryCommit();
      case 'consensus':
        return this.consensusExpired();
      case 'merge':
        return this.announce();
      case 'outdated':
        // Who had the newer version is gone, and with it what we were waiting for.
        return this.gather([], []);
    }
  }

  private reachable(node: NodeId): void {
    this.strangers.welcome(node);
    if (this.station.phase === 'gather') this.station.send([node], this.joins.packet(false));
    else if (this.station.phase === 'operational' && !this.members.includes(node) && this.isRepresentative()) {
      this.station.send([node], this.mergePacket());
    }
  }

  private reconfigure(config: RingConfig): void {
    const { station } = this;
    const before = station.config.version;
    station.configure(config);
    if (station.phase === 'outdated') {
      if (this.versions.isSatisfied()) this.gather([], []);
      return;
    }
    const gone = this.members.filter((node) => !station.known.has(node));
    if (station.phase === 'gather') {
      // Who agreed, agreed with the configuration of before.
      if (gone.length > 0 || before !== config.version) this.gather([], gone);
    } else if (gone.length > 0 && station.phase !== 'stopped') this.gather([], gone);
    else if (station.phase === 'operational') this.announce();
  }

  private leave(): void {
    const { station } = this;
    if (station.phase === 'stopped') return;
    station.send(station.config.peers, this.joins.packet(true));
    this.token.stop();
    station.timers.clear();
    this.forming = null;
    station.enter('stopped');
  }

  // --- other rings ---

  private isRepresentative(): boolean {
    return this.members[0] === this.station.self;
  }
  private mergePacket(): MergePacket {
    const { self, config } = this.station;
    return { kind: 'merge', sender: self, ring: this.ring, version: config.version };
  }

  /** Lets nodes that are configured but not in the ring know of it, so that partitions merge. */
  private announce(): void {
    const { station } = this;
    if (station.phase !== 'operational') return;
    if (this.isRepresentative()) {
      const absent = station.config.peers.filter((node) => !this.members.includes(node));
      station.send(absent, this.mergePacket());
    }
    station.after('merge', station.timeouts.merge);
  }

  private onMerge(packet: MergePacket): void {
    const { station } = this;
    const { sender } = packet;
    if (sameRing(packet.ring, this.ring)) return;
    if (station.phase === 'gather') {
      if (this.joins.gathering.knows(sender) || !this.admits(packet)) return;
      this.joins.gathering.add(sender);
      this.joins.soon();
    } else if (station.phase === 'outdated') this.versions.stillNewer(packet);
    else if (station.phase === 'operational') {
      // One of ours has gone on to a later ring without us.
      if (this.members.includes(sender)) {
        if (packet.ring.sequence > this.ring.sequence) this.gather([], []);
      } else if (this.admitsToRing(packet) && this.strangers.worthTrying(sender, station.now))
        this.gather([sender], []);
    }
  }

  /**
   * A packet of a ring that is not ours: its sender may be alive and not with us. The packet may also be late, or have
   * been sent again by somebody else. So the sender is told of us, and what it answers counts.
   */
  private foreign(sender: NodeId, ring: RingId): void {
    const { station } = this;
    if (sameRing(ring, this.ring) || this.members.includes(sender)) return;
    if (!this.strangers.mayAnswer(sender, station.now, station.timeouts.merge)) return;
    if (station.phase === 'operational') station.send([sender], this.mergePacket());
    else if (station.phase === 'gather') station.send([sender], this.joins.packet(false));
  }

  // --- config_version ---

  /** In the gather state: whether this node is one to form a ring with. */
  private admits(packet: JoinPacket | MergePacket): boolean {
    const verdict = this.versions.judge(packet, () => this.joins.packet(false), this.station.timeouts.join);
    if (verdict === 'step-back') this.stepBack(packet);
    return verdict === 'same';
  }

  /** In the operational state: whether this node, which is not in the ring, is one to form a new ring for. */
  private admitsToRing(packet: JoinPacket | MergePacket): boolean {
    const verdict = this.versions.judge(packet, () => this.mergePacket(), this.station.timeouts.merge);
    if (verdict === 'step-back') this.stepBack(packet);
    else if (verdict !== 'same') this.versions.keptOut(packet);
    return verdict === 'same';
  }

  /** Out of any ring, until the daemon has the newer configuration. Nothing is sent, so that nobody waits for us. */
  private stepBack(packet: JoinPacket | MergePacket): void {
    const { station } = this;
    this.forming = null;
    this.token.stop();
    station.timers.clear();
    station.enter('outdated');
    this.versions.stepBack(packet);
  }

  // --- gather: agree on who shall be in the next ring ---

  private gather(more: readonly NodeId[], gone: readonly NodeId[]): void {
    const { station } = this;
    this.forming = null;
    this.token.stop();
    station.timers.stop('merge');
    station.timers.stop('outdated');
    const known = [...this.members, ...more].filter((node) => station.known.has(node));
    station.enter('gather');
    this.joins.begin(known, gone);
  }

  private onJoin(join: JoinPacket): void {
    const { station } = this;
    if (station.phase === 'outdated') return join.leaving ? undefined : this.versions.stillNewer(join);
    if (join.leaving) return this.onGoodbye(join);
    if (station.phase !== 'gather') {
      if (!this.breaksRing(join)) return;
      this.gather([join.sender], []);
    }
    if (!this.admits(join)) {
      if (station.phase === 'gather') this.exclude(join.sender);
      return;
    }
    const verdict = this.joins.gathering.hear(join, station.known);
    if (verdict === 'ignored') return;
    // A sequence heard of need not be on disk: the one we form or join is, and is higher.
    station.sequence = Math.max(station.sequence, join.sequence);
    if (verdict === 'learned') this.joins.changed();
    else if (verdict === 'behind') this.joins.soon();
    this.tryCommit();
  }

  /** Without this node in this round. */
  private exclude(node: NodeId): void {
    if (!this.joins.gathering.exclude(node)) return;
    this.joins.changed();
    this.tryCommit();
  }

  /** The ring that we are in or form. */
  private standing(): Pick<Course, 'ring' | 'members'> {
    return this.forming ?? { ring: this.ring, members: this.members };
  }

  /** Whether a join means that the ring that we are in or form must give way to a new one. */
  private breaksRing(join: JoinPacket): boolean {
    const { members, ring } = this.standing();
    if (members.includes(join.sender)) {
      // A join that was sent before this ring was formed, and came late.
      if (join.sequence < ring.sequence) return false;
    } else {
      // A ring that is being formed is finished first. Its members hear the stranger's next join.
      if (this.forming !== null || !this.admitsToRing(join)) return false;
    }
    // It has given up on some of us in its round. To answer would break our ring and carry its
    // verdict among us; once the sender has its own ring, the two find each other afresh.
    return !join.fail.some((node) => members.includes(node));
  }

  private onGoodbye(join: JoinPacket): void {
    const { members, ring } = this.standing();
    if (join.sequence < ring.sequence) return;
    if (this.members.includes(join.sender)) this.left.add(join.sender);
    if (this.station.phase === 'gather') this.exclude(join.sender);
    else if (members.includes(join.sender)) this.gather([], [join.sender]);
  }

  private consensusExpired(): void {
    const { station } = this;
    const { gathering } = this.joins;
    if (station.phase !== 'gather') return;
    // Agreed, and yet no commit packet came: ask everyone anew, the representative may be dead.
    if (gathering.consensus() && gathering.candidates()[0] !== station.self) gathering.disagree();
    else if (!gathering.consensus()) gathering.giveUp();
    this.joins.send();
    station.after('consensus', station.timeouts.consensus);
    this.tryCommit(true);
  }

  /** The lowest id of an agreed set forms the ring. Alone only when the wait for others is over. */
  private tryCommit(waited = false): void {
    const { station } = this;
    const { gathering } = this.joins;
    if (station.phase !== 'gather') return;
    const members = gathering.candidates();
    if (members[0] !== station.self || !gathering.consensus()) return;
    if (members.length === 1 && !waited && station.known.size > 1) return;
    // Some agree quickly, but not all are there: one join interval for those who start a little later.
    const early = station.now < gathering.since + station.timeouts.join;
    if (early && !waited && members.length < station.known.size) return;
    const ring: RingId = {
      representative: station.self,
      sequence: nextSequence(station.sequence, station.config.sequence),
    };
    const entries = members.map((node): CommitEntry => ({ node, old: node === station.self ? this.oldRing() : null }));
    this.form(ring, members);
    if (members.length > 1) return this.token.pass({ kind: 'commit', sender: station.self, ring, entries });
    this.recover(entries);
    this.install();
  }

  // --- commit: the commit packet goes round twice, collecting where everyone stands ---

  private oldRing(): OldRing {
    const { aru, high } = this.delivery.log;
    return { ring: this.ring, aru, high, stable: this.delivery.stable, left: [...this.left] };
  }

  /** The ring's sequence is on disk before anything is said on it. */
  private form(ring: RingId, members: readonly NodeId[]): void {
    const { station } = this;
    station.sequence = ring.sequence;
    station.effects.push({ kind: 'persist', sequence: ring.sequence });
    this.forming = { ring, members, log: new MessageLog(), plan: null, left: [] };
    this.token.follow(this.forming);
    station.timers.stop('join');
    station.timers.stop('consensus');
    station.after('token', station.timeouts.token);
    station.enter('commit');
  }

  private onCommit(commit: CommitPacket): void {
    const { self, phase } = this.station;
    const members = commit.entries.map((entry) => entry.node);
    if (commit.sender !== predecessorOf(self, members)) return;
    const complete = commit.entries.every((entry) => entry.old !== null);
    if (commit.entries.some(({ old }) => old !== null && Math.abs(old.high - old.aru) > MOST_LOGGED)) return;
    if (phase === 'gather') {
      const agreed = this.joins.gathering.candidates();
      const same = agreed.length === members.length && agreed.every((node, index) => node === members[index]);
      if (!same || commit.ring.sequence <= this.station.sequence || complete) return;
      this.form(commit.ring, members);
      const entries = commit.entries.map((entry) => (entry.node === self ? { ...entry, old: this.oldRing() } : entry));
      return this.token.pass({ ...commit, sender: self, entries });
    }
    if (this.forming === null || !sameRing(commit.ring, this.forming.ring) || !complete) return;
    if (phase === 'commit') {
      this.recover(commit.entries);
      this.token.pass({ ...commit, sender: self });
    } else if (phase === 'recovery' && this.forming.members[0] === self) this.token.create();
  }

  // --- recovery: those who come from one ring give each other what the others lack of it ---

  private recover(entries: readonly CommitEntry[]): void {
    const { forming, station } = this;
    if (forming === null) return;
    const plan = planRecovery(station.self, this.ring, this.delivery.log, entries, station.tag);
    const left = new Set(entries.flatMap((entry) => entry.old?.left ?? []));
    for (const back of forming.members) left.delete(back);
    this.forming = { ...forming, plan, left: [...left].sort((a, b) => a - b) };
    this.delivery.log.high = plan.high;
    this.token.recover(plan.resend);
    station.enter('recovery');
  }

  /** Old messages first, then the transitional configuration, the rest, and the new ring. */
  private install(): void {
    const { forming, station } = this;
    if (forming === null || forming.plan === null) return;
    if (this.members.length > 0) this.delivery.end(this.ring, forming.plan.transitional, forming.plan.stable);
    this.delivery.begin(forming.log);
    for (const node of this.joins.gathering.procs()) {
      if (forming.members.includes(node)) this.strangers.welcome(node);
      else if (!this.members.includes(node)) this.strangers.failed(node, station.now, station.timeouts.token);
    }
    this.ring = forming.ring;
    this.members = forming.members;
    this.forming = null;
    this.left.clear();
    this.versions.quorate = false;
    station.enter('operational');
    const { ring, members } = this;
    station.effects.push({ kind: 'view', regular: true, ring, members, left: forming.left });
    station.after('merge', station.timeouts.merge);
    this.delivery.deliver();
    this.token.settle();
  }

  // --- messages and the token ---

  private onMessage(packet: MessagePacket, bytes: Uint8Array): void {
    const { phase } = this.station;
    const { seq, sender, encapsulated, safe, body, ring } = packet;
    if (this.forming !== null && sameRing(ring, this.forming.ring)) {
      const isNew = this.forming.log.put({ seq, sender, encapsulated, safe, body, packet: bytes });
      if (!isNew) return;
      this.token.heard(seq);
      if (encapsulated) this.takeOld(body);
      return;
    }
    if (this.members.length === 0 || !sameRing(ring, this.ring)) return this.foreign(sender, ring);
    // In recovery what the members of the old ring deliver of it is settled: only what is resent counts.
    if (phase === 'recovery') return;
    if (!this.delivery.log.put({ seq, sender, encapsulated, safe, body, packet: bytes })) return;
    if (phase !== 'operational') return;
    this.token.heard(seq);
    this.delivery.deliver();
  }

  /** A message of our old ring, resent by a mate on the new one. */
  private takeOld(bytes: Uint8Array): void {
    const old = decode(bytes, this.station.tag);
    if (old?.kind !== 'message' || !sameRing(old.ring, this.ring)) return;
    const { seq, sender, encapsulated, safe, body } = old;
    this.delivery.log.put({ seq, sender, encapsulated, safe, body, packet: bytes });
  }

  private onToken(token: TokenPacket): void {
    const { phase } = this.station;
    if (phase !== 'recovery' && phase !== 'operational') return;
    if (!this.token.accept(token)) {
      if (phase === 'operational') this.foreign(token.sender, token.ring);
      return;
    }
    if (this.forming !== null && token.quiet >= this.forming.members.length) this.install();
    this.token.visit(token);
  }
}
