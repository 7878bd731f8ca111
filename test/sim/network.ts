/** The network between simulated nodes: what becomes of a packet. */
import type { NodeId } from '../../agent/totem/ids.ts';
import type { Chance } from './chance.ts';
import type { Faults } from './plan.ts';

/** Old packets that somebody may have kept. */
const KEPT = 400;

export interface Arrival {
  /** Milliseconds from now. */
  readonly after: number;
  readonly bytes: Uint8Array;
}

const NONE: readonly Arrival[] = [];

export class Network {
  faults: Faults;
  private readonly chance: Chance;
  /** Which side of the partition each node is on; all equal: no partition. */
  private readonly side = new Map<NodeId, number>();
  private readonly oneWay = new Set<number>();
  private readonly kept: Uint8Array[] = [];
  /** Until when each node's link is busy with what it was given. */
  private readonly busyUntil = new Map<NodeId, number>();
  private seen = 0;

  constructor(faults: Faults, chance: Chance) {
    this.faults = faults;
    this.chance = chance;
  }

  partition(side: ReadonlyMap<NodeId, number>): void {
    this.side.clear();
    for (const [node, where] of side) this.side.set(node, where);
  }
  cut(from: NodeId, to: NodeId): void {
    this.oneWay.add(pair(from, to));
  }
  mend(from: NodeId, to: NodeId): void {
    this.oneWay.delete(pair(from, to));
  }
  /** No partition and no cut any more; what is random about it stays. */
  heal(): void {
    this.side.clear();
    this.oneWay.clear();
  }
  reaches(from: NodeId, to: NodeId): boolean {
    return this.side.get(from) === this.side.get(to) && !this.oneWay.has(pair(from, to));
  }

  /** When and how a packet that is sent `now` arrives: not at all, once or more. */
  carry(from: NodeId, to: NodeId, packet: Uint8Array, now: number): readonly Arrival[] {
    const { bandwidth = Infinity } = this.faults;
    if (bandwidth === Infinity) return this.carried(from, to, packet);
    const sent = Math.max(now, this.busyUntil.get(from) ?? 0) + packet.length / bandwidth;
    this.busyUntil.set(from, sent);
    return this.carried(from, to, packet).map(({ after, bytes }) => ({ after: after + sent - now, bytes }));
  }

  private carried(from: NodeId, to: NodeId, packet: Uint8Array): readonly Arrival[] {
    const { chance, faults } = this;
    this.keep(packet);
    if (!this.reaches(from, to) || (faults.loss > 0 && chance.happens(faults.loss))) return NONE;
    const first = this.arrival(packet);
    return faults.duplication > 0 && chance.happens(faults.duplication) ? [first, this.arrival(packet)] : [first];
  }

  /** A packet of earlier, perhaps of an earlier life, as somebody might send it again; null before the first. */
  replayed(): Uint8Array | null {
    return this.kept[this.chance.below(this.kept.length)] ?? null;
  }

  /** What a stranger sends who has not the key: noise, or a packet that was tampered with where it shows. */
  forged(): Uint8Array {
    const bytes = this.replayed();
    if (bytes === null || this.chance.happens(0.5)) {
      return Uint8Array.from({ length: this.chance.below(80) }, () => this.chance.below(256));
    }
    return this.damaged(bytes);
  }

  private arrival(packet: Uint8Array): Arrival {
    const { chance, faults } = this;
    const late = faults.late > 0 && chance.happens(faults.late) ? chance.below(faults.latest) : 0;
    const after = 0.1 + late + chance.below(faults.delay * 10) / 10;
    return { after, bytes: faults.corruption > 0 && chance.happens(faults.corruption) ? this.damaged(packet) : packet };
  }

  /** UDP's checksum (and, with crypto, the seal) drops damaged packets; damage that the ring sees is in the head. */
  private damaged(packet: Uint8Array): Uint8Array {
    const bytes = packet.slice();
    const at = this.chance.below(8);
    bytes[at] = (bytes[at] ?? 0) ^ (1 + this.chance.below(255));
    // Another kind of packet under the same tag is what the seal is for.
    if (at === 3) bytes[4] = (bytes[4] ?? 0) ^ 0xff;
    return bytes;
  }

  private keep(packet: Uint8Array): void {
    this.seen += 1;
    if (this.kept.length < KEPT) this.kept.push(packet);
    else if (this.seen % 7 === 0) this.kept[this.chance.below(KEPT)] = packet;
  }
}

const pair = (from: NodeId, to: NodeId): number => from * 65_536 + to;
