/**
 * One node's replica of the tree as a state machine: `step(input, now)` gives the effects to carry
 * out, in order. No clock, disk or socket inside.
 *
 * Operations are multicast and applied by every member where they stand in the total order, once the
 * members have agreed on a state (agreement.ts). A member that has an operation on disk says so, and
 * the submitter answers its caller when a majority has. Every quorate view has a member of that
 * majority, and the most advanced state wins, so what was answered stays.
 *
 * Messages carry the tag and round of their view and count nowhere else; what a submitter does not
 * know the fate of when the view ends, it looks up in the next agreed state, and sends anew if it is
 * not there.
 *
 * `settled`: when a ring breaks, an engine may deliver last messages past a gap (Totem, section 5.3; so
 * does corosync), which members elsewhere never see or see at another index. No one can have stored
 * and acknowledged such a message in its own view. So what our own delivered ack covers is certainly
 * the common history, and what comes after it counts for less when a leader is chosen.
 */
import { err, ok, type Result } from '../result.ts';
import type { NodeId, RingId } from '../totem/ids.ts';
import { decodeOperation, encodeOperation } from '../tree/codec.ts';
import type { Tree } from '../tree/tree.ts';
import { LIMITS, type Errno, type Operation, type Version } from '../tree/types.ts';
import { Acks, OwnAcks } from './acks.ts';
import { Agreement, whyReadOnly, type Plan } from './agreement.ts';
import { Database, type Submission } from './database.ts';
import { asksForAll, Comparison } from './comparison.ts';
import { Journal, type Afterwards } from './journal.ts';
import {
  decodeMessage,
  encodeMessage,
  inParts,
  type AckMessage,
  type CompareMessage,
  type DigestMessage,
  type OperationMessage,
  type ReplicaMessage,
  type SnapshotMessage,
} from './messages.ts';
import { PendingOperations, type PendingOperation } from './pending.ts';
import type {
  Quorum,
  ReplicaConfig,
  ReplicaEffect,
  ReplicaInput,
  ReplicaStatus,
  ReplicaWritability,
  StoreRecord,
} from './types.ts';

const GRACE_MS = 3000;
const PATIENCE_MS = 30_000;
const BRANCH_DIGITS = 16;
const NO_BYTES = new Uint8Array();

export class Replica {
  private readonly config: ReplicaConfig;
  private database: Database;
  private promised: number;
  private settled: number;
  private localFrom: number | null;

  private now = 0;
  private effects: ReplicaEffect[] = [];
  private readonly pending = new PendingOperations();
  private readonly journal = new Journal();

  private view: Agreement | null = null;
  private views = 0;
  private quorum: Quorum = { quorate: false, needed: 1, votes: new Map() };
  /** The leader's state, complete and checked, until the view is active. */
  private incoming: Database | null = null;
  private acks = new Acks();
  private ownAcks = new OwnAcks();
  private readonly comparison = new Comparison();
  private lastStatus = '';

  private constructor(config: ReplicaConfig, database: Database) {
    this.config = config;
    this.database = database;
    this.promised = Math.max(config.image.promised, database.version.epoch);
    // What a stopped process had on disk it may have acknowledged; not what it wrote in local mode.
    this.settled = config.image.localFrom ?? database.version.index;
    this.localFrom = config.image.localFrom;
    this.lastStatus = JSON.stringify(this.status());
  }

  /** A replica on a stored image, or in words why the image is damaged. */
  static open(config: ReplicaConfig): Result<Replica, string> {
    const database = Database.load(config.image);
    return database.ok ? ok(new Replica(config, database.value)) : database;
  }

  /** For reading only. Another object after the effect `replaced`. */
  get tree(): Tree {
    return this.database.tree;
  }
  get version(): Version {
    return this.database.version;
  }

  status(): ReplicaStatus {
    const local = this.config.mode === 'local';
    const synced = local || (this.view?.active ?? false);
    const accepting = local || this.quorate;
    return { writability: this.writability(synced, accepting), accepting, synced, version: this.database.version };
  }

