/** The bundled engine's process: ring, groups, votes and links, wired to UDP, the clock, the disk and the clients. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { quorumStatus, startQuorum, stepQuorum, type QuorumInput, type QuorumState } from '../../quorum/quorum.ts';
import type { NodeLayout } from '../../node-layout.ts';
import { formatRingId, type NodeId, type RingId } from '../../totem/ids.ts';
import { clusterTag } from '../../totem/packet.ts';
import { Ring } from '../../totem/ring.ts';
import type { RingEffect, RingInput, RingPhase } from '../../totem/ring-types.ts';
import type { EngineStatus, ReloadReport } from '../engine.ts';
import { engineSettings, localNode, type EngineNode, type EngineSettings } from '../settings.ts';
import { statusFrom } from '../status.ts';
import { compareSettings } from './compare-settings.ts';
import { Datagrams, endpointsOf, type Endpoint } from './datagrams.ts';
import { Groups } from './groups.ts';
import { Links, PROBE_INTERVAL } from './links.ts';
import { openRingState, type RingState } from './ring-state.ts';
import { EngineServer } from './server.ts';

/** Bytes: an Ethernet frame with IPv6 and UDP headers, and room for a tunnel's. */
const DATAGRAM = 1400;
/** Messages of all members in one rotation of the token. */
const WINDOW = 64;
/** Bytes handed to the ring before the token comes: the rest waits where a new ring can reorder it. */
const RING_BACKLOG = 2 * WINDOW * DATAGRAM;

/** corosync.conf is missing or not to be used. */
export class ConfRefused extends Error {
  override readonly name = 'ConfRefused';
}

type Log = (severity: 'info' | 'notice' | 'warning' | 'error', message: string) => void;

export class TotemEngine {
  readonly #layout: NodeLayout;
  readonly #log: Log;
  readonly #self: EngineNode;
  readonly #links: Links;
  readonly #groups: Groups;
  readonly #ring: Ring;
  readonly #ringState: RingState;
  readonly #server: EngineServer;
  #datagrams: Datagrams | null = null;
  #settings: EngineSettings;
  #endpoints: readonly Endpoint[];
  #quorum: QuorumState;
  #phase: RingPhase = 'stopped';
  #ringId: RingId | null = null;
  #members: readonly NodeId[] = [];
  /** The transitional configuration. */
  #along: readonly NodeId[] = [];
  #timer: NodeJS.Timeout | null = null;
  #probe: NodeJS.Timeout | null = null;
  #stepping = false;
  #linksShown = '';

  /** Reads the configuration and joins the ring. Rejects with ConfRefused or AddressNotLocal. */
  static async start(layout: NodeLayout, log: Log): Promise<TotemEngine> {
    const settings = readSettings(layout);
    const endpoints = await endpointsOf(settings.nodes);
    const self = localNode(settings.nodes, layout.hostname, localAddresses());
    if (self === null)
      throw new ConfRefused(`no node of ${layout.corosyncConf} is this one: neither a name nor an address fits`);
    const engine = new TotemEngine(layout, log, settings, endpoints, self);
    await engine.#open();
    return engine;
  }

