/** A network of links without sockets: the links of a few nodes, one clock, and cables that can be cut. */
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';
import type { LinkConfig, LinkEffect, LinkMode } from '../../agent/totem/links/link-types.ts';
import { Links } from '../../agent/totem/links/links.ts';
import { isProbe } from '../../agent/totem/links/probe.ts';

/** Bytes: IPv4, UDP and an envelope. */
export const OVERHEAD = 60;

export interface Cable {
  /** One direction of one link between two nodes. */
  cut: boolean;
  /** Share of packets lost, 0 to 1. */
  loss: number;
  /** One way, milliseconds. */
  delay: number;
  /** Largest IP packet; larger ones vanish. */
  mtu: number;
  /** Multicast does not get through. */
  deaf: boolean;
}

export type Logged = LinkEffect & { readonly at: number; readonly node: NodeId };

interface Flight {
  readonly at: number;
  readonly link: number;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly payload: Uint8Array;
}

/** What a node has above its links: its own timers, and payloads that are no probes. */
export interface Above {
  deadline(): number;
  timer(now: number): void;
  receive(payload: Uint8Array, now: number): void;
  effect(effect: LinkEffect, now: number): void;
}

export interface Options {
  readonly nodes?: number;
  readonly links?: number;
  readonly mode?: LinkMode;
  readonly netmtu?: number;
  readonly multicast?: boolean;
  readonly priorities?: readonly number[];
  /** Numbers from 0 to 1, for losses. */
  readonly chance?: () => number;
}

export class LinkNetwork {
  readonly nodes: readonly NodeId[];
  readonly log: Logged[] = [];
  now = 0;
  readonly #options: Options;
  readonly #links = new Map<NodeId, Links>();
  readonly #cables = new Map<string, Cable>();
  #flights: Flight[] = [];
  readonly #paused = new Set<NodeId>();
  readonly #above = new Map<NodeId, Above>();

  constructor(options: Options = {}) {
    this.#options = options;
    this.nodes = Array.from({ length: options.nodes ?? 2 }, (_, index) => nodeId(index + 1));
    for (const node of this.nodes) this.#links.set(node, new Links(this.config(node)));
  }

  config(self: NodeId): ConstructorParameters<typeof Links>[0] {
    const { links = 2, mode = 'passive', netmtu = 1500, priorities = [], multicast = false } = this.#options;
    const numbers = Array.from({ length: links }, (_, link) => link);
    return {
      ...{ self, mode, netmtu },
      // What corosync.conf(5) makes of a token of 800 ms.
      links: numbers.map((link): LinkConfig => ({
        ...{ link, priority: priorities[link] ?? 1, overhead: OVERHEAD, multicast },
        ...{ pingInterval: 200, pingTimeout: 400, pongCount: 2 },
      })),
      peers: this.nodes
        .filter((node) => node !== self)
        .map((node) => ({ node, links: numbers.map((link) => ({ link, address: `10.0.${link}.${node}` })) })),
    };
  }

  of(node: number): Links {
    const links = this.#links.get(nodeId(node));
    if (links === undefined) throw new Error(`there is no node ${node}`);
    return links;
  }

  cable(link: number, from: number, to: number): Cable {
    const key = `${link} ${from} ${to}`;
    const cable = this.#cables.get(key) ?? { cut: false, loss: 0, delay: 0.2, mtu: 65_535, deaf: false };
    this.#cables.set(key, cable);
    return cable;
  }

  /** Both directions of a link between two nodes. */
  both(link: number, change: Partial<Cable>, [a, b]: readonly [number, number] = [1, 2]): void {
    Object.assign(this.cable(link, a, b), change);
    Object.assign(this.cable(link, b, a), change);
  }

  pause(node: number): void {
    this.#paused.add(nodeId(node));
  }

  resume(node: number): void {
    this.#paused.delete(nodeId(node));
  }