  /** Of tree and sessions; equal on members that are in sync. */
  digest(): Uint8Array {
    return this.database.digest(this.config.hash);
  }

  /** When `step({kind: 'timer'})` is due, in the unit of `now`; Infinity when nothing is. */
  deadline(): number {
    return this.pending.deadline();
  }

  /** `now`: milliseconds of a clock that never goes back. */
  step(input: ReplicaInput, now: number): ReplicaEffect[] {
    this.now = now;
    this.effects = [];
    switch (input.kind) {
      case 'view':
        this.onView(input.ring, input.members, input.quorum);
        break;
      case 'quorum':
        this.onQuorum(input.quorum);
        break;
      case 'deliver':
        this.onDeliver(input.sender, input.payload);
        break;
      case 'submit':
        this.onSubmit(input.id, input.operation, input.mtimeS);
        break;
      case 'withdraw':
        this.onWithdraw(input.id);
        break;
      case 'compare':
        this.onCompare();
        break;
      case 'stored':
        this.onStored(input.ticket);
        break;
      case 'disconnected':
        this.leaveView();
        this.refuseHeld();
        break;
      case 'timer':
        this.onTimer();
        break;
    }
    this.reportStatus();
    return this.effects;
  }

  // --- effects ---

  private multicast(message: ReplicaMessage): void {
    this.effects.push({ kind: 'multicast', payload: encodeMessage(message) });
  }
  private store(record: StoreRecord, then: Afterwards): void {
    this.effects.push({ kind: 'store', ticket: this.journal.add(then), record });
  }
  private answer(entry: PendingOperation, errno: Errno | null): void {
    this.pending.remove(entry);
    this.effects.push({ kind: 'answer', id: entry.id, result: errno === null ? ok(null) : err(errno) });
  }

  private writability(synced: boolean, accepting: boolean): ReplicaWritability {
    const { view, quorum } = this;
    if (synced && accepting) return { kind: 'writable' };
    return { kind: 'read-only', reason: whyReadOnly(view, quorum, accepting, this.config.self) };
  }

  private reportStatus(): void {
    const status = this.status();
    // Not with every operation: only the epoch of the version is worth a message.
    const text = JSON.stringify({ ...status, version: { ...status.version, index: 0 } });
    if (text === this.lastStatus) return;
    this.lastStatus = text;
    this.effects.push({ kind: 'status', status });
  }

  // --- views and quorum ---

  private onView(ring: RingId, members: readonly NodeId[], quorum: Quorum): void {
    this.leaveView();
    this.view = new Agreement(ring, members);
    this.quorum = quorum;
    this.views += 1;
    if (!this.quorate) this.refuseHeld();
    else this.pending.waitUntil(this.now + this.patience);
    this.multicast({ kind: 'hello', session: this.config.session, count: this.views });
  }

  /**
   * Quorum of the ring is not enough: its members' engines may run and their replicas not, and a
   * majority of replicas it takes to know what was answered.
   */
  private get quorate(): boolean {
    const { needed, quorate, votes } = this.quorum;
    const present = this.view?.members.reduce((sum, node) => sum + (votes.get(node) ?? 0), 0) ?? 0;
    return quorate && present >= needed && present > 0;
  }
  private get grace(): number {
    return this.config.graceMs ?? GRACE_MS;
  }
  private get patience(): number {
    return this.config.patienceMs ?? PATIENCE_MS;
  }

  /** Nothing that was sent in a view counts in another. */
  private leaveView(): void {
    this.view = null;
    this.stopApplying();
    this.pending.loseTrack(this.now + this.grace);
  }

  private stopApplying(): void {
    this.incoming = null;
    this.acks = new Acks();
  }

  private refuseHeld(): void {
    for (const entry of this.pending.held()) this.answer(entry, 'EACCES');
  }

