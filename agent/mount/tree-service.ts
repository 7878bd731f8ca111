/**
 * The running replica: its state machine wired to the disk, the engine's group, the mount and the
 * control socket. Decides nothing; carries effects out in their order.
 */
import { createHash } from 'node:crypto';
import type { Engine, EngineStatus, Group } from '../engine/engine.ts';
import { Replica } from '../replica/replica.ts';
import type { Quorum, ReplicaEffect, ReplicaInput, ReplicaStatus, StoreRecord } from '../replica/types.ts';
import type { Result } from '../result.ts';
import { sameRing, type NodeId, type RingId } from '../totem/ids.ts';
import type { Tree } from '../tree/tree.ts';
import type { Change, Errno, Operation } from '../tree/types.ts';
import type { Store } from './store.ts';

export const GROUP = 'pmxcfs';

export interface TreeEvents {
  /** Before the answer to the operation that made the change. `writer`: who submitted it. */
  changed(change: Change, writer: NodeId): void;
  /** The tree is another one altogether. */
  replaced(tree: Tree): void;
  status(status: ReplicaStatus): void;
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
  /** The replica cannot go on: this process must end. */
  fault(reason: string): void;
}

export interface TreeServiceOptions {
  readonly store: Store;
  readonly self: NodeId;
  /** Null in local mode. */
  readonly engine: Engine | null;
  readonly events: TreeEvents;
}

export class TreeService {
  readonly #options: TreeServiceOptions;
  readonly #replica: Replica;
  readonly #asked = new Map<number, (result: Result<null, Errno>) => void>();
  #waiting: { readonly ids: Set<number>; readonly then: () => void }[] = [];
  #lastId = 0;
  #group: Group | null = null;
  #ring: RingId | null = null;
  #records: StoreRecord[] = [];
  #ticket = 0;
  #flushing: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;
  #quorumText = '';
  #closed = false;

  /** Throws StoreDamaged when the image is no tree. */
  constructor(options: TreeServiceOptions) {
    this.#options = options;
    const { store, self, engine } = options;
    const replica = Replica.open({
      self,
      mode: engine === null ? 'local' : 'cluster',
      session: Date.now(),
      hash: (bytes) => createHash('sha256').update(bytes).digest(),
      image: store.load(),
    });
    if (!replica.ok) throw store.damaged(replica.error);
    this.#replica = replica.value;
  }

  get tree(): Tree {
    return this.#replica.tree;
  }
  status(): ReplicaStatus {
    return this.#replica.status();
  }

  /** Joins the group. What the engine says from now on reaches the replica. */
  async start(): Promise<void> {
    const { engine } = this.#options;
    if (engine === null) return;
    engine.onStatus((status) => this.#quorumChanged(status));
    const group = await engine.group(GROUP);
    this.#group = group;
    group.onView(({ ringId, members }) => {
      this.#ring = ringId;
      const quorum = quorumOf(engine.status(), ringId);
      this.#quorumText = textOf(quorum);
      this.#step({ kind: 'view', ring: ringId, members, quorum });
    });
    group.onDeliver(({ sender, payload }) => this.#step({ kind: 'deliver', sender, payload }));
    group.onConnection((connected) => {
      if (connected) return;
      this.#ring = null;
      this.#step({ kind: 'disconnected' });
    });
  }

  submit(operation: Operation, done: (errno: Errno | null) => void): void {
    this.#lastId += 1;
    this.#asked.set(this.#lastId, (result) => done(result.ok ? null : result.error));
    this.#step({ kind: 'submit', id: this.#lastId, operation, mtimeS: Math.floor(Date.now() / 1000) });
  }

  /**
   * Calls `then` when the operations asked for by now are answered. What may raise the votes that an
   * answer needs (a new node in corosync.conf) must wait for the answer to itself.
   */
  whenAnswered(then: () => void): void {
    if (this.#asked.size === 0) return then();
    this.#waiting.push({ ids: new Set(this.#asked.keys()), then });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer ?? undefined);
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    this.#flush();
    await this.#group?.leave().catch(() => undefined);
  }

  #quorumChanged(status: EngineStatus): void {
    // Of a ring to come it is told with the view.
    if (this.#ring === null || status.ringId === null || !sameRing(status.ringId, this.#ring)) return;
    const quorum = quorumOf(status, this.#ring);
    const text = textOf(quorum);
    if (text === this.#quorumText) return;
    this.#quorumText = text;
    this.#step({ kind: 'quorum', quorum });
  }

  #step(input: ReplicaInput): void {
    for (const effect of this.#replica.step(input, performance.now())) this.#carryOut(effect);
    clearTimeout(this.#timer ?? undefined);
    const deadline = this.#replica.deadline();
    if (deadline === Infinity || this.#closed) return;
    const wait = Math.max(0, Math.ceil(deadline - performance.now()));
    this.#timer = setTimeout(() => this.#step({ kind: 'timer' }), wait);
  }

  #carryOut(effect: ReplicaEffect): void {
    const { events, store } = this.#options;
    switch (effect.kind) {
      case 'multicast':
        // A lost engine shows in the connection, and what was not sent is asked for again in the next view.
        this.#group?.multicast(effect.payload).catch(() => undefined);
        return;
      case 'store':
        this.#records.push(effect.record);
        this.#ticket = effect.ticket;
        // Everything that comes in one turn shares one transaction, and one wait for the disk.
        if (!this.#closed) this.#flushing ??= setImmediate(() => this.#flush());
        return;
      case 'answer': {
        const done = this.#asked.get(effect.id);
        this.#asked.delete(effect.id);
        done?.(effect.result);
        return this.#answered(effect.id);
      }
      case 'setAside': {
        this.#write();
        const file = store.setAside('set-aside');
        return events.log(
          'warning',
          `what this node had written alone gives way to the cluster's; it is kept in ${file}`,
        );
      }
      case 'changed':
        return events.changed(effect.change, effect.writer);
      case 'replaced':
        return events.replaced(this.#replica.tree);
      case 'status':
        return events.status(effect.status);
      case 'fault':
        return events.fault(effect.reason);
    }
  }

  #answered(id: number): void {
    for (const waiting of this.#waiting) waiting.ids.delete(id);
    const due = this.#waiting.filter(({ ids }) => ids.size === 0);
    this.#waiting = this.#waiting.filter(({ ids }) => ids.size > 0);
    for (const { then } of due) then();
  }

  #flush(): void {
    this.#flushing = null;
    if (this.#write() && !this.#closed) this.#step({ kind: 'stored', ticket: this.#ticket });
  }

  /** False when nothing had to be written, or the disk refused. */
  #write(): boolean {
    if (this.#records.length === 0) return true;
    try {
      this.#options.store.commit(this.#records.splice(0));
      return true;
    } catch (error) {
      // What is not on disk must not be acknowledged, and what is in memory is ahead of the disk now.
      const words = error instanceof Error ? error.message : String(error);
      this.#options.events.fault(`the store cannot be written: ${words}`);
      return false;
    }
  }
}

/** The engine's status is current before a view of its ring; of another ring it says nothing about this one. */
function quorumOf(status: EngineStatus, ring: RingId): Quorum {
  const current = status.ringId !== null && sameRing(status.ringId, ring);
  return {
    quorate: current && status.quorum.quorate,
    needed: status.quorum.quorum,
    votes: new Map(status.members.map((member) => [member.nodeId, member.votes])),
  };
}

const textOf = (quorum: Quorum): string => JSON.stringify([quorum.quorate, quorum.needed, [...quorum.votes]]);
