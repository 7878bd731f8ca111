/** One node of a simulation: the production ring and votes, with a disk, a clock that may be wrong, and lives. */
import {
  quorumDeadline,
  quorumMemory,
  quorumStatus,
  startQuorum,
  stepQuorum,
  type QuorumInput,
  type QuorumMemory,
  type QuorumState,
} from '../../agent/quorum/quorum.ts';
import type { NodeId } from '../../agent/totem/ids.ts';
import { Ring } from '../../agent/totem/ring.ts';
import type { RingInput, RingPhase } from '../../agent/totem/ring-types.ts';
import type { Standing } from './checkers/checker.ts';
import type { Plan } from './plan.ts';

/** corosync.conf, as far as the ring reads it. */
export interface Conf {
  readonly version: number;
  readonly peers: readonly NodeId[];
}

/** What survives a kill. */
export interface Disk {
  sequence: number | null;
  memory: QuorumMemory | null;
  conf: Conf;
}

export class SimulatedNode {
  readonly id: NodeId;
  private readonly plan: Plan;
  ring: Ring;
  quorum: QuorumState;
  disk: Disk;
  up = false;
  /** Grows with each start. */
  life = 0;
  phase: RingPhase = 'stopped';
  /** Of the last regular view. */
  members: readonly NodeId[] = [];
  /** The last transitional configuration: who comes along into the next view. */
  along: readonly NodeId[];
  pausedUntil = 0;
  /** Packets that wait in the socket of a paused node. */
  inbox: RingInput[] = [];
  /** Messages said, and delivered, in this life. */
  sent = 0;
  taken = 0;
  /** When its timer will be looked at, in the simulation's time. */
  wakesAt = Infinity;
  /** Effects that are still carried out before it is killed; null: it is not about to be. */
  dyingAfter: number | null = null;
  /** Killed as soon as it is in this phase. */
  dyingIn: RingPhase | null = null;
  fetching = false;
  /** Its clock against the simulation's: rate, and what it is ahead. */
  private readonly rate: number;
  private ahead: number;

  constructor(id: NodeId, plan: Plan, conf: Conf, clock: { readonly rate: number; readonly ahead: number }) {
    this.id = id;
    this.plan = plan;
    this.rate = clock.rate;
    this.ahead = clock.ahead;
    this.disk = { sequence: null, memory: null, conf };
    this.along = [id];
    this.ring = this.newRing(0);
    this.quorum = startQuorum(plan.quorum);
  }

  /** `fresh`: where a node without stored sequence starts. */
  start(fresh: number): void {
    this.up = true;
    this.life += 1;
    this.phase = 'stopped';
    this.members = [];
    this.along = [this.id];
    this.inbox = [];
    this.sent = 0;
    this.taken = 0;
    this.wakesAt = Infinity;
    this.dyingAfter = null;
    this.dyingIn = null;
    this.fetching = false;
    this.ring = this.newRing(this.disk.sequence ?? fresh);
    this.quorum = startQuorum(this.plan.quorum, this.disk.memory);
  }

  /** This node's own clock, milliseconds. */
  clock(now: number): number {
    return this.ahead + now * this.rate;
  }
  /** When this node's clock will say `at`. */
  whenClockSays(at: number): number {
    return (at - this.ahead) / this.rate;
  }
  /** A paused virtual machine finds its clock set forward. */
  jump(ms: number): void {
    this.ahead += ms;
  }

  deadline(): number {
    return this.whenClockSays(Math.min(this.ring.deadline(), quorumDeadline(this.quorum)));
  }

  stepQuorum(input: QuorumInput): void {
    const next = stepQuorum(this.quorum, input);
    if (!next.ok) throw new Error(next.error);
    this.quorum = next.value;
    this.disk.memory = quorumMemory(this.quorum);
  }

  /** Whether it is in a ring of exactly these: ids with spaces between. */
  isInRing(members: string): boolean {
    return this.up && this.phase === 'operational' && this.members.join(' ') === members;
  }

  standing(): Standing {
    const quorate = this.up && this.phase === 'operational' && quorumStatus(this.quorum).quorate;
    return { node: this.id, quorate, members: this.members };
  }

  private newRing(sequence: number): Ring {
    const { timeouts, datagram, window, patient } = this.plan;
    const { version, peers } = this.disk.conf;
    return new Ring({
      ...{ self: this.id, clusterName: 'sim', peers, timeouts, datagram, window, sequence, patient, version },
    });
  }
}
