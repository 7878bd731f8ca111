/** The connections that the engine keeps to Corosync's services besides its groups: all together, or none. */
import { CS, csError, type Opened } from './corosync-calls.ts';
import type { Corosync } from './libraries.ts';
import type { CmapConnection } from './library-cmap.ts';
import type { QuorumEvents, VoteInfo } from './library-quorum.ts';

export interface ConnectionEvents extends QuorumEvents {
  /** What votequorum tells may be another. */
  votes(): void;
  /** What Corosync runs with may be another: a reload has ended, or this very value was set. */
  configuration(): void;
  /** A link came, went, or is up or down now. */
  links(): void;
}

export class Connections {
  readonly configuration: CmapConnection;
  readonly statistics: CmapConnection;
  readonly #corosync: Corosync;
  readonly #quorum: Opened;
  readonly #votes: Opened;
  readonly #tracked = new Set<string>();

  private constructor(
    corosync: Corosync,
    quorum: Opened,
    votes: Opened,
    cmap: { readonly configuration: CmapConnection; readonly statistics: CmapConnection },
  ) {
    this.#corosync = corosync;
    this.#quorum = quorum;
    this.#votes = votes;
    this.configuration = cmap.configuration;
    this.statistics = cmap.statistics;
  }

  /** Throws with the reason when one of them cannot be had. */
  static open(corosync: Corosync, events: ConnectionEvents): Connections {
    const opened: Opened[] = [];
    const keep = <T extends Opened>(one: T | { readonly error: number }): T => {
      if ('error' in one) throw new Error(csError(one.error));
      opened.push(one);
      return one;
    };
    const check = (code: number): void => {
      if (code !== CS.ok) throw new Error(csError(code));
    };
    try {
      const votes = keep(corosync.votes.open(events.votes));
      const configuration = keep<CmapConnection>(corosync.cmap.open('configuration', events.configuration));
      check(configuration.trackKey('totem.config_version'));
      // config.reload_in_progress goes back to 0 when all services have taken the new file (cmap_keys(8)).
      check(configuration.trackPrefix('config.', true));
      const statistics = keep<CmapConnection>(corosync.cmap.open('statistics', events.links));
      check(statistics.trackPrefix('stats.knet.', false));
      const quorum = keep(corosync.quorum.open(events));
      return new Connections(corosync, quorum, votes, { configuration, statistics });
    } catch (error) {
      for (const one of opened) one.close();
      throw error;
    }
  }

  get fds(): number[] {
    return [this.#quorum, this.#votes, this.configuration, this.statistics].map(({ fd }) => fd);
  }

  voteInfo(): VoteInfo | null {
    return this.#corosync.votes.info(this.#votes.handle);
  }

  /** Is told of changes of these from now on; of each once. */
  trackKeys(keys: readonly string[]): void {
    for (const key of keys) {
      if (this.#tracked.has(key)) continue;
      if (this.statistics.trackKey(key) === CS.ok) this.#tracked.add(key);
    }
  }

  /** Takes what has come. CS.ok, or why there is nothing more to be had of Corosync. */
  dispatch(): number {
    const codes = [
      this.#corosync.votes.dispatch(this.#votes.handle),
      this.configuration.dispatch(),
      this.statistics.dispatch(),
      // Last: a ring that is settled is told of with what the others have told.
      this.#corosync.quorum.dispatch(this.#quorum.handle),
    ];
    return codes.find((code) => code !== CS.ok && code !== CS.tryAgain) ?? CS.ok;
  }

  close(): void {
    for (const one of [this.#quorum, this.#votes, this.configuration, this.statistics]) one.close();
  }
}
