/**
 * The running replica: its state machine wired to the disk, the engine's group, the mount and the
 * control socket. Decides nothing; carries effects out in their order.
 */
import { createHash } from 'node:crypto';
import type { Engine, EngineStatus, Group } from '../engine/engine.ts';
import { Replica } from '../replica/replica.ts';
import type { Quorum, ReplicaEffect, ReplicaImage, ReplicaInput, ReplicaStatus } from '../replica/types.ts';
import type { Result } from '../result.ts';
import { sameRing, type NodeId, type RingId } from '../totem/ids.ts';
import type { Tree } from '../tree/tree.ts';
import type { Change, Errno, Operation } from '../tree/types.ts';
import { BACKUP_EVERY_MS } from './backups.ts';
import { DEFLATE } from './deflate.ts';
import { DiskRefuses, StoreDamaged } from './store.ts';
import type { StoreJob, StoreThread } from './store-thread.ts';

export const GROUP = 'pmxcfs';

/** How long the disk may take for one commit before this node counts as one without a disk. Seconds. */
const DISK_PATIENCE_S = 30;
/** How long, and up to how many bytes, records gather that nobody waits for. Milliseconds. */
const GATHER_MS = 20;
const MOST_GATHERED = 1024 * 1024;
/** Most bytes that wait for the disk: the group goes on at the pace of the others' disks. */
const MOST_UNSTORED = 128 * 1024 * 1024;
/** How long a disk that hangs may hold up the end of the process. */
const CLOSE_MS = 5_000;
const WAY_FORWARD = '`pmxcfs check` says more, `pmxcfs restore --list` shows the backups.';
/** How often the replicas are compared. */
const COMPARE_MS = 300_000;
const LOOK_FOR_SPACE_MS = 2_000;

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

/** Nobody waits for the operation any more. */
export type Withdraw = () => void;

export interface TreeServiceOptions {
  readonly store: Pick<StoreThread, 'run' | 'backUp' | 'hasSpace'>;
  /** What the store held when it was opened. */
  readonly image: ReplicaImage;
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
  #jobs: StoreJob[] = [];
  #unstored = 0;
  #ticket = 0;
  /** What the disk is busy with. */
  #commit: Promise<void> | null = null;
  /** Somebody waits for one of the jobs. */
  #isAwaited = false;
  #gathering: NodeJS.Timeout | null = null;
  /** Why this node writes nothing any more until its process starts anew. */
  #diskFault: string | null = null;
  #looking: NodeJS.Timeout | null = null;
  #backup: NodeJS.Timeout | null = null;
  #comparing: NodeJS.Timeout | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Infinity;
  #quorumText = '';
  #closed = false;

  /** Throws StoreDamaged when the image is no tree. */
  constructor(options: TreeServiceOptions) {
    this.#options = options;
    const { image, self, engine } = options;
    const replica = Replica.open({
      self,
      mode: engine === null ? 'local' : 'cluster',
      session: Date.now(),
      hash: (bytes) => createHash('sha256').update(bytes).digest(),
      compression: DEFLATE,
      image,
    });
    if (!replica.ok) throw new StoreDamaged(`the stored tree cannot be one: ${replica.error}. ${WAY_FORWARD}`);
    this.#replica = replica.value;
  }