  start(...nodes: number[]): void {
    for (const node of nodes.length > 0 ? nodes : this.nodes)
      this.#carryOut(nodeId(node), this.of(node).start(this.now));
  }

  put(above: Above, on: number): void {
    this.#above.set(nodeId(on), above);
  }

  /** Sends a payload of the node above over whatever links it takes. */
  send(node: number, to: readonly NodeId[], payload: Uint8Array, again: boolean): void {
    for (const way of this.of(node).route(to, again)) {
      const cast = this.#options.multicast === true && way.to.length > 1;
      for (const peer of way.to) this.#fly(nodeId(node), way.link, peer, payload, cast);
    }
  }

  carryOut(node: number, effects: readonly LinkEffect[]): void {
    this.#carryOut(nodeId(node), effects);
  }

  /** Lets the network run for so many milliseconds; `each` is called after every step. */
  run(milliseconds: number, each: () => void = () => undefined): void {
    const end = this.now + milliseconds;
    for (;;) {
      const next = this.#earliest();
      if (next === null || next.at > end) break;
      this.now = Math.max(this.now, next.at);
      next.run();
      each();
    }
    this.now = end;
    each();
  }

  state(node: number, link: number, peer: number): string | undefined {
    return this.of(node)
      .status()
      .find((path) => path.link === link && path.peer === peer)?.state;
  }

  mtu(node: number, link: number, peer: number): number | null | undefined {
    return this.of(node)
      .status()
      .find((path) => path.link === link && path.peer === peer)?.mtu;
  }

  /** The links a packet of this node takes to another now. */
  ways(from: number, to: number, again = false): number[] {
    return this.of(from)
      .route([nodeId(to)], again)
      .map(({ link }) => link);
  }

  #earliest(): { readonly at: number; readonly run: () => void } | null {
    let first: { at: number; run: () => void } | null = null;
    for (const flight of this.#flights) {
      if (this.#paused.has(flight.to) || (first !== null && flight.at >= first.at)) continue;
      first = { at: flight.at, run: () => this.#land(flight) };
    }
    for (const [node, links] of this.#links) {
      const at = links.deadline();
      // A process that wakes up looks at its timers before its sockets.
      if (this.#paused.has(node) || at === Infinity || (first !== null && at > first.at)) continue;
      first = { at, run: () => this.#carryOut(node, links.timer(this.now)) };
    }
    for (const [node, above] of this.#above) {
      const at = above.deadline();
      if (this.#paused.has(node) || at === Infinity || (first !== null && at > first.at)) continue;
      first = { at, run: () => above.timer(this.now) };
    }
    return first;
  }

  #land(flight: Flight): void {
    this.#flights = this.#flights.filter((one) => one !== flight);
    const { to, link, from, payload } = flight;
    if (isProbe(payload)) return this.#carryOut(to, this.of(to).receive(link, from, payload, this.now));
    this.of(to).heard(link, from, this.now);
    this.#above.get(to)?.receive(payload, this.now);
  }

  #carryOut(node: NodeId, effects: readonly LinkEffect[]): void {
    for (const effect of effects) {
      this.log.push({ ...effect, at: this.now, node });
      if (effect.kind === 'send') this.#fly(node, effect.link, effect.to, effect.payload, false);
      else if (effect.kind === 'cast') {
        for (const to of effect.to) this.#fly(node, effect.link, to, effect.payload, true);
      } else this.#above.get(node)?.effect(effect, this.now);
    }
  }

  #fly(from: NodeId, link: number, to: NodeId, payload: Uint8Array, cast: boolean): void {
    const cable = this.cable(link, from, to);
    const lost = cable.loss > 0 && (this.#options.chance?.() ?? 1) < cable.loss;
    if (cable.cut || (cast && cable.deaf) || lost || payload.length + OVERHEAD > cable.mtu) return;
    this.#flights.push({ at: this.now + cable.delay, link, from, to, payload });
  }
}
