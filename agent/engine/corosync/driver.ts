/**
 * The distribution's Corosync as the engine: groups over CPG, votes over votequorum, both followed by an
 * asynchronous poll() and a synchronous dispatch (measured: an asynchronous dispatch crashes).
 */
import { readFileSync } from 'node:fs';
import type { NodeLayout } from '../../node-layout.ts';
import { nodeId, type NodeId, type RingId } from '../../totem/ids.ts';
import { EngineDown } from '../engine.ts';
import type {
  Engine,
  EngineState,
  EngineStatus,
  Group,
  MemberStatus,
  QuorumFlag,
  ReloadReport,
  Unsubscribe,
} from '../engine.ts';
import { Listeners } from '../listeners.ts';
import { readBackCorosync } from '../read-back.ts';
import { listedNodes } from '../settings.ts';
import { CpgGroup } from './group.ts';
import { CS, csError, loadCorosync, VOTE_FLAG, type Corosync, type Handle, type VoteInfo } from './libraries.ts';

const RETRY_MS = 250;
/** The poll returns at least this often, so that new groups are followed. Milliseconds. */
const POLL_MS = 20;
/** What no event tells of (a reload by another process) is seen this late. Milliseconds. */
const LOOK_MS = 500;
/** How long a reload may take until Corosync shows the file's version. Milliseconds. */
const RELOAD_MS = 5000;

interface Connection {
  readonly handle: Handle;
  readonly fd: number;
  close(): void;
}

/** Opens at once; the status is `down` until Corosync answers. */
export function openCorosync(layout: NodeLayout): Engine {
  return new CorosyncEngine(layout);
}

class CorosyncEngine implements Engine {
  readonly #layout: NodeLayout;
  readonly #listeners = new Listeners<EngineStatus>();
  readonly #groups = new Map<string, CpgGroup>();
  #corosync: Corosync | null = null;
  #quorum: Connection | null = null;
  #ring: RingId | null = null;
  #members: readonly NodeId[] = [];
  #votes: VoteInfo | null = null;
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
    const group = new CpgGroup(
      name,
      () => this.#ring,
      () => this.#groups.delete(name),
    );
    this.#groups.set(name, group);
    return Promise.resolve(group);
  }

  async setExpectedVotes(votes: number): Promise<void> {
    const code = this.#need().votes.setExpected(votes);
    if (code !== CS.ok) throw new Error(`expected votes were not set: ${csError(code)}`);
    this.#refresh();
  }

  async reload(): Promise<ReloadReport> {
    const corosync = this.#need();
    const wanted = listedNodes(this.#text()).configVersion;
    const code = corosync.reload();
    if (code !== CS.ok) throw new Error(`Corosync did not take the file: ${csError(code)}`);
    // "Done" proves little (measured): what runs is read back.
    for (const end = performance.now() + RELOAD_MS; ; await pause(50)) {
      this.#refresh();
      if (this.#status.configVersion === wanted) return { configVersion: wanted, live: [], needsRestart: [] };
      if (performance.now() > end) {
        throw new Error(
          `Corosync was told to reload and still runs version ${this.#status.configVersion}, not ${wanted}`,
        );
      }
    }
  }

  readBack(text: string): Promise<readonly string[]> {
    this.#refresh();
    const corosync = this.#corosync;
    return Promise.resolve(readBackCorosync(text, this.#status, (key) => corosync?.cmap(key) ?? null));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
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
  }

  #connect(corosync: Corosync): void {
    const opened = corosync.quorum.open({
      quorum: (_quorate, ring, members) => {
        this.#ring = { representative: nodeId(ring.representative), sequence: ring.sequence };
        this.#members = members.map(nodeId).sort((a, b) => a - b);
        this.#refresh();
        for (const group of this.#groups.values()) group.settled();
      },
    });
    if ('error' in opened) throw new Error(csError(opened.error));
    this.#quorum = opened;
    this.#refresh();
  }

  /** Returns when Corosync is gone or the engine is closed. */
  async #follow(corosync: Corosync): Promise<void> {
    let looked = performance.now();
    for (const quorum = this.#quorum; quorum !== null && !this.#closed;) {
      const code = corosync.quorum.dispatch(quorum.handle);
      if (code !== CS.ok && code !== CS.tryAgain) throw new Error(csError(code));
      for (const group of this.#groups.values()) group.dispatch(corosync);
      const fds = [...this.#groups.values()].flatMap((group) => group.fd ?? []);
      await corosync.poll([quorum.fd, ...fds], POLL_MS);
      if (performance.now() - looked < LOOK_MS) continue;
      looked = performance.now();
      this.#refresh();
    }
  }

  #disconnect(): void {
    this.#quorum?.close();
    this.#quorum = null;
    this.#ring = null;
    this.#members = [];
    this.#votes = null;
    for (const group of this.#groups.values()) group.lost();
    this.#show(this.#compose());
  }

  #need(): Corosync {
    if (this.#corosync === null || this.#quorum === null) throw new EngineDown(this.#reason);
    return this.#corosync;
  }

  // --- status ---

  #refresh(): void {
    // While a ring is formed Corosync may not answer: then what it said last stands.
    this.#votes = this.#corosync?.votes.info() ?? this.#votes;
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
    if (this.#quorum === null) return { kind: 'down', reason: this.#reason };
    return this.#votes === null
      ? { kind: 'down', reason: 'Corosync has not told its votes yet' }
      : { kind: 'operational' };
  }

  #compose(): EngineStatus {
    const conf = listedNodes(this.#text());
    const votes = this.#votes;
    const running = this.#quorum === null ? null : Number(this.#corosync?.cmap('totem.config_version') ?? Number.NaN);
    const local = votes === null ? (conf.nodes[0]?.nodeId ?? nodeId(1)) : nodeId(votes.nodeId);
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
      configVersion: running !== null && Number.isInteger(running) ? running : conf.configVersion,
      transport: conf.transport,
      localNode: local,
      ringId: this.#ring,
      members,
      // Corosync's link statistics are in its own tools; this screen shows none rather than guesses.
      links: [],
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

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
