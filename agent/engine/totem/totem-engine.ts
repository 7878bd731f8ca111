/** The bundled engine's process: ring, groups, votes and wire, joined to the clock, the disk and the clients. */
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { NodeLayout } from '../../node-layout.ts';
import { formatRingId, type NodeId, type RingId } from '../../totem/ids.ts';
import { clusterTag } from '../../totem/packet.ts';
import type { Multicast } from '../../totem/packing.ts';
import { Ring } from '../../totem/ring.ts';
import type { RingEffect, RingInput, RingPhase } from '../../totem/ring-types.ts';
import type { ClusterKey } from '../../totem/security/cluster-key.ts';
import type { EngineStatus, ReloadReport } from '../engine.ts';
import { engineSettings, localNode, type EngineNode, type EngineSettings } from '../settings.ts';
import { statusFrom } from '../status.ts';
import { clusterKeys, readKeys } from './cipher.ts';
import { compareSettings } from './compare-settings.ts';
import { ConfExchange, type ConfExchangeEffect } from './conf-exchange.ts';
import { Groups } from './groups.ts';
import { linkStatuses } from './link-status.ts';
import { openRingState, openVotesState, type RingState } from './ring-state.ts';
import { EngineServer } from './server.ts';
import { endpointsOf, type Endpoint } from './udp/endpoints.ts';
import { Votes } from './votes.ts';
import { Wire } from './wire.ts';
import { wireConfig } from './wire-config.ts';

/** Bytes of a packet until the links have measured what they carry: fits the least that IPv6 asks of a network. */
const FIRST_DATAGRAM = 1100;
/** Bytes sent by all in one rotation of the token, and the bounds of what that is in packets. */
const ROTATION_BYTES = 384 * 1024;
const [LEAST_WINDOW, MOST_WINDOW] = [32, 320];
/** Rotations' worth of bytes handed to the ring before the token comes: the rest waits where a new ring can reorder it. */
const RING_BACKLOG = 2 * ROTATION_BYTES;
/** How often the links' state goes to the clients when only a latency has changed. Milliseconds. */
const SHOW_INTERVAL = 1000;

/** corosync.conf is missing or not to be used. */
export class ConfRefused extends Error {
  override readonly name = 'ConfRefused';
}

type Log = (severity: 'info' | 'notice' | 'warning' | 'error', message: string) => void;

/** What the engine is told by the procedures that change corosync.conf. */
export interface EngineOptions {
  /** The text that was in force before a file on trial, or null when none is on trial. */
  beforeTrial(): string | null;
}

export class TotemEngine {
  readonly #layout: NodeLayout;
  readonly #log: Log;
  readonly #options: EngineOptions;
  readonly #self: EngineNode;
  readonly #groups: Groups;
  readonly #ring: Ring;
  readonly #ringState: RingState;
  readonly #server: EngineServer;
  readonly #wire: Wire;
  readonly #votes: Votes;
  readonly #exchange: ConfExchange;
  #settings: EngineSettings;
  #endpoints: readonly Endpoint[];
  #keys: readonly ClusterKey[];
  #phase: RingPhase = 'stopped';
  #outdatedBy: string | null = null;
  #ringId: RingId | null = null;
  #members: readonly NodeId[] = [];
  /** The transitional configuration. */
  #along: readonly NodeId[] = [];
  #announced: number;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Infinity;
  #show: NodeJS.Timeout | null = null;
  #inTurn = false;
  /** The votes' last word, not yet told to the ring. */
  #told: boolean | null = null;
  #linksShown = '';

  /** Reads the configuration and joins the ring. Rejects with ConfRefused or AddressNotLocal. */
  static async start(layout: NodeLayout, log: Log, options: EngineOptions): Promise<TotemEngine> {
    const settings = readSettings(layout);
    const keys = keysOf(layout, settings);
    const endpoints = await endpointsOf(settings.nodes, settings.ipVersion);
    const self = localNode(settings.nodes, layout.hostname, localAddresses());
    if (self === null)
      throw new ConfRefused(`no node of ${layout.corosyncConf} is this one: neither a name nor an address fits`);
    const engine = new TotemEngine(layout, log, options, settings, keys, endpoints, self);
    await engine.#open();
    return engine;
  }

