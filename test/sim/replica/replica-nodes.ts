/** The production replica on every simulated node, above the production ring, with a disk and callers. */
import { createHash } from 'node:crypto';
import { quorumStatus } from '../../../agent/quorum/quorum.ts';
import { Replica } from '../../../agent/replica/replica.ts';
import type { Quorum, ReplicaEffect, ReplicaImage, ReplicaInput } from '../../../agent/replica/types.ts';
import type { NodeId, RingId } from '../../../agent/totem/ids.ts';
import { sameVersion, type Errno, type Operation } from '../../../agent/tree/types.ts';
import { showRing } from '../checkers/checker.ts';
import type { SimulatedNode } from '../simulated-node.ts';
import type { Application, Simulation } from '../simulation.ts';
import { replicaCheckers } from './checkers/all.ts';
import type { Asked, Look, ReplicaChecker, ReplicaInvariant } from './checkers/checker.ts';
import { SimulatedDisk } from './simulated-disk.ts';

export interface ReplicaBreach {
  readonly invariant: ReplicaInvariant;
  readonly text: string;
  /** Milliseconds of virtual time. */
  readonly at: number;
}

/** Callers on one node, as many as may wait at once. */
const MOST_WAITING = 64;
/** Milliseconds: longer than a view takes to come, shorter than a storm. */
const [GRACE_MS, PATIENCE_MS] = [1_500, 4_000];
const LOOK_MS = 40;
/** Small, so that a state takes many pieces while operations go on, and operations wait for each other. */
const [PIECE_BYTES, UNDER_WAY_BYTES] = [400, 1_000];

const sha = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

interface Waiting extends Asked {
  sawQuorum: boolean;
}

interface Running {
  readonly replica: Replica;
  readonly life: number;
  readonly asked: Map<number, Waiting>;
  readonly unsent: Uint8Array[];
  /** The ring of its last view, and the quorum it was told. */
  ring: RingId | null;
  quorum: Quorum;
}

export interface ReplicaNodesOptions {
  /** What is on the disks at first; nothing where it is not said. */
  readonly images?: ReadonlyMap<NodeId, ReplicaImage>;
  readonly checkers?: readonly ReplicaChecker[];
  /** Sizes as in production instead of small ones. */
  readonly largePieces?: boolean;
}

export class ReplicaNodes implements Application {
  breach: ReplicaBreach | null = null;
  answers = 0;
  acknowledged = 0;
  private readonly options: ReplicaNodesOptions;
  private readonly simulation: Simulation;
  private readonly disks = new Map<NodeId, SimulatedDisk>();
  private readonly running = new Map<NodeId, Running>();
  private readonly checkers: readonly ReplicaChecker[];
  private readonly votes: ReadonlyMap<NodeId, number>;
  private sessions = 0;
  private asks = 0;

  constructor(simulation: Simulation, options: ReplicaNodesOptions = {}) {
    this.options = options;
    this.simulation = simulation;
    this.votes = simulation.plan.quorum.votes;
    const report = (invariant: ReplicaInvariant, text: string): void => this.report(invariant, text);
    this.checkers = [...replicaCheckers(report), ...(options.checkers ?? [])];
    for (const { id } of simulation.nodes) this.disks.set(id, new SimulatedDisk(options.images?.get(id)));
    simulation.later(LOOK_MS, () => this.lookRound());
  }

  report(invariant: ReplicaInvariant, text: string): void {
    if (this.breach !== null) return;
    this.breach = { invariant, text, at: this.simulation.now };
    this.simulation.note(`BREACH of ${invariant}: ${text}`);
  }

  /** A caller on this node. False, and nothing, where the node is down, still, or has enough callers. */
  ask(node: SimulatedNode, operation: Operation, asked: Omit<Asked, 'sawQuorum'>): boolean {
    const running = this.runningOn(node);
    if (running === null || this.simulation.now < node.pausedUntil || running.asked.size >= MOST_WAITING) return false;
    this.asks += 1;
    running.asked.set(this.asks, { ...asked, sawQuorum: running.quorum.quorate });
    this.step(node, running, { kind: 'submit', id: this.asks, operation, mtimeS: 1_000 });
    return true;
  }

