/**
 * Replicas on a simulated engine: rings with a total order each, partitions that lose what is under
 * way, crashes between applying and storing, restarts from what was stored. One seed, one run.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Replica } from '../../agent/replica/replica.ts';
import {
  FRESH_IMAGE,
  type Quorum,
  type ReplicaEffect,
  type ReplicaImage,
  type ReplicaInput,
  type SessionRow,
  type StoreRecord,
} from '../../agent/replica/types.ts';
import type { Errno, Operation, TreeNode } from '../../agent/tree/types.ts';
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';

export const sha = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** What a store has to do: apply records to an image. */
export function applyRecord(image: ReplicaImage, record: StoreRecord): ReplicaImage {
  switch (record.kind) {
    case 'promise':
      return { ...image, promised: record.promised };
    case 'local':
      return { ...image, localFrom: record.from };
    case 'epoch': {
      const { forgetful: _, ...rest } = image;
      return { ...rest, version: record.version, branch: record.branch, lineage: record.lineage, localFrom: null };
    }
    case 'adopt': {
      const nodes = new Map<number, TreeNode>(image.nodes.map((node) => [node.inode, node]));
      for (const inode of record.removed) nodes.delete(inode);
      for (const node of record.put) nodes.set(node.inode, node);
      return { ...record.rest, nodes: [...nodes.values()] };
    }
    case 'operation': {
      const nodes = new Map<number, TreeNode>(image.nodes.map((node) => [node.inode, node]));
      for (const { node } of record.change.put) nodes.set(node.inode, node);
      for (const inode of record.change.removed) nodes.delete(inode);
      const sessions: SessionRow[] = [
        ...image.sessions.filter((row) => row.node !== record.session.node),
        record.session,
      ];
      return { ...image, nodes: [...nodes.values()], nextInode: record.nextInode, version: record.version, sessions };
    }
  }
}

type Item =
  | { readonly kind: 'message'; readonly sender: SimNode; readonly process: number; readonly payload: Uint8Array }
  | { readonly kind: 'view'; readonly members: readonly NodeId[] };

interface Ring {
  readonly id: number;
  readonly nodes: Set<SimNode>;
  readonly log: Item[];
}

export interface Answer {
  readonly path: string;
  readonly errno: Errno | null;
}

export class SimNode {
  readonly id: NodeId;
  image: ReplicaImage = FRESH_IMAGE;
  replica: Replica | null = null;
  process = 0;
  /** Records handed over and not yet on disk. */
  unstored: { ticket: number; record: StoreRecord; awaited: boolean }[] = [];
  /** How often it was told that what is to be stored is waited for. */
  hurried = 0;
  outgoing: Uint8Array[] = [];
  ring: Ring | null = null;
  /** How much of the ring's log this node has delivered. */
  at = 0;
  viewMembers: readonly NodeId[] = [];
  quorumSeen = false;
  readonly asides: ReplicaImage[] = [];
  readonly waiting = new Map<number, string>();

  constructor(id: number) {
    this.id = nodeId(id);
  }
}

export class Group {
  readonly nodes: SimNode[];
  readonly answers: Answer[] = [];
  readonly differing: { readonly by: NodeId; readonly node: NodeId }[] = [];
  needed: number;
  now = 0;
  private rings = 0;
  private submissions = 0;
  private readonly votes: ReadonlyMap<NodeId, number>;
  /** The quorum changes only with the members: then no change may ever be seen without it. */
  strict = true;
  /** Without a disk, and with a clock that was set back, ring sequences begin anew. */
  sequencesGrow = true;

  constructor(size: number) {
    this.nodes = Array.from({ length: size }, (_, index) => new SimNode(index + 1));
    this.votes = new Map(this.nodes.map((node) => [node.id, 1]));
    this.needed = Math.floor(size / 2) + 1;
  }

  node(id: number): SimNode {
    const node = this.nodes[id - 1];
    assert.ok(node);
    return node;
  }
  alive(): SimNode[] {
    return this.nodes.filter((node) => node.replica !== null);
  }

  // --- processes ---

  /** Starts the process from what is on disk. Its ring learns of it in order. */
  start(node: SimNode): void {
    node.process += 1;
    const opened = Replica.open({
      ...{ self: node.id, mode: 'cluster', session: node.process, hash: sha, image: node.image },
    });
    assert.ok(opened.ok, opened.ok ? '' : opened.error);
    node.replica = opened.value;
    node.ring ??= this.ringOf([node]);
    node.at = node.ring.log.length;
    this.announceMembers(node.ring);
  }