  private constructor(
    layout: NodeLayout,
    log: Log,
    options: EngineOptions,
    settings: EngineSettings,
    keys: readonly ClusterKey[],
    endpoints: readonly Endpoint[],
    self: EngineNode,
  ) {
    this.#layout = layout;
    this.#log = log;
    this.#options = options;
    this.#settings = settings;
    this.#keys = keys;
    this.#endpoints = endpoints;
    this.#self = self;
    this.#groups = new Groups(self.nodeId);
    this.#ringState = openRingState(layout.ringState, self.nodeId, Date.now(), Math.random());
    this.#announced = this.#announcedVersion();
    this.#wire = new Wire(
      self.nodeId,
      clusterTag(settings.clusterName),
      this.#wireConfig(),
      (bytes) => randomBytes(bytes),
      {
        turn: (work) => this.#turn(work),
        packet: (bytes) => this.#step({ kind: 'packet', bytes }),
        other: (sender, payload) => this.#exchanged(this.#exchange.receive(sender, payload)),
        reachable: (node) => this.#step({ kind: 'heard', node }),
        datagram: (bytes) => this.#step({ kind: 'datagram', bytes, window: windowFor(bytes) }),
        link: ({ kind, link, peer, reason }) => {
          const words = `link ${link} to ${this.#nameOf(peer)} is ${kind}: ${reason}`;
          log(kind === 'down' ? 'warning' : 'info', words);
          this.#server.pushStatus();
        },
        log,
        nameOf: (node) => this.#settings.nodes.find((entry) => entry.nodeId === node)?.name ?? null,
      },
    );
    this.#ring = new Ring({
      self: self.nodeId,
      clusterName: settings.clusterName,
      peers: settings.nodes.map((node) => node.nodeId),
      timeouts: settings.timeouts,
      datagram: FIRST_DATAGRAM,
      window: windowFor(FIRST_DATAGRAM),
      sequence: this.#ringState.sequence,
      patient: this.#wire.reorders,
      version: this.#announced,
    });
    this.#votes = new Votes(settings.quorum, openVotesState(layout.ringState, self.nodeId), {
      now: () => performance.now(),
      quorate: (quorate) => this.#quorate(quorate),
      log,
    });
    this.#exchange = new ConfExchange(() => this.#confToGive());
    this.#server = new EngineServer(
      {
        status: () => this.#status(),
        join: (group) => this.#turn(() => this.#groups.join(group)),
        leave: (group) => this.#turn(() => this.#groups.leave(group)),
        multicast: (group, payload) => this.#turn(() => this.#groups.multicast(group, payload)),
        waiting: () => this.#groups.waiting,
        setExpectedVotes: (votes) => this.#setExpectedVotes(votes),
        reload: () => this.#reload(),
      },
      log,
    );
  }

  async #open(): Promise<void> {
    await this.#wire.open(this.#wireConfig(), performance.now());
    await this.#server.listen(this.#layout.engineSocket);
    const { clusterName, links, crypto } = this.#settings;
    const own = this.#endpoints.filter((endpoint) => endpoint.nodeId === this.#self.nodeId);
    const where = links.flatMap(({ link, port }) =>
      own.filter((endpoint) => endpoint.link === link).map(({ ip }) => `${ip} port ${port}`),
    );
    const sealed = crypto === 'none' ? 'without encryption' : `encrypted with ${crypto}`;
    this.#log(
      'notice',
      `node ${this.#self.nodeId} of cluster ${clusterName} listens on ${where.join(', ')}, ${sealed}`,
    );
    this.#turn(() => this.#step({ kind: 'start' }));
    this.#show = setInterval(() => this.#showLinks(), SHOW_INTERVAL);
  }

  /** Says goodbye to the ring, so that the others need not wait for the token to be lost. */
  async stop(): Promise<void> {
    this.#votes.leave();
    this.#turn(() => this.#step({ kind: 'leave' }));
    clearTimeout(this.#timer ?? undefined);
    clearInterval(this.#show ?? undefined);
    this.#server.close();
    await this.#wire.close();
  }

  // --- turns: everything that comes in at once is worked off, then what goes out leaves together ---

  #turn(work: (now: number) => void): void {
    if (this.#inTurn) return work(performance.now());
    this.#inTurn = true;
    try {
      work(performance.now());
      this.#feedWaiting();
    } finally {
      this.#inTurn = false;
    }
    this.#wire.flush();
    this.#server.flush();
    this.#server.relieve();
    this.#arm();
  }

  /** A timer that is early finds nothing to do and sets the next: cheaper than a new one for every packet. */
  #arm(): void {
    const deadline = Math.min(
      this.#ring.deadline(),
      this.#wire.deadline(),
      this.#votes.deadline(),
      this.#exchange.deadline(),
    );
    if (deadline >= this.#timerAt) return;
    clearTimeout(this.#timer ?? undefined);
    this.#timerAt = deadline;
    this.#timer = setTimeout(() => this.#expire(), Math.max(0, Math.ceil(deadline - performance.now())));
  }

  #expire(): void {
    this.#timerAt = Infinity;
    this.#turn((now) => {
      if (this.#ring.deadline() <= now) this.#step({ kind: 'timer' });
      if (this.#wire.deadline() <= now) this.#wire.timer(now);
      this.#votes.timer();
      this.#exchanged(this.#exchange.timer(now));
    });
  }

  // --- the ring ---

  #feedWaiting(): void {
    if (this.#phase !== 'operational') return;
    while (this.#ring.backlog < RING_BACKLOG) {
      const payload = this.#groups.next();
      if (payload === null) return;
      this.#step({ kind: 'multicast', payload, safe: false });
    }
  }

  #step(input: RingInput): void {
    const first: Multicast[] = [];
    for (const effect of this.#ring.step(input, performance.now())) this.#carryOut(effect, first);
    for (const multicast of first) this.#step({ kind: 'multicast', ...multicast });
    const quorate = this.#told;
    if (quorate === null) return;
    this.#told = null;
    this.#step({ kind: 'quorate', quorate });
  }

  #carryOut(effect: RingEffect, first: Multicast[]): void {
    switch (effect.kind) {
      case 'send':
        return this.#wire.send(effect.to, effect.packet, effect.again);
      case 'persist':
        return this.#ringState.persist(effect.sequence);
      case 'deliver':
        return this.#deliver(effect.sender, effect.payload);
      case 'returned':
        return this.#groups.returned(effect.payloads.map(({ payload }) => payload));
      case 'view':
        return this.#view(effect, first);
      case 'phase':
        return this.#entered(effect.phase);
      case 'outdated':
        return this.#outdated(effect.peer, effect.version);
      case 'kept-out':
        return this.#keptOut(effect.peer, effect.version);
    }
  }

  #deliver(sender: NodeId, payload: Uint8Array): void {
    if (this.#votes.deliver(sender, payload, (node) => this.#nameOf(node))) return this.#server.pushStatus();
    for (const event of this.#groups.deliver(sender, payload)) this.#server.push(event);
  }

  #entered(phase: RingPhase): void {
    this.#phase = phase;
    if (phase !== 'outdated') {
      this.#outdatedBy = null;
      this.#exchange.settled();
    }
    this.#server.pushStatus();
  }

  /** The transitional configuration is the groups' business no more than CPG's: what it delivers, they deliver. */
  #view({ regular, ring, members, left }: Extract<RingEffect, { kind: 'view' }>, first: Multicast[]): void {
    if (!regular) return void (this.#along = members);
    this.#ringId = ring;
    this.#members = members;
    const word = this.#votes.view({ ring, members, from: this.#along, left });
    const names = members.map((node) => this.#nameOf(node)).join(', ');
    const { totalVotes, expectedVotes } = this.#votes.status;
    this.#log('notice', `ring ${formatRingId(ring)}: ${names}; ${totalVotes} of ${expectedVotes} votes`);
    if (word !== null) first.push({ payload: word, safe: false });
    first.push({ payload: this.#groups.view(ring, members), safe: false });
    this.#server.pushStatus();
  }

  /** What the votes say goes to the ring when the step that they were counted in is over. */
  #quorate(quorate: boolean): void {
    this.#told = quorate;
    this.#server.pushStatus();
  }

  #nameOf(node: NodeId): string {
    return this.#settings.nodes.find((entry) => entry.nodeId === node)?.name ?? String(node);
  }

  #setExpectedVotes(votes: number): void {
    const payload = this.#votes.expected(votes, this.#self.nodeId);
    // Safe: whoever counts by it knows that all who are here do.
    this.#turn(() => this.#step({ kind: 'multicast', payload, safe: true }));
  }

  // --- versions of corosync.conf ---

  /** A file on trial may be taken back: until it is confirmed the version before it speaks for this node. */
  #announcedVersion(): number {
    const before = this.#options.beforeTrial();
    if (before === null) return this.#settings.configVersion;
    const settings = engineSettings(before);
    return settings.ok ? settings.value.configVersion : this.#settings.configVersion;
  }

  #outdated(peer: NodeId, version: number): void {
    const by = `${this.#nameOf(peer)} has version ${version} of corosync.conf`;
    if (this.#outdatedBy === null)
      this.#log(
        'warning',
        `${by} and this node has ${this.#announced}: it stays out of the ring until it has the newer one`,
      );
    this.#outdatedBy = by;
    this.#exchanged(this.#exchange.outdated(peer, version, this.#announced, performance.now()));
    this.#server.pushStatus();
  }

  #keptOut(peer: NodeId, version: number): void {
    const mine = this.#announced;
    const words =
      version < mine
        ? 'it is kept out until it has the newer file, which it can ask for'
        : 'the cluster has quorum with its own: put the cluster’s file there, or apply the change through the cluster';
    this.#log(
      'warning',
      `${this.#nameOf(peer)} has version ${version} of corosync.conf and this ring ${mine}: ${words}`,
    );
  }

  #confToGive(): { readonly version: number; readonly conf: string } | null {
    if (this.#options.beforeTrial() !== null) return null;
    try {
      return { version: this.#settings.configVersion, conf: readFileSync(this.#layout.corosyncConf, 'utf8') };
    } catch {
      return null;
    }
  }

  #exchanged(effects: readonly ConfExchangeEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'send') this.#wire.send([effect.to], effect.payload, false);
      else void this.#takeOffer(effect.by, effect.conf);
    }
  }

  /** Puts a newer file on the disk and runs it. What speaks against it goes to the log, once a second at most. */
  async #takeOffer(by: NodeId, conf: string): Promise<void> {
    if (this.#phase !== 'outdated') return;
    const refusal = this.#offerRefusal(conf);
    if (refusal !== null)
      return this.#log('warning', `corosync.conf as ${this.#nameOf(by)} has it is not installed: ${refusal}`);
    const file = this.#layout.corosyncConf;
    try {
      writeFileSync(`${file}.new`, conf, { mode: 0o644, flush: true });
      renameSync(file, `${file}.bak`);
      renameSync(`${file}.new`, file);
      this.#log('notice', `corosync.conf of ${this.#nameOf(by)} is installed; the one before is ${file}.bak`);
      await this.#reload();
    } catch (error) {
      this.#log('error', `corosync.conf of ${this.#nameOf(by)} could not be taken over: ${wordsOf(error)}`);
    }
  }

  #offerRefusal(conf: string): string | null {
    const offered = engineSettings(conf);
    if (!offered.ok) return offered.error;
    const { configVersion, clusterName, nodes } = offered.value;
    if (configVersion <= this.#settings.configVersion) return `it has version ${configVersion}`;
    if (clusterName !== this.#settings.clusterName) return `it is of the cluster ${clusterName}`;
    if (!nodes.some((node) => node.nodeId === this.#self.nodeId))
      return 'this node is no longer in its nodelist: it was removed from the cluster';
    return null;
  }

  // --- status, configuration ---

  #status(): EngineStatus {
    const links = linkStatuses(this.#wire.status(), Date.now() - performance.now());
    const state = this.#state();
    const quorum = this.#votes.status;
    const outside = { quorate: false, totalVotes: 0, flags: quorum.flags.filter((flag) => flag !== 'Quorate') };
    const seen =
      state.kind === 'outdated'
        ? { ringId: null, members: [], quorum: { ...quorum, ...outside } }
        : { ringId: this.#ringId, members: this.#members, quorum };
    return statusFrom(this.#settings, this.#self.nodeId, { state, links, ...seen });
  }

  #state(): EngineStatus['state'] {
    if (this.#phase === 'operational') return { kind: 'operational' };
    if (this.#outdatedBy !== null) return { kind: 'outdated', reason: this.#outdatedBy };
    return { kind: 'forming' };
  }

  #showLinks(): void {
    // Powers of two: a status for every microsecond would be noise.
    const coarse = (value: number | null): number => (value === null ? 0 : Math.round(Math.log2(value)));
    const shown = this.#wire
      .status()
      .map((path) => `${path.link}.${path.peer}.${path.state}.${coarse(path.latencyUs)}.${path.mtu ?? 0}`)
      .join();
    if (shown !== this.#linksShown) this.#server.pushStatus();
    this.#linksShown = shown;
    const announced = this.#announcedVersion();
    if (announced !== this.#announced) this.#turn(() => this.#announce(announced));
  }

  #announce(version: number): void {
    this.#announced = version;
    const { nodes, timeouts } = this.#settings;
    this.#step({ kind: 'peers', peers: nodes.map((node) => node.nodeId), timeouts, version });
  }

  #wireConfig() {
    return wireConfig(this.#settings, this.#endpoints, this.#keys, this.#self.nodeId);
  }

  async #reload(): Promise<ReloadReport> {
    const settings = readSettings(this.#layout);
    const self = settings.nodes.find((node) => node.nodeId === this.#self.nodeId);
    if (self === undefined) throw new ConfRefused(`node ${this.#self.nodeId}, this one, is not in the nodelist`);
    const { live, needsRestart, effective } = compareSettings(this.#settings, settings, this.#self.nodeId);
    const keys = keysOf(this.#layout, effective);
    const endpoints = await endpointsOf(effective.nodes, effective.ipVersion);
    this.#settings = effective;
    this.#endpoints = endpoints;
    this.#keys = keys;
    await this.#wire.reconfigure(this.#wireConfig(), performance.now());
    this.#votes.settings(effective.quorum);
    this.#turn(() => this.#announce(this.#announcedVersion()));
    this.#log('notice', `corosync.conf version ${effective.configVersion} is loaded`);
    this.#server.pushStatus();
    return { configVersion: effective.configVersion, live, needsRestart };
  }
}

const windowFor = (datagram: number): number =>
  Math.max(LEAST_WINDOW, Math.min(MOST_WINDOW, Math.floor(ROTATION_BYTES / datagram)));

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function readSettings(layout: NodeLayout): EngineSettings {
  let text: string;
  try {
    text = readFileSync(layout.corosyncConf, 'utf8');
  } catch (error) {
    throw new ConfRefused(`${layout.corosyncConf} cannot be read: ${error instanceof Error ? error.message : ''}`);
  }
  const settings = engineSettings(text);
  if (!settings.ok) throw new ConfRefused(`${layout.corosyncConf} is refused:\n${settings.error}`);
  return settings.value;
}

function keysOf(layout: NodeLayout, { crypto }: EngineSettings): readonly ClusterKey[] {
  if (crypto === 'none') return [];
  const files = readKeys(layout);
  if (!files.ok) throw new ConfRefused(files.error);
  return clusterKeys(files.value, crypto);
}

function localAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return new Set(all.map((entry) => entry.address));
}
