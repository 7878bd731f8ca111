/**
 * Every datagram of a node sealed with the cluster's key, and no datagram taken twice, across restarts too.
 *
 * Each start of an engine draws a random session; its packets are sealed with a subkey of (cluster key, sender,
 * session, epoch) and numbered by a counter that is the nonce, so that no nonce repeats. Inside a session a window
 * over the counters refuses replays. A session not known is believed only after a proof that its sender lives now:
 *
 *     pve2 -> pve1   payload, session S                 pve1 does not know S, and drops it
 *     pve1 -> pve2   challenge to (pve2, S), nonce N
 *     pve2 -> pve1   proof in S, nonce N                S is pve2's session from here on, any other is dead
 *
 * A recording of an earlier life of pve2 gets challenges at most, which nobody answers: N is new, and pve2 answers
 * only for the session it is in. Nothing of that is on disk, and no clock is compared.
 *
 * Belief is in the session, not in the key: after a change of keys a session goes on under the new one, without a
 * lost packet. Whoever has the cluster's key can speak for every node; a member is trusted as in Corosync.
 */
import { nodeId, type NodeId } from '../ids.ts';
import { TAG_BYTES, type ClusterKey, type SessionKey } from './cluster-key.ts';
import {
  addresseeOf,
  CHALLENGE,
  CHALLENGE_HEAD,
  clusterOf,
  counterOf,
  envelopeBytes,
  keyIdOf,
  kindOf,
  LONGEST_DATAGRAM,
  NONCE_BYTES,
  PAYLOAD,
  PLAIN,
  PLAIN_HEAD,
  PROOF,
  PROOF_HEAD,
  putHead,
  putSeal,
  putU32,
  SEALED_HEAD,
  senderOf,
  SESSION_AT,
  SESSION_BYTES,
  sessionHighOf,
  sessionLowOf,
  u32At,
  voucherOf,
} from './envelope.ts';
import { Peer } from './peer.ts';
import type { Refusal } from './refusals.ts';

export type Opened =
  | { readonly kind: 'payload'; readonly sender: NodeId; readonly payload: Uint8Array }
  /** A challenge or a proof, to be sent back on the way the datagram came. */
  | { readonly kind: 'send'; readonly to: NodeId; readonly datagram: Uint8Array }
  /** The sender's session is believed from now on: what it sends next is taken. */
  | { readonly kind: 'proven'; readonly sender: NodeId }
  /** `sender`: the configured node that the datagram names, authentic or not; null when it names none. */
  | { readonly kind: 'refused'; readonly sender: NodeId | null; readonly reason: Refusal };

export interface SecurityConfig {
  readonly self: NodeId;
  /** clusterTag of the cluster's name. */
  readonly clusterTag: number;
  /** Every configured node; this one may be among them. */
  readonly peers: readonly NodeId[];
  /** The first seals, all open. None: nothing is sealed. */
  readonly keys: readonly ClusterKey[];
  /** Random bytes fit for keys. */
  readonly random: (bytes: number) => Uint8Array;
}

/**
 * Packets per subkey. AES-GCM should not seal more than 2^24.5 records of 16 KiB with one key (RFC 8446, section 5.5);
 * a datagram is no longer than four of those, and mostly a tenth of one.
 */
const EPOCH = 2 ** 22;
const EPOCH_BYTES = 4;
/** Where the counter ends; at a million packets a second after nine years. */
const LAST_COUNTER = 2 ** 48 - 1;
const NOTHING = new Uint8Array(0);

export class Security {
  private readonly self: NodeId;
  private readonly cluster: number;
  private readonly random: (bytes: number) => Uint8Array;
  private readonly salt: number;
  private keys: readonly ClusterKey[];
  private peers: Map<number, Peer>;
  private session: Uint8Array;
  private counter = 0;
  private own: { readonly epoch: number; readonly id: number; readonly key: SessionKey } | null = null;
  private readonly subject = new Uint8Array(SESSION_BYTES + EPOCH_BYTES);
  private readonly counts = new Map<Refusal, number>();

  constructor(config: SecurityConfig) {
    this.self = config.self;
    this.cluster = config.clusterTag;
    this.random = config.random;
    this.keys = config.keys;
    this.session = config.random(SESSION_BYTES);
    this.salt = u32At(config.random(4), 0);
    this.peers = new Map();
    this.setPeers(config.peers);
  }

  /** Bytes that `seal` adds to a payload. Changes when the first key comes or the last one goes. */
  get overhead(): number {
    return envelopeBytes(this.keys.length > 0);
  }

