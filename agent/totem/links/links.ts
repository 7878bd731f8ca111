/**
 * The links between this node and the others, as a state machine without clock or socket: which of them a packet
 * takes, whether they work, and how large a packet they carry.
 *
 * The ring above it sends to nodes (Totem's redundant rings, Koch, Moser, Melliar-Smith 2002, and knet's links are
 * both just rules for which links carry a copy); the sockets below send over links.
 */
import type { NodeId } from '../ids.ts';
import { LinkHealth } from './health.ts';
import type { LinkConfig, LinkEffect, LinksConfig, LinkTimes, PathStatus, Way } from './link-types.ts';
import { MulticastCheck } from './multicast-check.ts';
import { PathMtu } from './path-mtu.ts';
import { decodeProbe, encodeProbe, SMALLEST_ASK } from './probe.ts';
import { Routes, type Candidate } from './routes.ts';

/** With a single link there is nothing to switch to: an idle node should not wake up for it more often. Milliseconds. */
const SINGLE: LinkTimes = { pingInterval: 1_000, pingTimeout: 3_200, pongCount: 2 };
/** A timer this late means that the process stood still, and with it its view of the links. Milliseconds. */
const LATE = 100;
/** A link that has not answered by so long after another one did is down. Milliseconds. */
const SETTLED = 3_000;
/** Retries of a size come with small asks that tell a narrow link from one that is cut; not more often than this. Milliseconds. */
const BESIDE = 20;

interface Path {
  readonly link: LinkConfig;
  readonly peer: Peer;
  readonly address: string;
  readonly health: LinkHealth;
  readonly mtu: PathMtu;
  smallAt: number;
  /** It has answered, or was reported as down: until then a silent link is no news. */
  known: boolean;
}

interface Peer {
  readonly node: NodeId;
  readonly single: boolean;
  readonly paths: Map<number, Path>;
  reachable: boolean;
  reachableFrom: number;
}

export class Links {
  #config: LinksConfig;
  #peers = new Map<NodeId, Peer>();
  #paths: Path[] = [];
  /** Of links with multicast, by number. */
  #checks = new Map<number, MulticastCheck>();
  #routes: Routes;
  #deadline = Infinity;
  #datagram = 0;

  constructor(config: LinksConfig) {
    this.#config = config;
    this.#routes = this.#newRoutes();
  }

  /** Can a packet overtake another of the same sender, in a network that works? Then a gap is not a loss at once. */
  get reorders(): boolean {
    const { mode, links, peers } = this.#config;
    // What is multicast and what is not comes through two sockets, and a token may come first.
    const casts = peers.length > 1 && links.some(({ multicast }) => multicast === true);
    return casts || (mode !== 'passive' && links.length > 1);
  }

