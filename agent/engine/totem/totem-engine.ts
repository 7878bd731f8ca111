/** The bundled engine's process: ring, groups, votes and wire, joined to the clock, the disk and the clients. */
import { randomBytes } from 'node:crypto';
import type { NodeLayout } from '../../node-layout.ts';
import { formatRingId, type NodeId, type RingId } from '../../totem/ids.ts';
import { clusterTag } from '../../totem/packet.ts';
import type { Multicast } from '../../totem/packing.ts';
import { Ring } from '../../totem/ring.ts';
import type { RingEffect, RingInput, RingPhase } from '../../totem/ring-types.ts';
import type { EngineStatus, ReloadReport } from '../engine.ts';
import { localNode, type EngineNode, type EngineSettings } from '../settings.ts';
import { statusFrom } from '../status.ts';
import { compareSettings } from './compare-settings.ts';
import { ConfVersions, type EngineOptions } from './conf-versions.ts';
import { Groups } from './groups.ts';
import { linkStatuses } from './link-status.ts';
import { ConfRefused, localAddresses, readClusterKeys, readSettings } from './own-files.ts';
import { openRingState, openVotesState, type RingState } from './ring-state.ts';
import { EngineServer } from './server.ts';
import { endpointsOf } from './udp/endpoints.ts';
import { isVotesWord, Votes } from './votes.ts';
import { Wire, type WireConfig } from './wire.ts';
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

type Log = (severity: 'info' | 'notice' | 'warning' | 'error', message: string) => void;

