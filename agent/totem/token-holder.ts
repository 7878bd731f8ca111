/**
 * The token at this node, on the ring that it is in or that is being formed: what is done on a visit, how the token is
 * passed on and passed on again, and how it rests on an idle ring (Totem, sections 3 and 4).
 */
import type { Delivery } from './delivery.ts';
import { sameRing, type NodeId, type RingId } from './ids.ts';
import { MOST_LOGGED, type MessageLog } from './message-log.ts';
import { encode, headMessage, MESSAGE_OVERHEAD, type CommitPacket, type TokenPacket } from './packet.ts';
import { mayRest, Rotation, type NextBody, type Visitor } from './rotation.ts';
import type { Station } from './station.ts';

/**
 * How long the token rests while what was sent is likely to be answered; milliseconds. What is lost meanwhile, a message
 * or a member's word that it has something to say, costs no more than this.
 */
const BRIEF_HOLD = 4;

/** The way of the token. */
export interface Course {
  readonly ring: RingId;
  /** In ring order. */
  readonly members: readonly NodeId[];
  readonly log: MessageLog;
}

export class TokenHolder {
  private readonly station: Station;
  private readonly delivery: Delivery;
  private course: Course;
  /** `course.members` without this node. */
  private others: readonly NodeId[] = [];
  private successor: NodeId | null = null;
  private predecessor: NodeId | null = null;
  /** Messages of our old ring still to be resent, and how far we are; null when not in recovery. */
  private resend: { readonly packets: readonly Uint8Array[]; at: number } | null = null;

  /** The last packet passed around the ring, until there is a sign that it arrived. */
  private passed: { readonly to: NodeId; readonly packet: Uint8Array; readonly seq: number } | null = null;
  private held: TokenPacket | null = null;
  private lastHop = 0;
  /** Messages on the ring in the rotation before our last visit: few, and the token may be resting. */
  private lastFlow = 0;
  private woke = false;
  private rotation = new Rotation();
  private readonly deeds: Pick<Visitor, 'waiting' | 'resend' | 'nextBody' | 'originate'> = {
    waiting: () => this.waiting(),
    resend: (packet) => this.spread(packet, true),
    nextBody: () => this.nextBody(),
    originate: (seq, body) => this.originate(seq, body),
  };

  constructor(station: Station, delivery: Delivery, ring: RingId) {
    this.station = station;
    this.delivery = delivery;
    this.course = { ring, members: [], log: delivery.log };
  }

  // --- a ring's life ---

  /** A ring is being formed. The commit packet travels its course first. */
  follow(course: Course): void {
    const { members } = course;
    const { self } = this.station;
    this.course = course;
    this.others = members.filter((node) => node !== self);
    const next = members[(members.indexOf(self) + 1) % members.length];
    this.successor = next === undefined || next === self ? null : next;
    this.predecessor = predecessorOf(self, members);
    this.held = null;
    this.lastHop = 0;
    this.lastFlow = 0;
    this.woke = false;
    this.rotation = new Rotation();
    this.resend = null;
  }

  /** Recovery begins: these packets of the old ring are this node's to resend. */
  recover(packets: readonly Uint8Array[]): void {
    this.resend = { packets, at: 0 };
  }

  /** Recovery is over: the ring is installed. */
  settle(): void {
    this.resend = null;
    if (this.others.length > 0) return;
    this.station.timers.stop('token');
    this.sendAlone();
  }

  /** The ring is broken. */
  stop(): void {
    this.held = null;
    this.passed = null;
    for (const name of ['token', 'retransmit', 'hold'] as const) this.station.timers.stop(name);
  }

  // --- visits ---

  /** The representative's first token. */
  create(): void {
    if (this.lastHop !== 0) return;
    const { ring } = this.course;
    const none = { hop: 1, seq: 0, aru: 0, aruSetter: 0, flow: 0, backlog: 0, quiet: 0, missing: [] };
    const token: TokenPacket = { kind: 'token', sender: this.station.self, ring, ...none };
    if (this.take(token)) this.visit(token);
  }

  /**
   * Takes a token that has come by. False for one of another ring, one that was here before, or an impossible one.
   * And for one that is on its way to somebody else: sent to us by whoever recorded it, it would be a second token
   * (found by the simulator).
   */
  accept(token: TokenPacket): boolean {
    return token.sender === this.predecessor && this.take(token);
  }

  private take(token: TokenPacket): boolean {
    const { ring, log } = this.course;
    if (!sameRing(token.ring, ring) || token.hop <= this.lastHop) return false;
    if (token.aru > token.seq || token.seq - Math.min(token.aru, log.aru) > MOST_LOGGED) return false;
    this.lastHop = token.hop;
    this.woke = false;
    this.arrived();
    this.station.after('token', this.station.timeouts.token);
    return true;
  }

  visit(token: TokenPacket, rested = false): void {
    const { next, stable } = this.rotation.visit(token, this.course.log, this.visitor(), rested);
    this.lastFlow = next.flow;
    if (this.resend === null) {
      this.delivery.settled(stable);
      const { rest } = this.rotation;
      if (rest !== 'none' && this.isRepresentative() && this.delivery.outbox.size === 0) {
        const { hold } = this.station.timeouts;
        this.held = next;
        return this.station.after('hold', rest === 'long' ? hold : Math.min(hold, BRIEF_HOLD));
      }
    }
    this.pass(next);
  }