  private constructor(
    layout: NodeLayout,
    log: Log,
    settings: EngineSettings,
    endpoints: readonly Endpoint[],
    self: EngineNode,
  ) {
    this.#layout = layout;
    this.#log = log;
    this.#settings = settings;
    this.#endpoints = endpoints;
    this.#self = self;
    this.#quorum = startQuorum(settings.quorum);
    this.#links = new Links(self.nodeId, clusterTag(settings.clusterName));
    this.#groups = new Groups(self.nodeId);
    this.#ringState = openRingState(layout.ringState, self.nodeId);
    this.#ring = new Ring({
      self: self.nodeId,
      clusterName: settings.clusterName,
      peers: settings.nodes.map((node) => node.nodeId),
      timeouts: settings.timeouts,
      datagram: DATAGRAM,
      window: WINDOW,
      sequence: this.#ringState.sequence,
      patient: false,
      version: settings.configVersion,
    });
    this.#server = new EngineServer(
      {
        status: () => this.#status(),
        join: (group) => this.#change(() => this.#groups.join(group)),
        leave: (group) => this.#change(() => this.#groups.leave(group)),
        multicast: (group, payload) => this.#change(() => this.#groups.multicast(group, payload)),
        waiting: () => this.#groups.waiting,
        setExpectedVotes: (votes) => this.#setExpectedVotes(votes),
        reload: () => this.#reload(),
      },
      log,
    );
  }

  async #open(): Promise<void> {
    const ip = this.#endpoints.find((endpoint) => endpoint.nodeId === this.#self.nodeId)?.ip ?? '';
    this.#datagrams = await Datagrams.open(ip, this.#settings.port, (bytes) => this.#receive(bytes));
    this.#datagrams.setPeers(this.#endpoints);
    await this.#server.listen(this.#layout.engineSocket);
    this.#log(
      'notice',
      `node ${this.#self.nodeId} of cluster ${this.#settings.clusterName} listens on ${ip} port ${this.#settings.port}`,
    );
    this.#feed({ kind: 'start' });
    this.#probe = setInterval(() => this.#probeLinks(), PROBE_INTERVAL);
    this.#probeLinks();
  }

  /** Says goodbye to the ring, so that the others need not wait for the token to be lost. */
  async stop(): Promise<void> {
    this.#feed({ kind: 'leave' });
    clearTimeout(this.#timer ?? undefined);
    clearInterval(this.#probe ?? undefined);
    this.#server.close();
    await this.#datagrams?.close();
  }

  // --- the ring ---

  #receive(bytes: Uint8Array): void {
    const probe = this.#links.receive(bytes, performance.now());
    if (probe.kind === 'no') return this.#feed({ kind: 'packet', bytes });
    if (probe.answer !== null) this.#datagrams?.send(probe.answer.to, probe.answer.bytes);
    else this.#showLinks();
  }

  #feed(input: RingInput): void {
    this.#stepping = true;
    this.#step(input);
    this.#feedWaiting();
    this.#stepping = false;
    this.#arm();
    this.#server.flush();
    this.#server.relieve();
  }

  /** Changes the groups' queue, and lets the ring have what it can take. */
  #change(change: () => void): void {
    change();
    // While a step is carried out, its end hands over what waits.
    if (this.#stepping) return;
    this.#feedWaiting();
    this.#arm();
    this.#server.flush();
  }

  #feedWaiting(): void {
    if (this.#phase !== 'operational') return;
    while (this.#ring.backlog < RING_BACKLOG) {
      const payload = this.#groups.next();
      if (payload === null) return;
      this.#step({ kind: 'multicast', payload, safe: false });
    }
  }

  #step(input: RingInput): void {
    const first: Uint8Array[] = [];
    for (const effect of this.#ring.step(input, performance.now())) this.#carryOut(effect, first);
    for (const payload of first) this.#step({ kind: 'multicast', payload, safe: false });
  }

  #carryOut(effect: RingEffect, first: Uint8Array[]): void {
    switch (effect.kind) {
      case 'send':
        for (const to of effect.to) this.#datagrams?.send(to, effect.packet);
        return;
      case 'persist':
        return this.#ringState.persist(effect.sequence);
      case 'deliver':
        for (const event of this.#groups.deliver(effect.sender, effect.payload)) this.#server.push(event);
        return;
      case 'returned':
        return this.#groups.returned(effect.payloads.map(({ payload }) => payload));
      case 'view':
        return this.#view(effect.regular, effect.ring, effect.members, first);
      case 'phase':
        this.#phase = effect.phase;
        return this.#server.pushStatus();
    }
  }

  /** The transitional configuration is the groups' business no more than CPG's: what it delivers, they deliver. */
  #view(regular: boolean, ring: RingId, members: readonly NodeId[], first: Uint8Array[]): void {
    if (!regular) return void (this.#along = members);
    const before = quorumStatus(this.#quorum).quorate;
    this.#stepQuorum({ kind: 'view', ring, members, from: this.#along, left: [], now: performance.now() });
    this.#ringId = ring;
    this.#members = members;
    first.push(this.#groups.view(ring, members));
    const names = members.map((node) => this.#nameOf(node)).join(', ');
    const quorum = quorumStatus(this.#quorum);
    this.#log('notice', `ring ${formatRingId(ring)}: ${names}; ${quorum.totalVotes} of ${quorum.expectedVotes} votes`);
    if (quorum.quorate && !before) this.#log('notice', 'this node is within the part of the cluster that has quorum');
    if (!quorum.quorate && before)
      this.#log('warning', `quorum is lost: ${quorum.totalVotes} votes, ${quorum.quorum} needed`);
    this.#server.pushStatus();
  }

  #nameOf(node: NodeId): string {
    return this.#settings.nodes.find((entry) => entry.nodeId === node)?.name ?? String(node);
  }

  #arm(): void {
    clearTimeout(this.#timer ?? undefined);
    const deadline = this.#ring.deadline();
    if (deadline === Infinity) return;
    this.#timer = setTimeout(() => this.#feed({ kind: 'timer' }), Math.max(0, Math.ceil(deadline - performance.now())));
  }

  // --- links ---

  #probeLinks(): void {
    const probe = this.#links.ask(performance.now());
    for (const { nodeId } of this.#others()) this.#datagrams?.send(nodeId, probe);
    this.#showLinks();
  }

  #others(): readonly Endpoint[] {
    return this.#endpoints.filter((endpoint) => endpoint.nodeId !== this.#self.nodeId);
  }

  #showLinks(): void {
    const shown = this.#links
      .status(this.#others(), performance.now())
      .map((link) => `${link.peer}${link.connected}${coarse(link.latencyUs)}`)
      .join();
    if (shown === this.#linksShown) return;
    this.#linksShown = shown;
    this.#server.pushStatus();
  }

  // --- status, votes, configuration ---

  #status(): EngineStatus {
    return statusFrom(this.#settings, this.#self.nodeId, {
      state: this.#phase === 'operational' ? { kind: 'operational' } : { kind: 'forming' },
      ringId: this.#ringId,
      members: this.#members,
      links: this.#links.status(this.#others(), performance.now()),
      quorum: quorumStatus(this.#quorum),
    });
  }

  #stepQuorum(input: QuorumInput): void {
    const next = stepQuorum(this.#quorum, input);
    if (!next.ok) throw new Error(next.error);
    this.#quorum = next.value;
  }

  #setExpectedVotes(votes: number): void {
    this.#stepQuorum({ kind: 'expected', votes });
    this.#log('warning', `expected votes were set to ${votes} by hand on this node`);
    this.#server.pushStatus();
  }

  async #reload(): Promise<ReloadReport> {
    const settings = readSettings(this.#layout);
    const self = settings.nodes.find((node) => node.nodeId === this.#self.nodeId);
    if (self === undefined) throw new ConfRefused(`node ${this.#self.nodeId}, this one, is not in the nodelist`);
    const { live, needsRestart, effective } = compareSettings(this.#settings, settings, this.#self.nodeId);
    const endpoints = await endpointsOf(effective.nodes);
    this.#settings = effective;
    this.#endpoints = endpoints;
    this.#datagrams?.setPeers(endpoints);
    this.#stepQuorum({ kind: 'settings', settings: effective.quorum });
    this.#feed({
      kind: 'peers',
      peers: effective.nodes.map((node) => node.nodeId),
      timeouts: effective.timeouts,
      version: effective.configVersion,
    });
    this.#log('notice', `corosync.conf version ${effective.configVersion} is loaded`);
    this.#server.pushStatus();
    return { configVersion: effective.configVersion, live, needsRestart };
  }
}

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

function localAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return new Set(all.map((entry) => entry.address));
}

/** Powers of two: a status for every microsecond would be noise. */
const coarse = (latencyUs: number | null): string =>
  latencyUs === null ? '' : String(Math.round(Math.log2(latencyUs)));