  private onQuorum(quorum: Quorum): void {
    const before = this.quorate;
    this.quorum = quorum;
    const [lost, gained] = [before && !this.quorate, !before && this.quorate];
    const { view } = this;
    if (view === null) return;
    if (gained) this.pending.waitUntil(this.now + this.patience);
    if (lost) {
      this.refuseHeld();
      this.pending.waitAtMostUntil(this.now + this.grace);
      // Others may already rest on what we said.
      if (view.tag !== null && view.announced) this.multicast({ kind: 'unready', tag: view.tag, round: view.round });
    } else if (this.quorate) {
      this.announce();
      this.settle();
    }
  }

  // --- agreement ---

  private onDeliver(sender: NodeId, payload: Uint8Array): void {
    const { view } = this;
    const message = decodeMessage(payload);
    if (view === null || message === null) return;
    if (message.kind === 'hello') {
      if (view.hello(sender, message, this.config.hash)) this.announce();
      return;
    }
    if (!view.isHere(message)) {
      if (message.kind === 'operation' && message.tag === view.tag) this.ownNotApplied(sender, message);
      return;
    }
    switch (message.kind) {
      case 'state': {
        const plan = view.state(sender, message);
        return plan === null ? undefined : this.follow(view, plan);
      }
      case 'snapshot':
        return this.onSnapshot(view, sender, message);
      case 'promise':
        return view.promise(sender, message) ? this.activate(view) : undefined;
      case 'operation':
        return this.onOperation(view, sender, message);
      case 'ack':
        return this.onAck(view, sender, message);
      case 'compare':
      case 'digest':
        return this.compare(view, sender, message);
      case 'unready':
        view.reset();
        this.stopApplying();
        return this.announce();
    }
  }

  /** Says where this replica stands, once in every round and only with quorum. */
  private announce(): void {
    const { view } = this;
    if (view === null || view.tag === null || view.announced || !this.quorate) return;
    view.announced = true;
    const { version, branch } = this.database;
    const { settled, promised } = this;
    const digest = this.digest();
    this.multicast({ kind: 'state', tag: view.tag, round: view.round, version, branch, settled, promised, digest });
  }

  private follow(view: Agreement, plan: Plan): void {
    const { self } = this.config;
    if (!plan.behind.has(self)) this.promise(view, plan);
    if (plan.leader !== self || plan.behind.size === 0 || view.tag === null) return;
    for (const piece of inParts(this.database.encode()))
      this.multicast({ kind: 'snapshot', tag: view.tag, round: view.round, ...piece });
  }

  private promise(view: Agreement, plan: Plan): void {
    if (view.tag === null) return;
    this.promised = plan.epoch;
    const then = { kind: 'promise', tag: view.tag, round: view.round, epoch: plan.epoch } as const;
    this.store({ kind: 'promise', promised: plan.epoch }, then);
  }

  private onSnapshot(view: Agreement, sender: NodeId, message: SnapshotMessage): void {
    const { plan } = view;
    if (plan?.behind.has(this.config.self) !== true) return;
    const whole = view.part(sender, message);
    if (whole === null) return;
    const database = Database.decode(whole);
    const fault = database.ok ? this.unlike(database.value, plan) : database.error;
    if (database.ok && fault === null) {
      this.incoming = database.value;
      return this.promise(view, plan);
    }
    // Not promising keeps everyone waiting, so this node must go.
    this.effects.push({ kind: 'fault', reason: `The state received from node ${plan.leader} is damaged: ${fault}.` });
  }

  private unlike(database: Database, plan: Plan): string | null {
    const digest = database.digest(this.config.hash);
    return digest.every((byte, at) => byte === plan.state.digest[at]) ? null : 'its digest is another one';
  }

