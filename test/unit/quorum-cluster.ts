/**
 * Nodes that count votes, on a network that tests cut and mend: who is together gets a view at once, hears
 * everyone's word in one order, and may be cut off again in between.
 */
import assert from 'node:assert/strict';
import {
  quorumDeadline,
  quorumMemory,
  quorumStatus,
  quorumWord,
  startQuorum,
  stepQuorum,
  type QuorumInput,
  type QuorumMemory,
  type QuorumSettings,
  type QuorumState,
  type QuorumStatus,
} from '../../agent/quorum/quorum.ts';
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';

/** A part of the network, and where it breaks before all words are heard: parts of it, each with what it hears. */
export interface Group {
  readonly nodes: readonly number[];
  readonly broken?: readonly { readonly nodes: readonly number[]; readonly heard: number }[];
}

interface Node {
  state: QuorumState;
  /** Nodes with the same mark have delivered the same since their last view. */
  cohort: string;
  /** Of the last change of the network that this node has noticed. */
  round: number;
}

export class QuorumCluster {
  readonly settings: QuorumSettings;
  readonly running = new Map<NodeId, Node>();
  private readonly disks = new Map<NodeId, QuorumMemory>();
  private goodbyes = new Map<string, NodeId[]>();
  private sequence = 0;
  round = 0;
  now = 0;

  constructor(settings: QuorumSettings) {
    this.settings = settings;
    for (const node of settings.votes.keys()) this.disks.set(node, { incomplete: false, highestExpected: 0 });
  }

  start(...ids: number[]): void {
    for (const id of ids.map(nodeId)) {
      if (this.running.has(id)) continue;
      const state = startQuorum(this.settings, this.disks.get(id) ?? null);
      this.running.set(id, { state, cohort: `start ${id} ${this.sequence}`, round: this.round });
    }
  }
  /** As kill -9 does: nobody hears of it. */
  kill(...ids: number[]): void {
    for (const id of ids.map(nodeId)) this.running.delete(id);
  }
  wipe(id: number): void {
    this.disks.delete(nodeId(id));
  }
  /** In order: who is still with it hears the goodbye, except `deaf`. */
  stop(id: number, deaf: readonly number[] = []): void {
    const node = this.running.get(nodeId(id));
    if (node === undefined) return;
    this.step(nodeId(id), { kind: 'leave' });
    this.running.delete(nodeId(id));
    for (const [other, { cohort }] of this.running) {
      if (cohort !== node.cohort || deaf.includes(other)) continue;
      const heard = this.goodbyes.get(String(other)) ?? [];
      this.goodbyes.set(String(other), [...heard, nodeId(id)]);
    }
  }

  /** The network is now these groups; nodes that are in none keep the view they have. */
  regroup(...groups: readonly (Group | readonly number[])[]): void {
    this.round++;
    const given = groups.map((group): Group => ('nodes' in group ? group : { nodes: group }));
    for (const group of given) this.form(group);
  }

  /** Whoever waits for this time, in the order of the nodes. */
  wait(ms: number, ...only: number[]): void {
    this.now += ms;
    for (const [id, node] of this.running) {
      if (only.length > 0 && !only.includes(id)) continue;
      if (quorumDeadline(node.state) <= this.now) this.step(id, { kind: 'timer', now: this.now });
    }
  }

  /** An ordered input to everyone in one view with `id`. */
  order(id: number, input: QuorumInput): boolean {
    const from = this.running.get(nodeId(id));
    assert.ok(from !== undefined);
    if (!stepQuorum(from.state, input).ok) return false;
    for (const [node, { cohort }] of this.running) if (cohort === from.cohort) this.step(node, input);
    return true;
  }

  status(id: number): QuorumStatus {
    const node = this.running.get(nodeId(id));
    assert.ok(node !== undefined, `node ${id} does not run`);
    return quorumStatus(node.state);
  }
  /** What it would be if nothing happened for so long; nothing is changed. */
  statusAfter(id: number, ms: number): QuorumStatus {
    const node = this.running.get(nodeId(id));
    assert.ok(node !== undefined, `node ${id} does not run`);
    const next = stepQuorum(node.state, { kind: 'timer', now: this.now + ms });
    return quorumStatus(next.ok ? next.value : node.state);
  }
  quorate(...ids: number[]): boolean[] {
    return ids.map((id) => this.status(id).quorate);
  }

  /** The views that have quorum, among the nodes that know of the last change: more than one is a split brain. */
  quorateViews(): string[] {
    const current = [...this.running.values()].filter(({ round }) => round === this.round);
    const rings = current.filter(({ state }) => quorumStatus(state).quorate).map(({ state }) => state.ring);
    return [...new Set(rings.map((ring) => JSON.stringify(ring)))];
  }

  private form(group: Group): void {
    const members = group.nodes.map(nodeId).filter((id) => this.running.has(id));
    const [representative] = members.toSorted((a, b) => a - b);
    if (representative === undefined) return;
    const ring = { representative, sequence: (this.sequence += 4) };
    const cohorts = new Map(members.map((id) => [id, this.running.get(id)?.cohort]));
    for (const id of members) {
      const from = members.filter((other) => cohorts.get(other) === cohorts.get(id));
      // Virtual synchrony: those who come along together have heard the same goodbyes.
      const left = [...new Set(from.flatMap((other) => this.goodbyes.get(String(other)) ?? []))];
      this.step(id, { kind: 'view', ring, members, from, left, now: this.now });
    }
    for (const id of members) this.goodbyes.delete(String(id));
    const words = members.flatMap((node) => {
      const state = this.running.get(node)?.state;
      const word = state === undefined ? null : quorumWord(state);
      return word === null ? [] : [{ node, word }];
    });
    const parts = group.broken ?? [{ nodes: group.nodes, heard: words.length }];
    for (const [index, part] of parts.entries()) {
      for (const id of part.nodes.map(nodeId)) {
        const node = this.running.get(id);
        if (node === undefined || !members.includes(id)) continue;
        node.cohort = `${ring.sequence} ${index}`;
        node.round = this.round;
        for (const { node: teller, word } of words.slice(0, part.heard))
          this.step(id, { kind: 'told', node: teller, word, now: this.now });
      }
    }
  }

  private step(id: NodeId, input: QuorumInput): void {
    const node = this.running.get(id);
    if (node === undefined) return;
    const next = stepQuorum(node.state, input);
    if (!next.ok) return;
    node.state = next.value;
    this.disks.set(id, quorumMemory(next.value));
  }
}

/** `count` nodes of one vote each. */
export const evenVotes = (count: number): ReadonlyMap<NodeId, number> =>
  new Map(Array.from({ length: count }, (_, index) => [nodeId(index + 1), 1]));