  /** The datagram for a payload, ready for the socket. Throws a RangeError when it would be longer than 65535 bytes. */
  seal(payload: Uint8Array): Uint8Array {
    const length = payload.length + this.overhead;
    if (length > LONGEST_DATAGRAM) throw new RangeError(`a datagram of ${length} bytes is longer than UDP allows`);
    const datagram = new Uint8Array(length);
    if (this.keys.length > 0) return this.sealed(datagram, PAYLOAD, SEALED_HEAD, payload);
    putHead(datagram, PLAIN, this.cluster, this.self);
    datagram.set(payload, PLAIN_HEAD);
    return datagram;
  }

  /** What a datagram (one piece of splitDatagrams) is. Never throws. `now`: milliseconds of a clock that only rises. */
  open(datagram: Uint8Array, now: number): Opened {
    const kind = kindOf(datagram);
    if (kind < 0) return this.refuse(null, 'malformed');
    if (clusterOf(datagram) !== this.cluster) return this.refuse(null, 'other-cluster');
    const sender = senderOf(datagram);
    if (sender === this.self) return this.refuse(null, 'own');
    const peer = this.peers.get(sender);
    if (peer === undefined) return this.refuse(null, 'stranger');
    if (kind === PLAIN) {
      if (this.keys.length > 0) return this.refuse(peer, 'plain');
      return { kind: 'payload', sender: peer.node, payload: datagram.subarray(PLAIN_HEAD) };
    }
    if (this.keys.length === 0) return this.refuse(peer, 'sealed');
    if (kind === PAYLOAD) return this.openPayload(peer, datagram, now);
    return kind === CHALLENGE ? this.answer(peer, datagram, now) : this.check(peer, datagram, now);
  }

  /** From now on the first key seals and all open. What is under way stays readable as long as its key is here. */
  setKeys(keys: readonly ClusterKey[]): void {
    this.keys = keys;
    this.own = null;
    const used = (id: number): boolean => keys.some((key) => key.id === id);
    for (const peer of this.peers.values()) peer.keepOnly(used);
  }

  /** The configured nodes. What is known of those that stay is kept. */
  setPeers(peers: readonly NodeId[]): void {
    const others = peers.filter((node) => node !== this.self);
    this.peers = new Map(others.map((node) => [node, this.peers.get(node) ?? new Peer(node)]));
  }

  /** How many datagrams were refused, by reason. */
  stats(): ReadonlyMap<Refusal, number> {
    return this.counts;
  }

  private openPayload(peer: Peer, datagram: Uint8Array, now: number): Opened {
    const window = peer.windowOf(sessionHighOf(datagram), sessionLowOf(datagram));
    if (window === null) return this.challenge(peer, datagram, now);
    const counter = counterOf(datagram);
    if (window.seen(counter)) return this.refuse(peer, 'replayed');
    const payload = this.unseal(peer, datagram, SEALED_HEAD, counter, true);
    if (typeof payload === 'string') return this.refuse(peer, payload);
    window.mark(counter);
    return { kind: 'payload', sender: peer.node, payload };
  }

  /** A packet of a session that is not believed: its sender is asked whether it lives, if it is one of the cluster's. */
  private challenge(peer: Peer, datagram: Uint8Array, now: number): Opened {
    // The voucher is enough here: whoever made it had the key, now or once. No state comes of it.
    const key = this.derive(datagram, counterOf(datagram));
    if (typeof key === 'string') return this.refuse(peer, key);
    if (!peer.challenges.take(sessionLowOf(datagram), this.salt, now)) return this.refuse(peer, 'unproven');
    const challenge = new Uint8Array(CHALLENGE_HEAD + NONCE_BYTES + TAG_BYTES);
    putU32(challenge, SEALED_HEAD, peer.node);
    putU32(challenge, SEALED_HEAD + 4, sessionHighOf(datagram));
    putU32(challenge, SEALED_HEAD + 8, sessionLowOf(datagram));
    this.sealed(challenge, CHALLENGE, CHALLENGE_HEAD, peer.nonceFor(this.random, now));
    this.count('unproven');
    return { kind: 'send', to: peer.node, datagram: challenge };
  }