  /** Passes a packet on, and again until there is a sign that it arrived. */
  pass(packet: TokenPacket | CommitPacket): void {
    const to = this.successor;
    if (to === null) return;
    const bytes = encode(packet, this.station.tag);
    this.passed = { to, packet: bytes, seq: packet.kind === 'token' ? packet.seq : 0 };
    this.station.effects.push({ kind: 'send', to: [to], packet: bytes, again: false });
    this.station.after('retransmit', this.station.timeouts.retransmit + this.restAt(to));
  }

  /**
   * How long the token may rest there. On an idle ring its silence is no sign of a loss; sent again all the same, the
   * token would cost each idle ring two packets and wakeups in each rotation.
   */
  private restAt(to: NodeId): number {
    return this.rotation.rest === 'long' && to === this.course.members[0] ? this.station.timeouts.hold : 0;
  }

  passAgain(): void {
    if (this.passed === null) return;
    const { to, packet } = this.passed;
    this.station.effects.push({ kind: 'send', to: [to], packet, again: true });
    this.station.after('retransmit', this.station.timeouts.retransmit);
  }

  /**
   * A message came. Only one with a number that the token had not reached when we passed it was sent by a later
   * holder; any other may have been on its way for long and says nothing of our token.
   */
  heard(seq: number): void {
    if (this.passed !== null && seq > this.passed.seq) this.arrived();
  }

  private arrived(): void {
    if (this.passed === null) return;
    this.passed = null;
    this.station.timers.stop('retransmit');
  }

  // --- an idle ring ---

  /** The held token moves on: time is up, or somebody has something to say. */
  release(): void {
    const token = this.held;
    if (token === null) return;
    this.held = null;
    this.station.timers.stop('hold');
    this.station.after('token', this.station.timeouts.token);
    this.rotation.stir();
    this.lastHop = token.hop;
    this.visit(token, true);
  }

  /** Somebody has something to say and thinks that the token rests here. It may be about to. */
  wake(ring: RingId): void {
    if (!sameRing(ring, this.course.ring)) return;
    this.rotation.stir();
    this.release();
  }

  /** Something new to send: get the token moving where it rests. */
  hurry(): void {
    if (this.others.length === 0) this.sendAlone();
    else if (this.held !== null) this.release();
    else if (!this.isRepresentative() && !this.woke && mayRest(this.lastFlow)) {
      // While many messages flow the representative does not hold the token.
      this.woke = true;
      const { ring, members } = this.course;
      this.station.send(members.slice(0, 1), { kind: 'wake', sender: this.station.self, ring });
    }
  }

  private isRepresentative(): boolean {
    return this.course.members[0] === this.station.self;
  }

  // --- messages ---

  private visitor(): Visitor {
    const { window, datagram, patient } = this.station.config;
    const { self } = this.station;
    const members = this.course.members.length;
    return { self, members, window, datagram, patient, recovering: this.resend !== null, ...this.deeds };
  }

  /** Largest body, so that a message of this ring fits a packet of the next one when it is resent in recovery. */
  private get room(): number {
    return this.station.config.datagram - 2 * MESSAGE_OVERHEAD;
  }

  private waiting(): number {
    if (this.resend !== null) return this.resend.packets.length - this.resend.at;
    return this.delivery.outbox.bodies(this.room);
  }

  private nextBody(): NextBody | null {
    if (this.resend === null) {
      const filled = this.delivery.outbox.fill(this.room, MESSAGE_OVERHEAD);
      return filled === null ? null : { buffer: filled.buffer, safe: filled.safe, encapsulated: false };
    }
    const old = this.resend.packets[this.resend.at];
    if (old === undefined) return null;
    this.resend.at += 1;
    const buffer = new Uint8Array(MESSAGE_OVERHEAD + old.length);
    buffer.set(old, MESSAGE_OVERHEAD);
    return { buffer, safe: false, encapsulated: true };
  }

  private originate(seq: number, next: NextBody): void {
    const { ring, log } = this.course;
    const { self, tag } = this.station;
    const { buffer: packet, encapsulated, safe } = next;
    headMessage(packet, { sender: self, ring, seq, encapsulated, safe }, tag);
    log.put({ seq, sender: self, encapsulated, safe, body: packet.subarray(MESSAGE_OVERHEAD), packet });
    this.spread(packet, false);
  }

  private spread(packet: Uint8Array, again: boolean): void {
    if (this.others.length > 0) this.station.effects.push({ kind: 'send', to: this.others, packet, again });
  }

  /** A ring of one needs no token. */
  private sendAlone(): void {
    const { log } = this.course;
    for (let next = this.nextBody(); next !== null; next = this.nextBody()) {
      const seq = log.high + 1;
      this.originate(seq, next);
      this.delivery.settled(seq);
    }
  }
}

/** Who passes the token, or a commit packet, on to `self`. */
export function predecessorOf(self: NodeId, members: readonly NodeId[]): NodeId | null {
  return members[(members.indexOf(self) + members.length - 1) % members.length] ?? null;
}