  /** The faults are over, and all had time. */
  healed(): void {
    const all = this.looks();
    for (const checker of this.checkers) checker.healed?.(all);
  }
  isHealed(): boolean {
    const all = this.looks();
    const [first] = all;
    const isAlong = ({ ring, synced, waiting, version }: Look): boolean =>
      synced && waiting === 0 && ring !== null && ring === first?.ring && sameVersion(version, first.version);
    return all.length === this.simulation.nodes.length && all.every(isAlong);
  }

  // --- the application ---

  started(node: SimulatedNode): void {
    this.sessions += 1;
    const image = this.disk(node).image();
    const opened = Replica.open({
      ...{ self: node.id, mode: 'cluster', session: this.sessions, hash: sha, image },
      ...{ graceMs: GRACE_MS, patienceMs: PATIENCE_MS },
      ...(this.options.largePieces === true ? {} : { pieceBytes: PIECE_BYTES, underWayBytes: UNDER_WAY_BYTES }),
    });
    if (!opened.ok) return this.report('acknowledged-kept', `the disk of node ${node.id} has no tree: ${opened.error}`);
    const quorum: Quorum = { quorate: false, needed: Infinity, expected: Infinity, votes: this.votes };
    const running: Running = {
      ...{ replica: opened.value, life: node.life, asked: new Map(), unsent: [], ring: null, quorum },
    };
    this.running.set(node.id, running);
  }

  stopped(node: SimulatedNode): void {
    this.running.delete(node.id);
    // What was being written may have reached the disk.
    this.disk(node).cut(this.simulation.chance.happens(0.5));
  }

  view(node: SimulatedNode, ring: RingId, members: readonly NodeId[]): void {
    const running = this.runningOn(node);
    if (running === null) return;
    running.ring = ring;
    running.quorum = { ...this.quorumOf(node), quorate: false };
    // In every other run the sequence is no help: a node without a disk, whose clock was set back, begins anew.
    const told = this.simulation.plan.seed % 2 === 0 ? ring : { ...ring, sequence: 4 };
    this.step(node, running, { kind: 'view', ring: told, members, quorum: running.quorum });
  }

  standing(node: SimulatedNode): void {
    const running = this.runningOn(node);
    if (running === null || running.ring === null) return;
    const quorum = this.quorumOf(node);
    if (quorum.quorate === running.quorum.quorate && quorum.needed === running.quorum.needed) return;
    running.quorum = quorum;
    if (quorum.quorate) for (const waiting of running.asked.values()) waiting.sawQuorum = true;
    this.step(node, running, { kind: 'quorum', quorum });
  }

  delivered(node: SimulatedNode, from: NodeId, payload: Uint8Array): void {
    const running = this.runningOn(node);
    if (running !== null) this.step(node, running, { kind: 'deliver', sender: from, payload });
  }

  // --- one replica ---

  private step(node: SimulatedNode, running: Running, input: ReplicaInput): void {
    if (this.breach !== null || this.running.get(node.id) !== running) return;
    for (const effect of running.replica.step(input, this.simulation.now)) this.carryOut(node, running, effect);
    this.wake(node, running);
  }

  private wake(node: SimulatedNode, running: Running): void {
    const due = running.replica.deadline();
    if (due === Infinity) return;
    this.laterOn(node, running, Math.max(0.1, due - this.simulation.now), () => {
      if (running.replica.deadline() <= this.simulation.now) this.step(node, running, { kind: 'timer' });
    });
  }

  /** After `ms`, or when the node goes on after a pause; not when it was stopped meanwhile. */
  private laterOn(node: SimulatedNode, running: Running, ms: number, call: () => void): void {
    this.simulation.later(ms, () => {
      if (this.running.get(node.id) !== running) return;
      if (this.simulation.now < node.pausedUntil)
        return this.laterOn(node, running, node.pausedUntil - this.simulation.now + 0.01, call);
      call();
    });
  }

