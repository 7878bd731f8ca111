/** The join packets that this node sends while a ring is gathered, and their pace. */
import { Gathering } from './gathering.ts';
import type { NodeId } from './ids.ts';
import type { JoinPacket } from './packet.ts';
import type { Station } from './station.ts';

export class Joins {
  private readonly station: Station;
  /** What this node says: the present round, or the last one. */
  gathering: Gathering;
  private sent = -Infinity;

  constructor(station: Station) {
    this.station = station;
    this.gathering = new Gathering(station.self, [], [], 0);
  }

  /** A new round, with these nodes and without those. */
  begin(proc: readonly NodeId[], fail: readonly NodeId[]): void {
    const { station } = this;
    this.gathering = new Gathering(station.self, proc, fail, station.now);
    this.send();
    station.after('consensus', station.timeouts.consensus);
  }

  send(): void {
    const { station } = this;
    station.send(station.config.peers, this.packet(false));
    this.sent = station.now;
    station.after('join', Math.max(station.timeouts.join, this.pause()));
  }

  /** What one join teaches is told with the next ones: where many nodes start at once, not one for each. */
  soon(): void {
    const { station } = this;
    const due = this.sent + this.pause();
    if (due <= station.now) this.send();
    else station.timers.set('join', due);
  }

  /** The sets have changed: everybody is to know, and gets the time to agree anew. */
  changed(): void {
    this.soon();
    this.station.after('consensus', this.station.timeouts.consensus);
  }

  packet(leaving: boolean): JoinPacket {
    const { self, sequence, config } = this.station;
    const [proc, fail] = [this.gathering.procs(), this.gathering.fails()];
    return { kind: 'join', sender: self, leaving, sequence, version: config.version, proc, fail };
  }

  /** Milliseconds between two joins. Each goes to every node, so that their number grows with its square. */
  private pause(): number {
    return Math.max(2, this.station.config.peers.length / 2);
  }
}