  /** The process dies; what was not stored is lost. Its engine lives on. */
  kill(node: SimNode): void {
    node.replica = null;
    node.unstored = [];
    node.waiting.clear();
    // What the engine already has is still sent, before the others learn of the death.
    this.flush(node);
    if (node.ring !== null) this.announceMembers(node.ring);
  }

  private flush(node: SimNode): void {
    for (const payload of node.outgoing.splice(0))
      node.ring?.log.push({ kind: 'message', sender: node, process: node.process, payload });
  }

  private announceMembers(ring: Ring): void {
    const members = [...ring.nodes].filter((node) => node.replica !== null).map((node) => node.id);
    ring.log.push({ kind: 'view', members: members.sort((left, right) => left - right) });
  }

  // --- rings ---

  private ringOf(nodes: readonly SimNode[]): Ring {
    this.rings += 4;
    const ring: Ring = { id: this.rings, nodes: new Set(nodes), log: [] };
    for (const node of nodes) {
      node.ring?.nodes.delete(node);
      node.ring = ring;
      node.at = 0;
    }
    return ring;
  }

  /**
   * New rings of these groups of nodes. Those who come from one ring together deliver the same of it:
   * what any of them has, then, past the first message that only others had, those of their own.
   */
  partition(groups: readonly (readonly SimNode[])[], arrived: number): void {
    for (const group of groups) {
      for (const old of new Set(group.map((node) => node.ring))) if (old !== null) this.recover(old, group, arrived);
    }
    for (const group of groups) {
      const ring = this.ringOf(group);
      this.announceMembers(ring);
    }
  }

  private recover(old: Ring, group: readonly SimNode[], arrived: number): void {
    const mates = group.filter((node) => node.ring === old && node.replica !== null);
    const have = Math.max(0, ...mates.map((node) => node.at));
    // Beyond what any of them delivered some may have the next few, whoever sent them. After the first
    // that none has, only their own are delivered.
    const recovered = old.log.slice(0, have + arrived);
    for (const item of old.log.slice(have + arrived)) {
      if (item.kind === 'view') break;
      if (mates.includes(item.sender) && item.sender.process === item.process) recovered.push(item);
    }
    for (const node of mates) {
      for (const item of recovered.slice(node.at)) this.hand(node, item, old);
    }
  }

  deliver(node: SimNode): void {
    const item = node.ring?.log[node.at];
    if (item === undefined || node.ring === null || node.replica === null) return;
    node.at += 1;
    this.hand(node, item, node.ring);
  }

  private hand(node: SimNode, item: Item, ring: Ring): void {
    if (item.kind === 'message') this.step(node, { kind: 'deliver', sender: item.sender.id, payload: item.payload });
    else if (item.members.includes(node.id)) {
      node.viewMembers = item.members;
      const quorum = this.quorumOf(node);
      this.step(node, {
        kind: 'view',
        ring: { representative: node.id, sequence: this.sequencesGrow ? ring.id : 4 },
        members: item.members,
        quorum,
      });
    }
  }

  /** Votes count nodes of the ring, whether their process lives or not. */
  private quorumOf(node: SimNode): Quorum {
    const present = node.ring?.nodes.size ?? 0;
    node.quorumSeen = present >= this.needed;
    return { quorate: node.quorumSeen, needed: this.needed, expected: this.nodes.length, votes: this.votes };
  }

  /** The node hears of a changed number of expected votes. */
  hearQuorum(node: SimNode): void {
    if (node.replica !== null) this.step(node, { kind: 'quorum', quorum: this.quorumOf(node) });
  }

  // --- steps ---

  step(node: SimNode, input: ReplicaInput): void {
    const { replica } = node;
    if (replica === null) return;
    for (const effect of replica.step(input, this.now)) this.carryOut(node, effect);
  }

  private carryOut(node: SimNode, effect: ReplicaEffect): void {
    switch (effect.kind) {
      case 'multicast':
        node.outgoing.push(effect.payload);
        return;
      case 'store':
        node.unstored.push(effect);
        return;
      case 'answer': {
        const path = node.waiting.get(effect.id);
        assert.ok(path !== undefined, 'answered twice, or never asked');
        node.waiting.delete(effect.id);
        this.answers.push({ path, errno: effect.result.ok ? null : effect.result.error });
        return;
      }
      case 'changed':
        if (this.strict) assert.ok(node.quorumSeen, 'a change without quorum');
        return;
      case 'setAside':
        node.asides.push(effect.image);
        return;
      case 'fault':
        assert.fail(effect.reason);
        return;
      case 'differs':
        this.differing.push({ by: node.id, node: effect.node });
        return;
      case 'hurry':
        node.hurried += 1;
        return;
      case 'replaced':
      case 'status':
        return;
    }
  }

