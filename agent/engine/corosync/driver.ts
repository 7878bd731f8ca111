/**
 * The distribution's Corosync as the engine: groups over CPG, the ring over libquorum, votes over libvotequorum, what it
 * read and counts over libcmap. Each of them notifies; all are followed by one asynchronous poll() and synchronous
 * dispatches (measured: an asynchronous dispatch crashes).
 */
import { readFileSync } from 'node:fs';
import type { NodeLayout } from '../../node-layout.ts';
import { nodeId, sameRing, type NodeId, type RingId } from '../../totem/ids.ts';
import { EngineDown } from '../engine.ts';
import type {
  Engine,
  EngineState,
  EngineStatus,
  Group,
  LinkStatus,
  MemberStatus,
  QuorumFlag,
  ReloadReport,
  Unsubscribe,
} from '../engine.ts';
import { Listeners } from '../listeners.ts';
import { readBackCorosync } from '../read-back.ts';
import { listedNodes, localNode } from '../settings.ts';
import { CpgGroup } from './group.ts';
import { Connections } from './connections.ts';
import { linkKeys, linkStatuses, trackedLinkKeys } from './links.ts';
import { CS, csError, loadCorosync, type Corosync } from './libraries.ts';
import { VOTE_FLAG, type QuorumRing, type VoteInfo } from './library-quorum.ts';
import { reloadReport } from './reload-report.ts';

/** Nothing tells of a Corosync that starts: its sockets have abstract names, which no file system shows. Milliseconds. */
const RETRY_MS = 250;
/**
 * Links that come up or go down are told of. Their latency changes with every probe, and to be told of each would be
 * more work than to look now and then. Milliseconds.
 */
const LATENCY_MS = 5000;
/** A Corosync that has not answered for so long stands still (SIGSTOP, a hung disk below it). Milliseconds. */
const ANSWER_MS = 2500;
const STANDS_STILL = 'Corosync runs on this node and does not answer';
/** How long a reload may take until Corosync shows the file's version. Milliseconds. */
const RELOAD_MS = 5000;

/** Opens at once; the status is `down` until Corosync answers. */
export function openCorosync(layout: NodeLayout): Engine {
  return new CorosyncEngine(layout);
}

class CorosyncEngine implements Engine {
  readonly #layout: NodeLayout;
  readonly #listeners = new Listeners<EngineStatus>();
  readonly #groups = new Map<string, CpgGroup>();
  #corosync: Corosync | null = null;
  #connections: Connections | null = null;
  /** Ends the poll. */
  #wake: () => void = () => undefined;
  /** The newest ring, and the one that quorum is settled for. */
  #newest: RingId | null = null;
  #ring: RingId | null = null;
  #members: readonly NodeId[] = [];
  #votes: VoteInfo | null = null;
  #links: readonly LinkStatus[] = [];
  #lookingAtLinks = false;
  /** A question that is not answered yet; one at a time, for each takes a thread. */
  #asked: Promise<unknown> | null = null;
  #standsStill = false;
  #version: number | null = null;
  /** What Corosync started with and what it read last, as far as it was seen here: see reloadReport. */
  #started: string | null = null;
  #loaded: string | null = null;
  #reason = 'not asked yet';
  #status: EngineStatus;
  #closed = false;
  readonly #running: Promise<void>;

  constructor(layout: NodeLayout) {
    this.#layout = layout;
    this.#status = this.#compose();
    this.#running = this.#run();
  }

  status(): EngineStatus {
    return this.#status;
  }
  onStatus(handler: (status: EngineStatus) => void): Unsubscribe {
    return this.#listeners.add(handler);
  }