  /** A challenge: answered when it is to the session that this node is in, and sealed by one who has the key. */
  private answer(peer: Peer, datagram: Uint8Array, now: number): Opened {
    if (addresseeOf(datagram) !== this.self) return this.refuse(peer, 'not-asked');
    for (let index = 0; index < SESSION_BYTES; index += 1)
      if (datagram[SEALED_HEAD + 4 + index] !== this.session[index]) return this.refuse(peer, 'not-asked');
    const window = peer.windowOf(sessionHighOf(datagram), sessionLowOf(datagram));
    const counter = counterOf(datagram);
    if (window !== null && window.seen(counter)) return this.refuse(peer, 'replayed');
    const nonce = this.unseal(peer, datagram, CHALLENGE_HEAD, counter, window !== null);
    if (typeof nonce === 'string') return this.refuse(peer, nonce);
    window?.mark(counter);
    if (!peer.answers.take(u32At(nonce, 0), this.salt, now)) return this.refuse(peer, 'replayed');
    const proof = new Uint8Array(PROOF_HEAD + TAG_BYTES);
    proof.set(nonce, SEALED_HEAD);
    this.sealed(proof, PROOF, PROOF_HEAD, NOTHING);
    return { kind: 'send', to: peer.node, datagram: proof };
  }

  /** A proof: its session is the sender's present one when it gives back the nonce that this node drew. */
  private check(peer: Peer, datagram: Uint8Array, now: number): Opened {
    if (!peer.asked(datagram, SEALED_HEAD, now)) return this.refuse(peer, 'not-asked');
    const counter = counterOf(datagram);
    const nothing = this.unseal(peer, datagram, PROOF_HEAD, counter, false);
    if (typeof nothing === 'string') {
      peer.countForged();
      return this.refuse(peer, nothing);
    }
    peer.believe(sessionHighOf(datagram), sessionLowOf(datagram), counter);
    return { kind: 'proven', sender: peer.node };
  }

  /** `known`: it is of the believed session, whose subkeys are kept. */
  private unseal(
    peer: Peer,
    datagram: Uint8Array,
    head: number,
    counter: number,
    known: boolean,
  ): Uint8Array | Refusal {
    const epoch = Math.floor(counter / EPOCH);
    const kept = known ? peer.key(keyIdOf(datagram), epoch, voucherOf(datagram)) : null;
    const key = kept ?? this.derive(datagram, counter);
    if (typeof key === 'string') return key;
    const plain = key.open(counter, datagram, head);
    if (plain === null) return 'forged';
    if (known && kept === null) peer.keep(keyIdOf(datagram), epoch, key);
    return plain;
  }

  /** The subkey that a datagram names and has the voucher of. */
  private derive(datagram: Uint8Array, counter: number): SessionKey | 'unknown-key' | 'forged' {
    const id = keyIdOf(datagram);
    let reason: 'unknown-key' | 'forged' = 'unknown-key';
    for (const cluster of this.keys) {
      if (cluster.id !== id) continue;
      reason = 'forged';
      this.subject.set(datagram.subarray(SESSION_AT, SESSION_AT + SESSION_BYTES));
      putU32(this.subject, SESSION_BYTES, Math.floor(counter / EPOCH));
      const key = cluster.session(nodeId(senderOf(datagram)), this.subject);
      if (key.voucher === voucherOf(datagram)) return key;
    }
    return reason;
  }

  /** Writes the head's first part and seals. The caller has written what the kind has between that and `head`. */
  private sealed(datagram: Uint8Array, kind: number, head: number, plain: Uint8Array): Uint8Array {
    if (this.counter > LAST_COUNTER) this.renew();
    const counter = this.counter;
    this.counter += 1;
    const { id, key } = this.sealing(Math.floor(counter / EPOCH));
    putHead(datagram, kind, this.cluster, this.self);
    putSeal(datagram, id, key.voucher, this.session, counter);
    key.seal(counter, datagram, head, plain);
    return datagram;
  }

  private sealing(epoch: number): { readonly id: number; readonly key: SessionKey } {
    if (this.own !== null && this.own.epoch === epoch) return this.own;
    const [first] = this.keys;
    if (first === undefined) throw new Error('nothing is sealed without a key');
    this.subject.set(this.session);
    putU32(this.subject, SESSION_BYTES, epoch);
    this.own = { epoch, id: first.id, key: first.session(this.self, this.subject) };
    return this.own;
  }

  /** A new session: the peers ask for its proof as after a restart. */
  private renew(): void {
    this.session = this.random(SESSION_BYTES);
    this.counter = 0;
    this.own = null;
  }

  private refuse(peer: Peer | null, reason: Refusal): Opened {
    this.count(reason);
    return { kind: 'refused', sender: peer === null ? null : peer.node, reason };
  }

  private count(reason: Refusal): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
  }
}