  /** All have the same state and have written down the epoch: it begins, here and everywhere. */
  private activate(view: Agreement): void {
    const { plan, tag } = view;
    if (plan === null || tag === null) return;
    const { incoming } = this;
    const before = this.database;
    if (incoming !== null) {
      const known = incoming.includes(before) && this.settled >= before.version.index;
      if (!known) this.effects.push({ kind: 'setAside', image: before.image(this.promised, this.localFrom) });
      this.database = incoming;
      this.incoming = null;
    }
    const record = this.database.enter(plan.epoch, tag.slice(0, BRANCH_DIGITS));
    const then = { kind: 'ack', version: this.database.version } as const;
    if (this.database === before) this.store(record, then);
    else {
      this.store({ kind: 'replace', image: this.database.image(this.promised, null) }, then);
      this.effects.push({ kind: 'replaced' });
    }
    [this.settled, this.localFrom] = [0, null];
    this.acks = new Acks();
    this.ownAcks = new OwnAcks();
    this.takeUpPending(view);
  }

  private takeUpPending(view: Agreement): void {
    const { self, session } = this.config;
    for (const entry of this.pending.all()) {
      if (this.database.contains(self, session, entry.counter)) {
        entry.progress = { kind: 'delivered', errno: null, needs: this.database.version };
        entry.deadline = Infinity;
      } else if (entry.withdrawn) this.answer(entry, 'EIO');
      else this.send(view, entry);
    }
  }

  // --- operations ---

  private onSubmit(id: number, operation: Operation, mtimeS: number): void {
    const refuse = (errno: Errno): void => {
      this.effects.push({ kind: 'answer', id, result: err(errno) });
    };
    if ('data' in operation && operation.data.length > LIMITS.file) return refuse('EFBIG');
    const seconds = Math.floor(mtimeS);
    if (this.config.mode === 'local') return this.applyLocally(id, operation, seconds);
    if (this.view === null || !this.quorate) return refuse('EACCES');
    const bytes = encodeOperation(operation);
    // What the others could not read must not be sent.
    if (!decodeOperation(bytes).ok) return refuse('EINVAL');
    const entry = this.pending.add(id, bytes, seconds);
    if (this.view.active) this.send(this.view, entry);
    else entry.deadline = this.now + this.patience;
  }

  private applyLocally(id: number, operation: Operation, mtimeS: number): void {
    const { self: node, session } = this.config;
    const entry = this.pending.add(id, NO_BYTES, mtimeS);
    const { counter } = entry;
    const { index } = this.database.version;
    const outcome = this.database.apply({ node, session, counter, floor: counter, mtimeS, operation });
    if (!outcome.ok) return this.answer(entry, outcome.error);
    this.pending.remove(entry);
    // A cluster that went on without this node must win over what is written here alone.
    if (this.localFrom === null) this.store({ kind: 'local', from: (this.localFrom = index) }, { kind: 'nothing' });
    this.store(outcome.value, { kind: 'answer', id });
    this.effects.push({ kind: 'changed', change: outcome.value.change, writer: node });
  }

  private send(view: Agreement, entry: PendingOperation): void {
    if (view.tag === null) return;
    entry.progress = { kind: 'sent' };
    entry.deadline = Infinity;
    const { session } = this.config;
    const { counter, mtimeS } = entry;
    const common = { tag: view.tag, round: view.round, session, counter, floor: this.pending.floor, mtimeS };
    for (const piece of inParts(entry.bytes)) this.multicast({ kind: 'operation', ...common, ...piece });
  }

  private onOperation(view: Agreement, node: NodeId, message: OperationMessage): void {
    if (!view.active) return this.ownNotApplied(node, message);
    const whole = view.partsOf(node).add(message);
    if (whole === null) return;
    const operation = decodeOperation(whole);
    // The submitter has checked it: only another version of this program can get here.
    if (!operation.ok) return this.outcome(node, message, 'EINVAL');
    const { session, counter, floor, mtimeS } = message;
    const submission: Submission = { node, session, counter, floor, mtimeS, operation: operation.value };
    if (this.database.contains(node, session, counter)) return;
    const done = this.database.apply(submission);
    if (!done.ok) return this.outcome(node, message, done.error);
    this.store(done.value, { kind: 'ack', version: this.database.version });
    this.effects.push({ kind: 'changed', change: done.value.change, writer: node });
    this.outcome(node, message, null);
  }