  /** Sends the node's next message in the ring's order. */
  sequence(node: SimNode): void {
    const payload = node.outgoing.shift();
    if (payload !== undefined) node.ring?.log.push({ kind: 'message', sender: node, process: node.process, payload });
  }

  store(node: SimNode, most: number): void {
    let ticket = 0;
    for (const each of node.unstored.splice(0, most)) {
      node.image = applyRecord(node.image, each.record);
      ticket = each.ticket;
    }
    if (ticket > 0) this.step(node, { kind: 'stored', ticket });
  }

  /** A file of a name that no other submission has, so that its fate can be told from the tree. */
  submit(node: SimNode, data: Uint8Array = new Uint8Array(3)): string {
    this.submissions += 1;
    const path = `n${node.id}-${this.submissions}`;
    this.submitOperation(node, { kind: 'write', target: path, data, create: true }, path);
    return path;
  }
  submitOperation(node: SimNode, operation: Operation, path: string): void {
    this.submissions += 1;
    node.waiting.set(this.submissions, path);
    this.step(node, { kind: 'submit', id: this.submissions, operation, mtimeS: 1000 + this.submissions });
  }

  tick(milliseconds: number): void {
    this.now += milliseconds;
    for (const node of this.alive()) {
      if ((node.replica?.deadline() ?? Infinity) <= this.now) this.step(node, { kind: 'timer' });
    }
  }

  /** Lets everything that is under way arrive. */
  settle(): void {
    for (let round = 0; round < 10_000; round += 1) {
      let busy = false;
      for (const node of this.alive()) {
        busy ||= node.outgoing.length + node.unstored.length > 0 || node.at < (node.ring?.log.length ?? 0);
        this.flush(node);
        while (node.ring !== null && node.at < node.ring.log.length) this.deliver(node);
        this.store(node, Infinity);
      }
      if (!busy) return;
    }
    assert.fail('it never comes to rest');
  }

  // --- what must hold ---

  synced(): SimNode[] {
    return this.alive().filter((node) => node.replica?.status().synced === true);
  }

  /** Members that have delivered the same of one ring have the same state. */
  checkAgreement(): void {
    const states = new Map<string, string>();
    for (const node of this.synced()) {
      const { replica } = node;
      // At 0 it has not yet seen the view of its new ring.
      if (replica === null || node.at === 0) continue;
      const place = `${node.ring?.id} ${node.at}`;
      const state = `${JSON.stringify(replica.version)} ${Buffer.from(replica.digest()).toString('hex')}`;
      assert.equal(states.get(place) ?? state, state, `members at ${place} differ`);
      states.set(place, state);
    }
  }

  /** All nodes live, in one ring, at rest: one state; what was answered as done is there, nothing refused is. */
  checkHealed(): void {
    assert.equal(this.synced().length, this.nodes.length, 'not all are in sync');
    this.checkAgreement();
    for (const { path, errno } of this.answers) {
      const found = this.node(1).replica?.tree.find(path).ok === true;
      if (errno === null) assert.ok(found, `${path} was answered as done and is lost`);
      if (errno === 'EACCES') assert.ok(!found, `${path} was answered as not done and is there`);
    }
    for (const node of this.nodes) {
      assert.equal(node.waiting.size, 0, 'somebody still waits');
      const restarted = Replica.open({
        ...{ self: node.id, mode: 'cluster', session: node.process + 1, hash: sha, image: node.image },
      });
      assert.ok(restarted.ok && node.replica !== null);
      assert.deepEqual(restarted.value.digest(), node.replica.digest(), 'the disk has another state');
    }
  }

  heal(): void {
    for (const node of this.nodes) if (node.replica === null) this.start(node);
    this.partition([this.nodes], 0);
    for (const node of this.nodes) this.hearQuorum(node);
    this.settle();
  }
}

/** All nodes of a group of this size, in sync. */
export function formed(size: number): Group {
  const group = new Group(size);
  for (const node of group.nodes) group.start(node);
  group.partition([group.nodes], 0);
  group.settle();
  return group;
}
export const has = (node: SimNode, path: string): boolean => node.replica?.tree.find(path).ok === true;

/** A random number generator of one seed (mulberry32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
