/**
 * Nodes of different config_version. The newest confirmed version always has a member in any quorate ring, because a
 * majority has it: so the older one steps back and is brought up to date, but a quorate ring gives way to nobody.
 */
import type { JoinPacket, MergePacket, Packet } from './packet.ts';
import type { Station } from './station.ts';
import type { Strangers } from './strangers.ts';

type Said = Pick<JoinPacket | MergePacket, 'sender' | 'version'>;

/** `step-back`: ours is the older one, and has to give way. */
export type VersionVerdict = 'same' | 'lower' | 'step-back' | 'kept-out';

/** Without a word of the newer version for so many token timeouts, the older nodes go on without it. */
const PATIENCE = 10;

export class Versions {
  private readonly station: Station;
  private readonly strangers: Strangers;
  /** The last regular view of this node has quorum, as the votes say; false before the first and when unknown. */
  quorate = false;
  private wanted = 0;

  constructor(station: Station, strangers: Strangers) {
    this.station = station;
    this.strangers = strangers;
  }

  /**
   * Judges one that wants to be in a ring with us. The lower version gets `answer`, at most once per `interval`
   * milliseconds, from which it learns of ours. The quorum of the last ring counts while the next one is gathered: one
   * lost token does not make a quorate cluster obey a stranger.
   */
  judge({ sender, version }: Said, answer: () => Packet, interval: number): VersionVerdict {
    const { station } = this;
    const own = station.config.version;
    if (version === own) return 'same';
    const verdict = version < own ? 'lower' : this.quorate ? 'kept-out' : 'step-back';
    if (verdict === 'lower' && this.strangers.mayAnswer(sender, station.now, interval))
      station.send([sender], answer());
    return verdict;
  }

  /** The one so judged is kept out of the ring: tells of it, now and then. */
  keptOut({ sender: peer, version }: Said): void {
    if (!this.strangers.mayReport(peer, version, this.station.now)) return;
    this.station.effects.push({ kind: 'kept-out', peer, version });
  }

  stepBack({ sender: peer, version }: Said): void {
    this.wanted = version;
    this.station.after('outdated', PATIENCE * this.station.timeouts.token);
    this.strangers.mayAnswer(peer, this.station.now, 0);
    this.station.effects.push({ kind: 'outdated', peer, version });
  }

  /** While stepped back: somebody is heard who has a newer version. */
  stillNewer({ sender: peer, version }: Said): void {
    const { station } = this;
    if (version <= station.config.version) return;
    station.after('outdated', PATIENCE * station.timeouts.token);
    if (version <= this.wanted && !this.strangers.mayAnswer(peer, station.now, station.timeouts.token)) return;
    this.wanted = Math.max(this.wanted, version);
    station.effects.push({ kind: 'outdated', peer, version });
  }

  /** The configuration that this node waited for is here. */
  isSatisfied(): boolean {
    return this.station.config.version >= this.wanted;
  }
}