  private carryOut(node: SimulatedNode, running: Running, effect: ReplicaEffect): void {
    switch (effect.kind) {
      case 'multicast':
        running.unsent.push(effect.payload.slice());
        if (running.unsent.length === 1) this.laterOn(node, running, 0.01, () => this.send(node, running));
        return;
      case 'store':
        if (this.disk(node).add(effect)) this.commit(node, running);
        return;
      case 'answer':
        return this.answered(node, running, effect.id, effect.result.ok ? null : effect.result.error);
      case 'differs':
        return this.report('replicas-identical', `node ${node.id} finds node ${effect.node} different`);
      case 'fault':
        return this.report('replicas-identical', effect.reason);
      case 'setAside':
        return this.simulation.note(`node ${node.id} sets its state aside`);
      case 'status':
        return this.simulation.note(`node ${node.id} replica ${effect.status.writability.kind}`);
      case 'changed':
      case 'replaced':
        return;
    }
  }

  private send(node: SimulatedNode, running: Running): void {
    if (node.ring.backlog > 60_000) return this.laterOn(node, running, 5, () => this.send(node, running));
    for (const payload of running.unsent.splice(0)) this.simulation.multicast(node, payload);
  }

  private commit(node: SimulatedNode, running: Running): void {
    const disk = this.disk(node);
    disk.begin();
    this.laterOn(node, running, 0.2 + this.simulation.chance.below(80) / 10, () => {
      const ticket = disk.end();
      this.step(node, running, { kind: 'stored', ticket });
      if (disk.hasWaiting) this.commit(node, running);
    });
  }

  private answered(node: SimulatedNode, running: Running, id: number, errno: Errno | null): void {
    const asked = running.asked.get(id);
    if (asked === undefined) return this.report('everybody-answered', `node ${node.id} answers ${id} twice`);
    running.asked.delete(id);
    this.answers += 1;
    if (errno === null) this.acknowledged += 1;
    const by = this.look(node, running);
    let [stored, votes] = [0, 0];
    for (const [id_, disk] of this.disks) {
      const own = this.votes.get(id_) ?? 0;
      votes += own;
      if (disk.names.has(asked.name)) stored += own;
    }
    for (const checker of this.checkers) checker.answered?.(asked, errno, by, stored, votes);
  }

  // --- looks ---

  private lookRound(): void {
    const all = this.looks();
    for (const checker of this.checkers) checker.looked?.(all);
    for (const [id, running] of this.running)
      if (this.simulation.chance.happens(0.1)) this.step(this.simulation.node(id), running, { kind: 'compare' });
    this.simulation.later(LOOK_MS, () => this.lookRound());
  }

  private looks(): Look[] {
    return this.simulation.nodes.flatMap((node) => {
      const running = this.runningOn(node);
      return running === null ? [] : [this.look(node, running)];
    });
  }

  private look(node: SimulatedNode, running: Running): Look {
    const { replica } = running;
    const isSettled = node.phase === 'operational' && running.ring !== null;
    return {
      ...{ node: node.id, synced: replica.status().synced, quorate: running.quorum.quorate },
      ring: isSettled && running.ring !== null ? showRing(running.ring) : null,
      version: replica.version,
      digest: () => Buffer.from(replica.digest()).toString('hex'),
      find: (name) => {
        const found = replica.tree.find(name);
        return found.ok ? found.value : null;
      },
      ...{ unstored: this.disk(node).backlog, unsent: running.unsent.length, waiting: running.asked.size },
    };
  }

  private quorumOf(node: SimulatedNode): Quorum {
    const status = quorumStatus(node.quorum);
    return {
      quorate: node.standing().quorate,
      needed: status.quorum,
      expected: status.expectedVotes,
      votes: this.votes,
    };
  }
  /** Has the node the state of its view? */
  isSynced(node: SimulatedNode): boolean {
    return this.runningOn(node)?.replica.status().synced ?? false;
  }
  private runningOn(node: SimulatedNode): Running | null {
    return node.up ? (this.running.get(node.id) ?? null) : null;
  }
  private disk(node: SimulatedNode): SimulatedDisk {
    const disk = this.disks.get(node.id);
    if (disk === undefined) throw new RangeError(`node ${node.id} has no disk`);
    return disk;
  }
}