  private own(sender: NodeId, message: OperationMessage): PendingOperation | undefined {
    const isOurs = sender === this.config.self && message.session === this.config.session;
    return isOurs ? this.pending.get(message.counter) : undefined;
  }

  private outcome(sender: NodeId, message: OperationMessage, errno: Errno | null): void {
    const entry = this.own(sender, message);
    if (entry === undefined) return;
    entry.progress = { kind: 'delivered', errno, needs: this.database.version };
    if (errno !== null) this.settle();
  }

  /** Delivered between two rounds of this view: no member applies it. It waits for the next round. */
  private ownNotApplied(sender: NodeId, message: OperationMessage): void {
    const entry = this.own(sender, message);
    if (entry?.progress.kind !== 'sent') return;
    entry.progress = { kind: 'held' };
    if (this.quorate) entry.deadline = this.now + this.patience;
    else this.answer(entry, 'EACCES');
  }

  private onWithdraw(id: number): void {
    const entry = this.pending.withId(id);
    if (entry === undefined) return;
    entry.withdrawn = true;
    if (entry.progress.kind === 'held') this.answer(entry, 'EIO');
  }

  // --- comparison ---

  private onCompare(): void {
    const { view } = this;
    if (view === null || view.tag === null || !view.active || !asksForAll(view.members, this.config.self)) return;
    this.multicast({ kind: 'compare', tag: view.tag, round: view.round });
  }

  private compare(view: Agreement, sender: NodeId, message: CompareMessage | DigestMessage): void {
    if (!view.active || view.tag === null) return;
    const { version } = this.database;
    if (message.kind === 'compare') {
      const digest = this.digest();
      this.comparison.note(version, digest);
      this.multicast({ kind: 'digest', tag: view.tag, round: view.round, version, digest });
    } else if (this.comparison.differs(message))
      this.effects.push({ kind: 'differs', node: sender, version: message.version });
  }

  // --- stable storage ---

  private onStored(ticket: number): void {
    for (const then of this.journal.stored(ticket)) {
      if (then.kind === 'answer') this.effects.push({ kind: 'answer', id: then.id, result: ok(null) });
      else if (then.kind === 'promise') {
        const { tag, round, epoch } = then;
        if (this.view?.isHere(then) === true) this.multicast({ kind: 'promise', tag, round, epoch });
      } else if (then.kind === 'ack' && then.version.epoch === this.database.version.epoch)
        this.ownAcks.stored(then.version.index);
    }
    this.acknowledge();
  }

  private acknowledge(): void {
    const { view } = this;
    if (view === null || view.tag === null || !view.active) return;
    const index = this.ownAcks.next();
    if (index === null) return;
    const { epoch } = this.database.version;
    this.multicast({ kind: 'ack', tag: view.tag, round: view.round, epoch, index });
  }

  private onAck(view: Agreement, sender: NodeId, message: AckMessage): void {
    if (!view.active || message.epoch !== this.database.version.epoch) return;
    this.acks.note(sender, message.index);
    if (sender === this.config.self) {
      this.settled = Math.max(this.settled, message.index);
      this.ownAcks.delivered();
      this.acknowledge();
    }
    this.settle();
  }

  /** Answers everything that rests on what a majority has stored. */
  private settle(): void {
    const { view } = this;
    if (view === null || !view.active) return;
    const { epoch } = this.database.version;
    const index = this.acks.safe(view.members, this.quorum);
    for (const entry of this.pending.restingOn({ epoch, index }))
      if (entry.progress.kind === 'delivered') this.answer(entry, entry.progress.errno);
  }

  private onTimer(): void {
    for (const entry of this.pending.due(this.now))
      this.answer(entry, entry.progress.kind === 'held' ? 'EACCES' : 'EIO');
  }
}