  start(now: number): LinkEffect[] {
    return this.reconfigure(this.#config, now);
  }

  /** From now on these links and peers. What is known of a link to a peer stays while its address does. */
  reconfigure(config: LinksConfig, now: number): LinkEffect[] {
    const topChanged = config.netmtu !== this.#config.netmtu;
    this.#config = config;
    const before = this.#peers;
    this.#peers = new Map();
    this.#paths = [];
    for (const { node, links } of config.peers) {
      const old = before.get(node);
      const shared = links.flatMap(({ link: number, address }) =>
        config.links.filter(({ link }) => link === number).map((link) => ({ link, address })),
      );
      const peer: Peer = { node, single: shared.length === 1, paths: new Map(), reachable: false, reachableFrom: now };
      for (const { link, address } of shared) {
        const known = old?.paths.get(link.link);
        const same = known !== undefined && known.address === address ? known : null;
        const times = peer.single ? singleTimes(link) : link;
        const health = same?.health ?? new LinkHealth(times, now);
        health.retime(times);
        const measured = topChanged || same?.link.overhead !== link.overhead ? null : same.mtu;
        const mtu = measured ?? new PathMtu(config.netmtu);
        if (measured === null && health.answers) mtu.begin(now);
        const path = {
          link,
          peer,
          address,
          health,
          mtu,
          smallAt: same?.smallAt ?? -Infinity,
          known: same?.known ?? false,
        };
        peer.paths.set(link.link, path);
        this.#paths.push(path);
      }
      peer.reachable = old?.reachable === true && someAnswers(peer);
      this.#peers.set(node, peer);
    }
    this.#checks = new Map(
      config.links.flatMap(({ link, multicast }) =>
        multicast === true ? [[link, this.#checks.get(link) ?? new MulticastCheck()] as const] : [],
      ),
    );
    this.#routes = this.#newRoutes();
    const effects = this.#ask(now);
    this.#size(effects);
    return effects;
  }

  /** The copies of a packet to these nodes. The answer belongs to the links: it must not be changed. */
  route(to: readonly NodeId[], again: boolean): readonly Way[] {
    return this.#routes.route(to, again);
  }

  /** Any genuine packet came from this node over this link. */
  heard(link: number, sender: NodeId, now: number): void {
    const path = this.#peers.get(sender)?.paths.get(link);
    if (path === undefined || path.health.state === 'up') return;
    if (path.health.heard(now)) this.#deadline = Math.min(this.#deadline, path.health.due());
  }

  /** A payload of the links' own kinds came from this node over this link. Anything else is ignored. */
  receive(link: number, sender: NodeId, payload: Uint8Array, now: number): LinkEffect[] {
    const path = this.#peers.get(sender)?.paths.get(link);
    const probe = decodeProbe(payload);
    if (path === undefined || probe === null) return [];
    this.heard(link, sender, now);
    const { id, sentAt, bytes } = probe;
    switch (probe.kind) {
      case 'ask':
        return [{ kind: 'send', link, to: sender, payload: encodeProbe({ kind: 'answer', id, sentAt, bytes }) }];
      case 'cast':
        return [{ kind: 'send', link, to: sender, payload: encodeProbe({ kind: 'cast-answer', id, sentAt, bytes }) }];
      case 'answer':
        return this.#answered(path, id, sentAt, bytes, now);
      case 'cast-answer':
        return this.#castAnswered(link, sender, id, sentAt);
    }
  }

  /** The kernel refused a payload of so many bytes as too large for the way to this peer (EMSGSIZE). */
  tooLarge(link: number, peer: NodeId, bytes: number, now: number): LinkEffect[] {
    const path = this.#peers.get(peer)?.paths.get(link);
    if (path === undefined) return [];
    path.mtu.tooLarge(bytes + path.link.overhead, now);
    this.#deadline = Math.min(this.#deadline, path.mtu.due());
    const effects: LinkEffect[] = [];
    this.#size(effects);
    return effects;
  }

  /** When `timer` wants to be called; it may become earlier with every call of another method. */
  deadline(): number {
    return this.#deadline;
  }

  timer(now: number): LinkEffect[] {
    const late = now - this.#deadline;
    if (late > LATE) for (const { health } of this.#paths) health.excuse(late, now);
    const effects: LinkEffect[] = [];
    for (const peer of this.#peers.values()) {
      const answered = someAnswers(peer);
      for (const path of peer.paths.values()) this.#listen(path, now, effects);
      if (!answered || someAnswers(peer)) continue;
      peer.reachable = false;
      for (const { health } of peer.paths.values()) health.forgive(now);
    }
    effects.push(...this.#ask(now));
    this.#size(effects);
    return effects;
  }

  status(): PathStatus[] {
    return this.#paths.map(({ link, peer, address, health, mtu }) => ({
      ...{ link: link.link, peer: peer.node, address, state: health.state, since: health.since },
      ...{ latencyUs: health.latencyUs, mtu: mtu.good, failures: health.failures },
    }));
  }

  #newRoutes(): Routes {
    return new Routes(this.#config.mode, (node) =>
      [...(this.#peers.get(node)?.paths.values() ?? [])].map(({ link, health }): Candidate => ({
        ...link,
        sharing: this.#sharing(link, node),
        state: health.state === 'up' ? 'up' : health.state === 'untested' || health.answers ? 'maybe' : 'down',
      })),
    );
  }

  #sharing({ link }: LinkConfig, node: NodeId): Candidate['sharing'] {
    const check = this.#checks.get(link);
    if (check === undefined) return 'together';
    return check.hears(node) ? 'cast' : 'alone';
  }

  #castAnswered(link: number, peer: NodeId, id: number, sentAt: number): LinkEffect[] {
    const { changed, wasDeaf } = this.#checks.get(link)?.answered(peer, id, sentAt) ?? {
      changed: false,
      wasDeaf: false,
    };
    if (changed) this.#routes.forget();
    return wasDeaf ? [{ kind: 'multicast', link, peer, works: true }] : [];
  }

  /** Asks the peers that answer on a link with multicast whether they hear that too. */
  #cast(now: number): LinkEffect[] {
    const effects: LinkEffect[] = [];
    for (const [link, check] of this.#checks) {
      const answering = this.#paths.filter((path) => path.link.link === link && path.health.answers);
      check.audience(
        answering.map(({ peer }) => peer.node),
        now,
      );
      if (check.due() <= now) {
        const { id, to, deaf } = check.ask(now);
        if (deaf.length > 0) this.#routes.forget();
        effects.push(...deaf.map((peer) => ({ kind: 'multicast', link, peer, works: false }) as const));
        const ask = { kind: 'cast', id, sentAt: now, bytes: SMALLEST_ASK } as const;
        effects.push({ kind: 'cast', link, to, payload: encodeProbe(ask) });
      }
      this.#deadline = Math.min(this.#deadline, check.due());
    }
    return effects;
  }

  /**
   * Takes a link down that has been silent for too long. Of a peer that is not there all links are silent, and nothing
   * is said of that; of one that answers on another link it is.
   */
  #listen(path: Path, now: number, effects: LinkEffect[]): void {
    const { health, mtu, link, peer } = path;
    const ends = health.rowEndsAt() <= now;
    const down = health.downAt() <= now;
    const reason = down ? health.goDown(now) : 'it has never answered, though the node does on another link';
    const late = !path.known && health.state === 'down' && peer.reachable && now - peer.reachableFrom > SETTLED;
    if ((down && path.known) || late) {
      path.known = true;
      effects.push({ kind: 'down', link: link.link, peer: peer.node, reason });
    }
    if (!ends && !down) return;
    if (ends) health.endRow();
    mtu.rest();
    this.#routes.forget();
  }

  #answered(path: Path, id: number, sentAt: number, bytes: number, now: number): LinkEffect[] {
    const { health, mtu, peer, link } = path;
    const answeredBefore = health.answers;
    const { ours, up } = health.answered(id, sentAt, now);
    if (!ours) return [];
    const effects: LinkEffect[] = [];
    if (!answeredBefore && health.answers) mtu.begin(now);
    if (bytes > SMALLEST_ASK) mtu.answered(bytes + link.overhead, now);
    else mtu.proof(sentAt);
    if (up || answeredBefore !== health.answers) this.#routes.forget();
    if (answeredBefore !== health.answers && this.#checks.size > 0) effects.push(...this.#cast(now));
    if (up) {
      path.known = true;
      const reason = `answers within ${((health.latencyUs ?? 0) / 1000).toFixed(1)} ms`;
      effects.push({ kind: 'up', link: link.link, peer: peer.node, reason });
    }
    if (!peer.reachable && health.answers) {
      peer.reachable = true;
      peer.reachableFrom = now;
      effects.push({ kind: 'reachable', node: peer.node });
    }
    if (mtu.due() <= now) effects.push(...this.#askPath(path, now));
    this.#deadline = Math.min(this.#deadline, health.due(), mtu.due());
    this.#size(effects);
    return effects;
  }

  #ask(now: number): LinkEffect[] {
    const effects: LinkEffect[] = [];
    this.#deadline = Infinity;
    for (const path of this.#paths) {
      effects.push(...this.#askPath(path, now));
      const { health, mtu } = path;
      this.#deadline = Math.min(this.#deadline, health.due(), health.downAt(), health.rowEndsAt(), mtu.due());
    }
    effects.push(...this.#cast(now));
    return effects;
  }

  #askPath(path: Path, now: number): LinkEffect[] {
    const { health, mtu, peer, link } = path;
    const effects: LinkEffect[] = [];
    const regular = health.isDue(now);
    // On an idle link that is alone one ask does for both: it is padded to the size that is to be confirmed.
    const both = regular && peer.single && health.state === 'up';
    let small = regular;
    if (mtu.due() <= (both ? now + SINGLE.pingInterval / 8 : now)) {
      mtu.settle(now);
      const again = mtu.inDoubt;
      const size = mtu.next(now, (health.latencyUs ?? 0) / 1000);
      if (size !== null) {
        const instead = both && !again;
        effects.push(this.#sendAsk(path, size - link.overhead, instead ? 'both' : 'padded', now));
        small = instead ? false : regular || (again && now - path.smallAt >= BESIDE);
      }
    }
    if (small) effects.push(this.#sendAsk(path, SMALLEST_ASK, 'small', now));
    return effects;
  }

  #sendAsk(path: Path, bytes: number, kind: 'small' | 'padded' | 'both', now: number): LinkEffect {
    if (kind === 'small') path.smallAt = now;
    const id = path.health.asked(now, kind);
    // One byte more than a small one at least, so that its answer is known for what it is.
    const ask = {
      kind: 'ask',
      id,
      sentAt: now,
      bytes: kind === 'small' ? bytes : Math.max(bytes, SMALLEST_ASK + 1),
    } as const;
    return { kind: 'send', link: path.link.link, to: path.peer.node, payload: encodeProbe(ask) };
  }

  /** Adds the effect when the largest payload for all has changed. A link that is down counts with what it last carried. */
  #size(effects: LinkEffect[]): void {
    let bytes = Infinity;
    for (const { health, mtu, link } of this.#paths) {
      if (health.answeredAt !== -Infinity) bytes = Math.min(bytes, mtu.usable - link.overhead);
    }
    if (bytes === Infinity) {
      for (const { overhead } of this.#config.links) {
        bytes = Math.min(bytes, new PathMtu(this.#config.netmtu).usable - overhead);
      }
    }
    if (bytes === this.#datagram || bytes === Infinity) return;
    this.#datagram = bytes;
    effects.push({ kind: 'datagram', bytes });
  }
}

const someAnswers = (peer: Peer): boolean => [...peer.paths.values()].some(({ health }) => health.answers);

/** A file that asks for less than our times with a single link is followed. */
function singleTimes({ pongCount, pingInterval, pingTimeout }: LinkTimes): LinkTimes {
  return {
    pongCount,
    pingInterval: Math.max(pingInterval, SINGLE.pingInterval),
    pingTimeout: Math.max(pingTimeout, SINGLE.pingTimeout),
  };
}
