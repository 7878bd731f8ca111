/**
 * Everything between the ring and the network: which links a packet takes, its seal, and the sockets. Packets of one
 * turn leave together. Decides nothing: Links and Security do.
 */
import type { NodeId } from '../../totem/ids.ts';
import { Links } from '../../totem/links/links.ts';
import type { LinkEffect, LinksConfig, PathStatus } from '../../totem/links/link-types.ts';
import { isRingPacket } from '../../totem/packet.ts';
import type { ClusterKey } from '../../totem/security/cluster-key.ts';
import { splitDatagrams } from '../../totem/security/envelope.ts';
import { RefusalReports } from '../../totem/security/refusals.ts';
import { Security, type Opened } from '../../totem/security/security.ts';
import { Datagrams, type Departure, type LinkPlan } from './udp/datagrams.ts';
import type { Endpoint } from './udp/endpoints.ts';

/** Payloads of links begin with a byte up to this; those of the ring with its magic; the engine's own with others. */
const LAST_LINK_KIND = 15;
/** Packets that wait for the end of a turn, at most: the receivers shall work while the sender still seals. */
const BURST = 44;

export interface WireConfig {
  readonly links: LinksConfig;
  readonly plans: readonly LinkPlan[];
  readonly endpoints: readonly Endpoint[];
  readonly keys: readonly ClusterKey[];
}

export interface WireEvents {
  /** Runs what came in together as one turn of the engine. */
  turn(work: (now: number) => void): void;
  /** A packet of the ring. */
  packet(bytes: Uint8Array): void;
  /** Something of the engine's own, that no ring and no link knows. */
  other(sender: NodeId, payload: Uint8Array): void;
  /** This node can be reached now, and could not before. */
  reachable(node: NodeId): void;
  /** From now on packets of the ring may have this many bytes. */
  datagram(bytes: number): void;
  link(effect: Extract<LinkEffect, { kind: 'up' | 'down' }>): void;
  log(severity: 'notice' | 'warning', message: string): void;
  nameOf(node: NodeId): string | null;
}

interface Waiting extends Departure {
  readonly packets: Uint8Array[];
}

export class Wire {
  readonly #events: WireEvents;
  readonly #security: Security;
  readonly #links: Links;
  readonly #datagrams: Datagrams;
  readonly #refusals = new RefusalReports();
  #waiting: Waiting[] = [];
  #waitingPackets = 0;

  /** `random` gives that many unpredictable bytes. */
  constructor(
    self: NodeId,
    clusterTag: number,
    config: WireConfig,
    random: (bytes: number) => Uint8Array,
    events: WireEvents,
  ) {
    this.#events = events;
    const peers = config.links.peers.map((peer) => peer.node);
    this.#security = new Security({ self, clusterTag, peers, keys: config.keys, random });
    this.#links = new Links(config.links);
    this.#datagrams = new Datagrams(self, (link, bytes) => this.#receive(link, bytes));
  }

  /** Opens the sockets. Rejects with AddressNotLocal or a sentence. */
  async open(config: WireConfig, now: number): Promise<void> {
    await this.#datagrams.configure(config.plans, config.endpoints);
    this.#carryOut(this.#links.start(now));
    this.flush();
  }

  /** Takes over another configuration while it runs. Rejects with a sentence when a new link cannot be opened. */
  async reconfigure(config: WireConfig, now: number): Promise<void> {
    await this.#datagrams.configure(config.plans, config.endpoints);
    this.#security.setPeers(config.links.peers.map((peer) => peer.node));
    this.#security.setKeys(config.keys);
    this.#refusals.clear();
    this.#carryOut(this.#links.reconfigure(config.links, now));
    this.flush();
  }

  close(): Promise<void> {
    return this.#datagrams.close();
  }

  /** Several links used in turn: packets overtake each other. */
  get reorders(): boolean {
    return this.#links.reorders;
  }
  /** Bytes that the envelope adds to a payload. */
  get overhead(): number {
    return this.#security.overhead;
  }
  deadline(): number {
    return this.#links.deadline();
  }
  timer(now: number): void {
    this.#carryOut(this.#links.timer(now));
  }
  status(): readonly PathStatus[] {
    return this.#links.status();
  }

  /** Queues a payload for the end of the turn. `again`: it may have been lost, another way is worth a try. */
  send(to: readonly NodeId[], payload: Uint8Array, again: boolean): void {
    const datagram = this.#security.seal(payload);
    for (const way of this.#links.route(to, again)) this.#queue(way.link, way.to, datagram);
    if (this.#waitingPackets >= BURST) this.flush();
  }

  /** Sends what was queued. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingPackets = 0;
    this.#datagrams.send(waiting);
  }

  #queue(link: number, to: readonly NodeId[], datagram: Uint8Array): void {
    // Packets of several links do not pass each other within a link: each has its own last entry.
    const last = this.#waiting.findLast((entry) => entry.link === link);
    if (last !== undefined && sameNodes(last.to, to)) last.packets.push(datagram);
    else this.#waiting.push({ link, to, packets: [datagram] });
    this.#waitingPackets += 1;
  }

  #receive(link: number, bytes: Uint8Array): void {
    this.#events.turn((now) => {
      for (const datagram of splitDatagrams(bytes)) this.#take(link, this.#security.open(datagram, now), now);
    });
  }

  #take(link: number, opened: Opened, now: number): void {
    switch (opened.kind) {
      case 'payload': {
        const { sender, payload } = opened;
        this.#links.heard(link, sender, now);
        if (isRingPacket(payload)) this.#events.packet(payload);
        else if ((payload[0] ?? 0) <= LAST_LINK_KIND) this.#carryOut(this.#links.receive(link, sender, payload, now));
        else this.#events.other(sender, payload);
        return;
      }
      case 'send':
        return this.#queue(link, [opened.to], opened.datagram);
      case 'proven':
        return this.#events.reachable(opened.sender);
      case 'refused': {
        const name = opened.sender === null ? null : this.#events.nameOf(opened.sender);
        const sentence = this.#refusals.note(opened.reason, opened.sender, name, now);
        if (sentence !== null) this.#events.log('warning', sentence);
      }
    }
  }

  #carryOut(effects: readonly LinkEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send':
          this.#probe(effect.link, effect.to, effect.payload);
          break;
        case 'cast':
          this.#datagrams.send([{ ...effect, packets: [this.#security.seal(effect.payload)] }]);
          break;
        case 'multicast':
          this.#multicast(effect);
          break;
        case 'up':
        case 'down':
          this.#events.link(effect);
          break;
        case 'reachable':
          this.#events.reachable(effect.node);
          break;
        case 'datagram':
          this.#events.datagram(effect.bytes);
      }
    }
  }

  #multicast({ link, peer, works }: Extract<LinkEffect, { kind: 'multicast' }>): void {
    const name = this.#events.nameOf(peer) ?? `node ${peer}`;
    if (works) this.#events.log('notice', `${name} hears multicast on link ${link} again`);
    else {
      const sentence = `${name} does not hear multicast on link ${link}: it is sent to by unicast. See to IGMP in the network`;
      this.#events.log('warning', sentence);
    }
  }

  /** Probes leave at once: what they measure is the way, not our turn. */
  #probe(link: number, to: NodeId, payload: Uint8Array): void {
    const datagram = this.#security.seal(payload);
    if (this.#datagrams.probe(link, to, datagram)) return;
    this.#carryOut(this.#links.tooLarge(link, to, payload.length, performance.now()));
  }
}

function sameNodes(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false;
  return true;
}
