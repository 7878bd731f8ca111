/** One node on the wire: who it is, what it knows of its cluster, its clock, its timers, and what it has to say. */
import type { NodeId } from './ids.ts';
import { clusterTag, encode, type Packet } from './packet.ts';
import type { RingConfig, RingEffect, RingPhase, RingTimeouts } from './ring-types.ts';
import { Timers } from './timers.ts';

export type TimerName = 'token' | 'retransmit' | 'hold' | 'join' | 'consensus' | 'merge' | 'outdated';

export class Station {
  readonly self: NodeId;
  readonly tag: number;
  readonly timers = new Timers<TimerName>();
  config: RingConfig;
  /** The configured nodes. */
  known: ReadonlySet<NodeId>;
  effects: RingEffect[] = [];
  /** Milliseconds. */
  now = 0;
  phase: RingPhase = 'stopped';
  /** Highest ring sequence that this node took part in or has heard of from those it forms a ring with. */
  sequence: number;

  constructor(config: RingConfig) {
    this.config = config;
    this.known = new Set(config.peers);
    this.self = config.self;
    this.sequence = config.sequence;
    this.tag = clusterTag(config.clusterName);
  }

  get timeouts(): RingTimeouts {
    return this.config.timeouts;
  }

  configure(config: RingConfig): void {
    this.config = config;
    this.known = new Set(config.peers);
  }

  /** Sends to all of `to` but ourselves. */
  send(to: readonly NodeId[], packet: Packet): void {
    const others = to.filter((node) => node !== this.self);
    if (others.length > 0)
      this.effects.push({ kind: 'send', to: others, packet: encode(packet, this.tag), again: false });
  }

  /** Starts a timer that runs out in `pause` milliseconds. */
  after(name: TimerName, pause: number): void {
    this.timers.set(name, this.now + pause);
  }

  enter(phase: RingPhase): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.effects.push({ kind: 'phase', phase });
  }
}