  group(name: string): Promise<Group> {
    if (this.#groups.has(name)) return Promise.reject(new Error(`this process is in the group ${name} already`));
    const group = new CpgGroup(name, {
      settledRing: () => this.#ring,
      wake: () => this.#wake(),
      forget: () => this.#groups.delete(name),
    });
    this.#groups.set(name, group);
    if (this.#corosync !== null && this.#connections !== null) group.enter(this.#corosync);
    // The descriptor that poll() waits for is another one now.
    this.#wake();
    return Promise.resolve(group);
  }

  async setExpectedVotes(votes: number): Promise<void> {
    await this.#mustAnswer();
    const code = await this.#need().corosync.votes.setExpected(votes);
    if (code !== CS.ok) throw new Error(`expected votes were not set: ${csError(code)}`);
    this.#refresh();
  }

  async reload(): Promise<ReloadReport> {
    await this.#mustAnswer();
    const { corosync } = this.#need();
    const text = this.#text();
    const wanted = listedNodes(text).configVersion;
    const [started, loaded] = [this.#started, this.#loaded];
    const code = await corosync.reload();
    if (code !== CS.ok) throw new Error(`Corosync did not take the file: ${csError(code)}`);
    // "Done" proves little (measured): what runs is read back.
    if (!(await this.#reaches(wanted))) {
      throw new Error(
        `Corosync was told to reload and still runs version ${this.#status.configVersion}, not ${wanted}`,
      );
    }
    this.#loaded = text;
    if (loaded !== null) return reloadReport(started ?? loaded, loaded, text, wanted);
    // It is not known what ran before: what differs from the file now is what waits.
    this.#started = text;
    return { configVersion: wanted, live: [], needsRestart: await this.readBack(text) };
  }

  async readBack(text: string): Promise<readonly string[]> {
    if (!(await this.#answers())) return [`the engine does not answer: ${STANDS_STILL}`];
    this.#refresh();
    const connections = this.#connections;
    return readBackCorosync(text, this.#status, (key) => connections?.configuration.get(key) ?? null);
  }

  /**
   * False when Corosync stands still: the next call would hold up this process, which has a file system to serve and a
   * clock to go back by. Asked on a thread. True where there is no connection, for then no call waits.
   */
  async #answers(): Promise<boolean> {
    const connections = this.#connections;
    if (connections === null) return true;
    this.#asked ??= connections.statistics.values(['stats.srp.operational_entered']).finally(() => {
      this.#asked = null;
      this.#noteStill(connections, false);
    });
    const answered = await Promise.race([this.#asked.then(() => true), pause(ANSWER_MS).then(() => false)]);
    if (!answered) this.#noteStill(connections, true);
    return answered;
  }

  #noteStill(connections: Connections, still: boolean): void {
    if (this.#connections !== connections || this.#standsStill === still) return;
    this.#standsStill = still;
    this.#show(this.#compose());
  }

  async #mustAnswer(): Promise<void> {
    if (!(await this.#answers())) throw new EngineDown(STANDS_STILL);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
  }

  /** Resolves with whether Corosync shows this version in time. */
  #reaches(version: number): Promise<boolean> {
    this.#refresh();
    return new Promise((resolve) => {
      const done = (reached: boolean): void => {
        clearTimeout(late);
        unsubscribe();
        resolve(reached);
      };
      const late = setTimeout(() => {
        this.#refresh();
        done(this.#status.configVersion === version);
      }, RELOAD_MS);
      const unsubscribe = this.#listeners.add(({ configVersion }) => {
        if (configVersion === version) done(true);
      });
      if (this.#status.configVersion === version) done(true);
    });
  }

  // --- the connection ---

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        this.#corosync ??= await loadCorosync();
        this.#connect(this.#corosync);
        await this.#follow(this.#corosync);
      } catch (error) {
        this.#reason = error instanceof Error ? error.message : String(error);
      }
      this.#disconnect();
      if (!this.#closed) await pause(RETRY_MS);
    }
    for (const group of this.#groups.values()) group.lost();
  }

  #connect(corosync: Corosync): void {
    this.#connections = Connections.open(corosync, {
      quorum: (_quorate, ring, members) => {
        this.#ring = ringIdOf(ring);
        this.#newest = this.#ring;
        this.#members = members.map(nodeId).sort((a, b) => a - b);
        this.#refresh();
        for (const group of this.#groups.values()) group.settled();
      },
      nodelist: (ring) => {
        this.#newest = ringIdOf(ring);
        this.#refresh();
      },
      votes: () => this.#refresh(),
      configuration: () => this.#refresh(),
      links: () => void this.#lookAtLinks(),
    });
    this.#refresh();
  }

  /** Returns when the engine is closed; throws when Corosync is gone. */
  async #follow(corosync: Corosync): Promise<void> {
    const waker = corosync.waker();
    this.#wake = () => waker.wake();
    const latency = setInterval(() => void this.#lookAtLinks(), LATENCY_MS);
    void this.#lookAtLinks();
    try {
      for (const connections = this.#connections; connections !== null && !this.#closed;) {
        const code = connections.dispatch();
        if (code !== CS.ok) throw new Error(csError(code));
        const groups = [...this.#groups.values()];
        for (const group of groups) group.step(corosync);
        const due = groups.flatMap((group) => group.dueIn ?? []);
        const timeout = due.length === 0 ? -1 : Math.ceil(Math.min(...due));
        await corosync.poll([waker.fd, ...connections.fds, ...groups.flatMap((group) => group.fd ?? [])], timeout);
        waker.drain();
      }
    } finally {
      clearInterval(latency);
      this.#wake = () => undefined;
      waker.close();
    }
  }

  #disconnect(): void {
    this.#connections?.close();
    this.#connections = null;
    this.#ring = null;
    this.#newest = null;
    this.#members = [];
    this.#votes = null;
    this.#links = [];
    this.#version = null;
    this.#started = null;
    this.#loaded = null;
    this.#asked = null;
    this.#standsStill = false;
    for (const group of this.#groups.values()) group.lost();
    this.#show(this.#compose());
  }

  #need(): { readonly corosync: Corosync; readonly connections: Connections } {
    if (this.#corosync === null || this.#connections === null) throw new EngineDown(this.#reason);
    return { corosync: this.#corosync, connections: this.#connections };
  }

  /** On a thread of the pool: a Corosync that was stopped (SIGSTOP) does not stop this process too. */
  async #lookAtLinks(): Promise<void> {
    const connections = this.#connections;
    if (connections === null || this.#lookingAtLinks || this.#votes === null) return;
    void this.#answers();
    const self = nodeId(this.#votes.nodeId);
    const { nodes } = listedNodes(this.#text());
    this.#lookingAtLinks = true;
    try {
      const values = await connections.statistics.values(linkKeys(nodes, self));
      if (this.#connections !== connections) return;
      connections.trackKeys(trackedLinkKeys(nodes, self).filter((key) => values.has(key)));
      this.#links = linkStatuses(nodes, self, values, this.#links, Date.now());
      this.#show(this.#compose());
    } finally {
      this.#lookingAtLinks = false;
    }
  }

  // --- status ---

  #refresh(): void {
    // While a ring is formed Corosync may not answer: then what it said last stands.
    this.#votes = this.#connections?.voteInfo() ?? this.#votes;
    const version = Number(this.#connections?.configuration.get('totem.config_version') ?? Number.NaN);
    if (Number.isInteger(version) && version !== this.#version) {
      this.#version = version;
      const text = this.#text();
      // Another process may have put the next file there already.
      this.#loaded = listedNodes(text).configVersion === version ? text : null;
      this.#started ??= this.#loaded;
    }
    this.#show(this.#compose());
  }

  #show(status: EngineStatus): void {
    const before = this.#status;
    this.#status = status;
    if (JSON.stringify(before) !== JSON.stringify(status)) this.#listeners.call(status);
  }

  #text(): string {
    try {
      return readFileSync(this.#layout.corosyncConf, 'utf8');
    } catch {
      return '';
    }
  }

  #state(): EngineState {
    if (this.#connections === null) return { kind: 'down', reason: this.#reason };
    if (this.#standsStill) return { kind: 'down', reason: STANDS_STILL };
    if (this.#votes === null) return { kind: 'down', reason: 'Corosync has not told its votes yet' };
    const settled = this.#ring !== null && this.#newest !== null && sameRing(this.#ring, this.#newest);
    return { kind: settled ? 'operational' : 'forming' };
  }

  #compose(): EngineStatus {
    const conf = listedNodes(this.#text());
    const votes = this.#votes;
    const named = localNode(conf.nodes, this.#layout.hostname, new Set());
    const local = votes === null ? ((named ?? conf.nodes[0])?.nodeId ?? nodeId(1)) : nodeId(votes.nodeId);
    const members = conf.nodes.map((node): MemberStatus => ({
      ...node,
      state: this.#members.includes(node.nodeId) ? 'member' : 'absent',
      local: node.nodeId === local,
    }));
    const has = (flag: keyof typeof VOTE_FLAG): boolean => votes !== null && (votes.flags & VOTE_FLAG[flag]) !== 0;
    const flags = FLAGS.flatMap(([flag, word]) => (has(flag) ? [word] : []));
    return {
      engine: 'corosync',
      state: this.#state(),
      clusterName: conf.clusterName,
      configVersion: this.#version ?? conf.configVersion,
      transport: conf.transport,
      localNode: local,
      ringId: this.#ring,
      members,
      links: this.#links,
      quorum: {
        quorate: has('quorate'),
        expectedVotes: votes?.expected ?? conf.nodes.reduce((sum, node) => sum + node.votes, 0),
        highestExpected: votes?.highestExpected ?? 0,
        totalVotes: votes?.total ?? 0,
        quorum: votes?.quorum ?? 0,
        flags,
      },
    };
  }
}

/** In the order in which corosync-quorumtool(8) prints them. */
const FLAGS: readonly (readonly [keyof typeof VOTE_FLAG, QuorumFlag])[] = [
  ['twoNode', '2Node'],
  ['quorate', 'Quorate'],
  ['waitForAll', 'WaitForAll'],
  ['lastManStanding', 'LastManStanding'],
  ['autoTieBreaker', 'AutoTieBreaker'],
  ['allowDownscale', 'AllowDownscale'],
  ['qdevice', 'Qdevice'],
];

const ringIdOf = ({ representative, sequence }: QuorumRing): RingId => ({
  representative: nodeId(representative),
  sequence,
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