  get tree(): Tree {
    return this.#replica.tree;
  }
  status(): ReplicaStatus {
    const status = this.#replica.status();
    if (this.#diskFault === null) return status;
    const writability = { kind: 'read-only', reason: this.#diskFault } as const;
    return { ...status, writability, accepting: false, synced: false };
  }

  /** Joins the group. What the engine says from now on reaches the replica. */
  async start(): Promise<void> {
    const { engine } = this.#options;
    void this.#backUp();
    this.#backup = setInterval(() => void this.#backUp(), BACKUP_EVERY_MS / 4);
    if (engine === null) return;
    this.#comparing = setInterval(() => {
      if (this.#diskFault === null) this.#step({ kind: 'compare' });
    }, COMPARE_MS);
    engine.onStatus((status) => this.#quorumChanged(status));
    const group = await engine.group(GROUP);
    this.#group = group;
    group.onView(({ ringId, members }) => {
      if (this.#diskFault !== null) return;
      this.#ring = ringId;
      const quorum = quorumOf(engine.status(), ringId);
      this.#quorumText = textOf(quorum);
      this.#step({ kind: 'view', ring: ringId, members, quorum });
    });
    group.onDeliver(({ sender, payload }) => {
      if (this.#diskFault === null) this.#step({ kind: 'deliver', sender, payload });
    });
    group.onConnection((connected) => {
      if (connected || this.#diskFault !== null) return;
      this.#ring = null;
      this.#step({ kind: 'disconnected' });
    });
  }

  /**
   * `done` gets null when the operation is done. The function that is given back is for whoever does not wait any longer
   * and counts the outcome as not known: what is not under way yet is then never done, and nothing is sent again.
   */
  submit(operation: Operation, done: (errno: Errno | null) => void): Withdraw {
    if (this.#diskFault !== null) {
      done('EACCES');
      return () => undefined;
    }
    this.#lastId += 1;
    const id = this.#lastId;
    this.#asked.set(id, (result) => done(result.ok ? null : result.error));
    this.#step({ kind: 'submit', id, operation, mtimeS: Math.floor(Date.now() / 1000) });
    return () => {
      if (this.#asked.has(id)) this.#step({ kind: 'withdraw', id });
    };
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
    clearInterval(this.#backup ?? undefined);
    clearInterval(this.#comparing ?? undefined);
    clearInterval(this.#looking ?? undefined);
    clearTimeout(this.#gathering ?? undefined);
    await Promise.race([this.#commit, new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())]);
    // What came since: it will not be acknowledged, but need not be fetched again.
    if (this.#diskFault === null && this.#jobs.length > 0)
      await this.#options.store.run(this.#jobs).catch(() => undefined);
    await this.#group?.leave().catch(() => undefined);
  }

  #quorumChanged(status: EngineStatus): void {
    // Of a ring to come it is told with the view.
    if (
      this.#diskFault !== null ||
      this.#ring === null ||
      status.ringId === null ||
      !sameRing(status.ringId, this.#ring)
    )
      return;
    const quorum = quorumOf(status, this.#ring);
    const text = textOf(quorum);
    if (text === this.#quorumText) return;
    this.#quorumText = text;
    this.#step({ kind: 'quorum', quorum });
  }

  #step(input: ReplicaInput): void {
    const effects = this.#replica.step(input, performance.now());
    // The disk first: it writes while the mount is told of the changes.
    for (const effect of effects) if (isForDisk(effect)) this.#toDisk(effect);
    this.#commitSoon();
    for (const effect of effects) if (!isForDisk(effect)) this.#carryOut(effect);
    this.#arm();
  }

  /** A timer that is early finds nothing to do and sets the next: cheaper than a new one for every step. */
  #arm(): void {
    const deadline = this.#replica.deadline();
    if (deadline >= this.#timerAt || this.#closed) return;
    clearTimeout(this.#timer ?? undefined);
    this.#timerAt = deadline;
    const wait = Math.max(0, Math.ceil(deadline - performance.now()));
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      if (this.#replica.deadline() <= performance.now()) this.#step({ kind: 'timer' });
      else this.#arm();
    }, wait);
  }

  #toDisk(effect: ForDisk): void {
    if (effect.kind !== 'store' || effect.awaited) this.#isAwaited = true;
    if (effect.kind === 'hurry') return;
    if (effect.kind === 'setAside') return this.#enqueue({ kind: 'set-aside' });
    this.#ticket = effect.ticket;
    this.#enqueue({ kind: 'record', record: effect.record });
  }

  #carryOut(effect: Exclude<ReplicaEffect, ForDisk>): void {
    const { events } = this.#options;
    switch (effect.kind) {
      case 'multicast':
        // A lost engine shows in the connection, and what was not sent is asked for again in the next view.
        this.#group?.multicast(effect.payload).catch(() => undefined);
        return;
      case 'answer': {
        const done = this.#asked.get(effect.id);
        this.#asked.delete(effect.id);
        done?.(effect.result);
        return this.#answered(effect.id);
      }
      case 'changed':
        return events.changed(effect.change, effect.writer);
      case 'differs': {
        const { epoch, index } = effect.version;
        const words = `the tree of node ${effect.node} is another one than this node's at version ${epoch}.${index}`;
        return events.log('error', `${words}. Compare both, and restart pmxcfs on the node that is wrong.`);
      }
      case 'replaced':
        return events.replaced(this.#replica.tree);
      case 'status':
        return events.status(this.status());
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

  // --- the disk ---

  #enqueue(job: StoreJob): void {
    if (this.#diskFault !== null) return;
    this.#jobs.push(job);
    this.#unstored += sizeOf(job);
    if (this.#unstored > MOST_UNSTORED) return this.#withoutDisk('its disk is slower than the cluster writes', false);
  }

  /**
   * Everything that comes while the disk is busy shares one transaction and one wait for it; so does, for a moment, what
   * nobody waits for: of three nodes one is not asked for its word.
   */
  #commitSoon(): void {
    if (this.#jobs.length === 0 || this.#commit !== null || this.#closed) return;
    if (this.#isAwaited || this.#unstored > MOST_GATHERED) return this.#flush();
    this.#gathering ??= setTimeout(() => {
      this.#isAwaited = true;
      this.#commitSoon();
    }, GATHER_MS);
  }

  #flush(): void {
    clearTimeout(this.#gathering ?? undefined);
    this.#gathering = null;
    const [jobs, ticket] = [this.#jobs, this.#ticket];
    this.#jobs = [];
    this.#unstored = 0;
    this.#isAwaited = false;
    this.#commit = this.#write(jobs, ticket).then(() => {
      this.#commit = null;
      this.#commitSoon();
    });
  }

  async #write(jobs: readonly StoreJob[], ticket: number): Promise<void> {
    const watch = this.#watchDisk();
    try {
      const { aside } = await this.#options.store.run(jobs);
      clearInterval(watch);
      if (this.#diskFault !== null) return this.#options.events.fault('the disk answers again');
      for (const file of aside) {
        const words = "what this node had written alone gives way to the cluster's";
        this.#options.events.log('warning', `${words}; it is kept in ${file}`);
      }
      if (!this.#closed) this.#step({ kind: 'stored', ticket });
    } catch (error) {
      clearInterval(watch);
      const words = error instanceof Error ? error.message : String(error);
      this.#withoutDisk(words, error instanceof DiskRefuses && error.full);
    }
  }

  async #backUp(): Promise<void> {
    if (this.#diskFault !== null) return;
    const failed = (words: string): void => {
      if (this.#closed) return;
      const { log } = this.#options.events;
      log('warning', `no backup of the database was made: ${words}. The tree itself is not affected.`);
    };
    try {
      const made = await this.#options.store.backUp();
      if (made.kind === 'failed') failed(made.words);
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error));
    }
  }

  /** By seconds that this process has seen pass: when it was stopped itself, the disk is not to blame. */
  #watchDisk(): NodeJS.Timeout {
    let seconds = 0;
    return setInterval(() => {
      seconds += 1;
      if (seconds === DISK_PATIENCE_S) this.#withoutDisk(`its disk has not answered for ${DISK_PATIENCE_S} s`, false);
    }, 1_000);
  }

  /**
   * What is not on disk must not be acknowledged, and what is in memory is ahead of the disk for good: a write that
   * failed is not tried again, because the kernel may take its pages for clean. This node leaves the group, so that
   * nobody waits for its word, and serves what it has for reading.
   */
  #withoutDisk(words: string, full: boolean): void {
    if (this.#diskFault !== null || this.#closed) return;
    const then = full
      ? 'It goes on by itself when there is space.'
      : 'See to the disk, run `pmxcfs check`, and start pmxcfs again.';
    this.#diskFault = `This node does not write any more: ${words}. ${then}`;
    const { events, store } = this.#options;
    events.log('error', this.#diskFault);
    this.#jobs = [];
    this.#ring = null;
    void this.#group?.leave().catch(() => undefined);
    this.#step({ kind: 'disconnected' });
    for (const [id, done] of [...this.#asked]) {
      this.#asked.delete(id);
      done({ ok: false, error: 'EIO' });
      this.#answered(id);
    }
    events.status(this.status());
    if (!full) return;
    this.#looking = setInterval(() => {
      void store.hasSpace().then((has) => {
        if (has && !this.#closed) events.fault('there is space on the disk again: pmxcfs starts anew');
      });
    }, LOOK_FOR_SPACE_MS);
  }
}

type ForDisk = Extract<ReplicaEffect, { kind: 'store' | 'setAside' | 'hurry' }>;
const isForDisk = (effect: ReplicaEffect): effect is ForDisk =>
  effect.kind === 'store' || effect.kind === 'setAside' || effect.kind === 'hurry';

/** Bytes that wait with it, roughly. */
const sizeOf = (job: StoreJob): number =>
  job.kind === 'record' && job.record.kind === 'operation'
    ? job.record.change.put.reduce((sum, { node }) => sum + node.data.length, 256)
    : 256;

/** The engine's status is current before a view of its ring; of another ring it says nothing about this one. */
function quorumOf(status: EngineStatus, ring: RingId): Quorum {
  const current = status.ringId !== null && sameRing(status.ringId, ring);
  return {
    quorate: current && status.quorum.quorate,
    needed: status.quorum.quorum,
    expected: status.quorum.expectedVotes,
    votes: new Map(status.members.map((member) => [member.nodeId, member.votes])),
  };
}

const textOf = (quorum: Quorum): string => JSON.stringify([quorum.quorate, quorum.needed, [...quorum.votes]]);