export class TotemEngine {
  readonly #layout: NodeLayout;
  readonly #log: Log;
  readonly #self: EngineNode;
  readonly #groups: Groups;
  readonly #ring: Ring;
  readonly #ringState: RingState;
  readonly #server: EngineServer;
  readonly #wire: Wire;
  readonly #votes: Votes;
  readonly #versions: ConfVersions;
  #settings: EngineSettings;
  #phase: RingPhase = 'stopped';
  #ringId: RingId | null = null;
  #members: readonly NodeId[] = [];
  /** The transitional configuration. */
  #along: readonly NodeId[] = [];
  #reloading: Promise<unknown> = Promise.resolve();
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
    const keys = readClusterKeys(layout, settings);
    const endpoints = await endpointsOf(settings.nodes, settings.ipVersion);
    const self = localNode(settings.nodes, layout.hostname, localAddresses());
    if (self === null)
      throw new ConfRefused(`no node of ${layout.corosyncConf} is this one: neither a name nor an address fits`);
    const wiring = wireConfig(settings, endpoints, keys, self.nodeId);
    const engine = new TotemEngine(layout, log, options, settings, wiring, self);
    await engine.#open(wiring);
    return engine;
  }

  private constructor(
    layout: NodeLayout,
    log: Log,
    options: EngineOptions,
    settings: EngineSettings,
    wiring: WireConfig,
    self: EngineNode,
  ) {
    this.#layout = layout;
    this.#log = log;
    this.#settings = settings;
    this.#self = self;
    this.#groups = new Groups(self.nodeId);
    this.#ringState = openRingState(layout.ringState, self.nodeId, Date.now(), Math.random());
    this.#versions = new ConfVersions({
      ...options,
      self: self.nodeId,
      file: layout.corosyncConf,
      settings: () => this.#settings,
      nameOf: (node) => this.#nameOf(node),
      send: (to, payload) => this.#wire.send([to], payload, false),
      reload: () => this.#reload(),
      log,
    });
    this.#wire = new Wire(self.nodeId, clusterTag(settings.clusterName), wiring, (bytes) => randomBytes(bytes), {
      turn: (work) => this.#turn(work),
      packet: (bytes) => this.#step({ kind: 'packet', bytes }),
      other: (sender, payload) => this.#versions.receive(sender, payload),
      reachable: (node) => this.#step({ kind: 'heard', node }),
      datagram: (bytes) => this.#step({ kind: 'datagram', bytes, window: windowFor(bytes, this.#settings.windowSize) }),
      link: ({ kind, link, peer, reason }) => {
        const words = `link ${link} to ${this.#nameOf(peer)} is ${kind}: ${reason}`;
        log(kind === 'down' ? 'warning' : 'info', words);
        this.#server.pushStatus();
      },
      log,
      nameOf: (node) => this.#settings.nodes.find((entry) => entry.nodeId === node)?.name ?? null,
    });
    this.#ring = new Ring({
      self: self.nodeId,
      clusterName: settings.clusterName,
      peers: settings.nodes.map((node) => node.nodeId),
      timeouts: settings.timeouts,
      datagram: FIRST_DATAGRAM,
      window: windowFor(FIRST_DATAGRAM, settings.windowSize),
      sequence: this.#ringState.sequence,
      patient: this.#wire.reorders,
      version: this.#versions.announced,
    });
    this.#votes = new Votes(settings.quorum, openVotesState(layout.ringState, self.nodeId), {
      now: () => performance.now(),
      quorate: (quorate) => this.#quorate(quorate),
      log,
    });
    this.#server = new EngineServer(
      {
        status: () => this.#status(),
        join: (group) => this.#turn(() => this.#groups.join(group)),
        leave: (group) => this.#turn(() => this.#groups.leave(group)),
        multicast: (message) => this.#turn(() => this.#groups.multicast(message)),
        waiting: () => this.#groups.waiting,
        setExpectedVotes: (votes) => this.#setExpectedVotes(votes),
        reload: () => this.#reload(),
      },
      log,
    );
  }

  async #open(wiring: WireConfig): Promise<void> {
    await this.#wire.open(wiring, performance.now());
    await this.#server.listen(this.#layout.engineSocket);
    const { clusterName, links, crypto } = this.#settings;
    const own = wiring.endpoints.filter((endpoint) => endpoint.nodeId === this.#self.nodeId);
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
      this.#versions.deadline(),
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
      this.#versions.timer(now);
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
        return this.#groups.returned(effect.payloads.flatMap(({ payload }) => (isVotesWord(payload) ? [] : payload)));
      case 'view':
        return this.#view(effect, first);
      case 'phase':
        return this.#entered(effect.phase);
      case 'outdated':
        this.#versions.outdated(effect.peer, effect.version, performance.now());
        return this.#server.pushStatus();
      case 'kept-out':
        return this.#versions.keptOut(effect.peer, effect.version);
    }
  }

  #deliver(sender: NodeId, payload: Uint8Array): void {
    if (this.#votes.deliver(sender, payload, (node) => this.#nameOf(node))) return this.#server.pushStatus();
    for (const event of this.#groups.deliver(sender, payload)) this.#server.push(event);
  }

  #entered(phase: RingPhase): void {
    this.#phase = phase;
    if (phase !== 'outdated') this.#versions.settled();
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
    if (word !== null) first.push({ payload: word, safe: true });
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
    const { outdatedBy } = this.#versions;
    if (outdatedBy !== null) return { kind: 'outdated', reason: outdatedBy };
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
    if (this.#versions.look()) this.#turn(() => this.#announce());
  }

  #announce(): void {
    const { nodes, timeouts } = this.#settings;
    const peers = nodes.map((node) => node.nodeId);
    this.#step({ kind: 'patient', patient: this.#wire.reorders });
    this.#step({ kind: 'peers', peers, timeouts, version: this.#versions.announced });
  }

  /** One after the other: two that overlap could leave a mixture of their files. */
  #reload(): Promise<ReloadReport> {
    const reloaded = this.#reloading.then(() => this.#load());
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  /** Rejects with ConfRefused or a sentence; then everything runs on as before. */
  async #load(): Promise<ReloadReport> {
    const settings = readSettings(this.#layout);
    const self = settings.nodes.find((node) => node.nodeId === this.#self.nodeId);
    if (self === undefined) throw new ConfRefused(`node ${this.#self.nodeId}, this one, is not in the nodelist`);
    const { live, needsRestart, effective } = compareSettings(this.#settings, settings, this.#self.nodeId);
    const keys = readClusterKeys(this.#layout, effective);
    const endpoints = await endpointsOf(effective.nodes, effective.ipVersion);
    await this.#wire.reconfigure(wireConfig(effective, endpoints, keys, this.#self.nodeId), performance.now());
    this.#settings = effective;
    this.#votes.settings(effective.quorum);
    this.#versions.look();
    this.#turn(() => this.#announce());
    this.#log('notice', `corosync.conf version ${effective.configVersion} is loaded`);
    this.#server.pushStatus();
    return { configVersion: effective.configVersion, live, needsRestart };
  }
}

/** `asked`: window_size of corosync.conf, or null. */
const windowFor = (datagram: number, asked: number | null): number =>
  asked ?? Math.max(LEAST_WINDOW, Math.min(MOST_WINDOW, Math.floor(ROTATION_BYTES / datagram)));
