/** Whether each peer can be reached on the link, and how far it is: a small probe every second. */
import type { LinkStatus } from '../engine.ts';
import type { NodeId } from '../../totem/ids.ts';

const MAGIC = 0x5250; // 'RP', so that a probe is not taken for a packet of the ring
const ASK = 1;
const ANSWER = 2;
const PROBE_BYTES = 20;

/** Milliseconds between probes, and the silence after which a link counts as down. */
export const PROBE_INTERVAL = 1000;
const SILENCE = 3200;
/** Weight of a new measurement in the smoothed round trip, as TCP has it (RFC 6298). */
const SMOOTHING = 1 / 8;

interface Peer {
  heard: number;
  latencyUs: number | null;
}

export class Links {
  private readonly self: NodeId;
  private readonly tag: number;
  private readonly peers = new Map<NodeId, Peer>();

  constructor(self: NodeId, tag: number) {
    this.self = self;
    this.tag = tag;
  }

  /** `now` in milliseconds, with fractions. */
  ask(now: number): Uint8Array {
    return this.probe(ASK, now);
  }

  /** Takes a probe in. `kind: 'no'`: not a probe. `answer` goes back to the sender. */
  receive(
    bytes: Uint8Array,
    now: number,
  ): { readonly kind: 'no' } | { readonly kind: 'probe'; readonly answer: { to: NodeId; bytes: Uint8Array } | null } {
    if (bytes.length !== PROBE_BYTES) return { kind: 'no' };
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint16(0) !== MAGIC || view.getUint32(4) !== this.tag) return { kind: 'no' };
    const sender = view.getUint32(8);
    if (sender === 0 || sender === this.self) return { kind: 'probe', answer: null };
    const node = sender as NodeId; // not zero, and 32 bits: what nodeId() asks for
    const sentAt = view.getFloat64(12);
    if (view.getUint8(3) === ASK) return { kind: 'probe', answer: { to: node, bytes: this.probe(ANSWER, sentAt) } };
    const took = Math.max(1, Math.round((now - sentAt) * 1000));
    const peer = this.peers.get(node) ?? { heard: now, latencyUs: null };
    peer.heard = now;
    peer.latencyUs = peer.latencyUs === null ? took : Math.round(peer.latencyUs + (took - peer.latencyUs) * SMOOTHING);
    this.peers.set(node, peer);
    return { kind: 'probe', answer: null };
  }

  status(others: readonly { readonly nodeId: NodeId; readonly address: string }[], now: number): LinkStatus[] {
    return others.map(({ nodeId, address }) => {
      const peer = this.peers.get(nodeId);
      const connected = peer !== undefined && now - peer.heard < SILENCE;
      const state = connected ? ('up' as const) : ('down' as const);
      const latencyUs = connected ? peer.latencyUs : null;
      return { link: 0, peer: nodeId, address, connected, state, since: null, latencyUs, mtu: null, failures: 0 };
    });
  }

  private probe(kind: number, at: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(PROBE_BYTES));
    view.setUint16(0, MAGIC);
    view.setUint8(2, 1);
    view.setUint8(3, kind);
    view.setUint32(4, this.tag);
    view.setUint32(8, this.self);
    view.setFloat64(12, at);
    return new Uint8Array(view.buffer);
  }
}
