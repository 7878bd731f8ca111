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
import type { Database } from './database.ts';
import { Holdings } from './holdings.ts';
import { asksForAll, Comparison } from './comparison.ts';
import { Journal, type Afterwards } from './journal.ts';
import {
  decodeMessage,
  encodeMessage,
  GENERATION,
  type AckMessage,
  type CompareMessage,
  type DifferenceMessage,
  type DigestMessage,
  type OperationMessage,
  type ReplicaMessage,
} from './messages.ts';
import { OwnOperations } from './own-operations.ts';
import type { Piece } from './paced.ts';
import { CatchingUp, Sending } from './transfer.ts';
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
  private readonly holdings: Holdings;

  private now = 0;
  private effects: ReplicaEffect[] = [];
  private readonly own: OwnOperations;
  private readonly journal = new Journal();

  private view: Agreement | null = null;
  private views = 0;
  private quorum: Quorum = { quorate: false, needed: 1, expected: Infinity, votes: new Map() };
  /** This node leads, and others are behind. */
  private sending: Sending | null = null;
  /** This node is behind: until it has the leader's state, and what was delivered since. */
  private catchingUp: CatchingUp | null = null;
  private acks = new Acks();
  private ownAcks = new OwnAcks();
  private readonly comparison = new Comparison();
  private lastStatus = '';

  private constructor(config: ReplicaConfig, holdings: Holdings) {
    this.config = config;
    this.holdings = holdings;
    this.own = new OwnOperations(config, {
      multicast: (message) => this.multicast(message),
      effect: (effect) => this.effects.push(effect),
    });
    this.lastStatus = JSON.stringify(this.status());
  }

  /** A replica on a stored image, or in words why the image is damaged. */
  static open(config: ReplicaConfig): Result<Replica, string> {
    const holdings = Holdings.load(config.image);
    return holdings.ok ? ok(new Replica(config, holdings.value)) : holdings;
  }

  private get database(): Database {
    return this.holdings.database;
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
    const synced = local || ((this.view?.active ?? false) && this.catchingUp === null);
    const accepting = local || this.decides;
    return { writability: this.writability(synced, accepting), accepting, synced, version: this.database.version };
  }

  /** Of tree and sessions; equal on members that are in sync. */
  digest(): Uint8Array {
    return this.database.digest(this.config.hash);
  }

  /** When `step({kind: 'timer'})` is due, in the unit of `now`; Infinity when nothing is. */
  deadline(): number {
    return this.own.deadline();
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
        this.own.withdraw(input.id);
        break;
      case 'compare':
        this.onCompare();
        break;
      case 'stored':
        this.onStored(input.ticket);
        break;
      case 'disconnected':
        this.leaveView();
        this.own.refuseHeld();
        break;
      case 'timer':
        this.own.due(now);
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
    if (!this.quorate) this.own.refuseHeld();
    else this.own.waitUntil(this.now + this.patience);
    this.multicast({ kind: 'hello', session: this.config.session, count: this.views, ...GENERATION });
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
  /** Quorate, and able to come to a state (agreement.ts). */
  private get decides(): boolean {
    return this.quorate && this.view?.lacksMemory(this.quorum) !== true;
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
    this.own.loseTrack(this.now + this.grace);
  }

  private stopApplying(): void {
    this.sending = null;
    this.catchingUp = null;
    this.acks = new Acks();
  }

  private onQuorum(quorum: Quorum): void {
    const before = this.quorate;
    this.quorum = quorum;
    const [lost, gained] = [before && !this.quorate, !before && this.quorate];
    const { view } = this;
    if (view === null) return;
    if (gained) this.own.waitUntil(this.now + this.patience);
    if (lost) {
      this.own.refuseHeld();
      this.own.waitAtMostUntil(this.now + this.grace);
      // Others may already rest on what we said.
      if (view.tag !== null && view.announced) this.multicast({ kind: 'unready', tag: view.tag, round: view.round });
    } else if (this.quorate) {
      this.announce();
      this.promise(view);
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
      case 'inventory':
        if (sender === this.config.self) this.send(view, 'inventory', this.catchingUp?.inventoryDelivered() ?? []);
        return this.send(view, 'difference', this.sending?.inventory(sender, message) ?? []);
      case 'difference':
        if (sender === this.config.self) return this.send(view, 'difference', this.sending?.delivered() ?? []);
        return sender === view.plan?.leader ? this.onDifference(view, message) : undefined;
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
    const standing = this.holdings.standing(this.config.hash);
    this.multicast({ kind: 'state', tag: view.tag, round: view.round, ...standing });
  }

  private follow(view: Agreement, plan: Plan): void {
    const { config, database } = this;
    const { behind, leader, state } = plan;
    if (behind.has(config.self)) this.catchingUp = new CatchingUp(database.tree, state.digest, config);
    if (leader === config.self && behind.size > 0) this.sending = new Sending(database, behind, config);
    this.promise(view);
    this.send(view, 'inventory', this.catchingUp?.begin() ?? []);
  }

  private send(view: Agreement, kind: 'inventory' | 'difference', pieces: readonly Piece[]): void {
    if (view.tag === null) return;
    for (const piece of pieces) this.multicast({ kind, tag: view.tag, round: view.round, ...piece });
  }

  /** Once in a round, as soon as those who take part know enough. */
  private promise(view: Agreement): void {
    const { plan } = view;
    if (view.tag === null || plan === null || view.promised) return;
    if (view.lacksMemory(this.quorum)) return this.own.refuseHeld();
    view.promised = true;
    const then = { kind: 'promise', tag: view.tag, round: view.round, epoch: plan.epoch } as const;
    this.store(this.holdings.promise(plan.epoch), then);
  }

  private onDifference(view: Agreement, message: DifferenceMessage): void {
    const { catchingUp } = this;
    const outcome = catchingUp?.difference(message) ?? null;
    if (catchingUp === null || outcome === null) return;
    if (outcome.ok) return view.active ? this.adopt(view, catchingUp) : undefined;
    // Without the state this node is none that can be counted on, and it will not get another one in this view.
    const from = view.plan?.leader ?? message.kind;
    this.effects.push({ kind: 'fault', reason: `The state received from node ${from} is damaged: ${outcome.error}.` });
  }

  /** All have written down the epoch: it begins, everywhere at this place of the order. */
  private activate(view: Agreement): void {
    this.acks = new Acks();
    if (this.catchingUp !== null) return this.adopt(view, this.catchingUp);
    const epoch = epochOf(view);
    const record = this.holdings.enter(epoch.number, epoch.branch);
    this.begun(view, record);
  }

  /** The epoch has begun, and the leader's state may be there: this node's own gives way to it, and to what came since. */
  private adopt(view: Agreement, { state, heard }: CatchingUp): void {
    if (state === null) return;
    const epoch = epochOf(view);
    const { record, lost } = this.holdings.adopt(state, (database) => {
      database.enter(epoch.number, epoch.branch);
      for (const { sender, message } of heard) apply(database, view, sender, message);
    });
    if (lost !== null) this.effects.push({ kind: 'setAside', image: lost });
    this.catchingUp = null;
    this.begun(view, record);
    this.effects.push({ kind: 'replaced' });
  }

  /** From here on this node's state is the view's. */
  private begun(view: Agreement, record: StoreRecord): void {
    this.ownAcks = new OwnAcks();
    this.store(record, { kind: 'ack', version: this.database.version });
    if (view.tag !== null) this.own.takeUp({ tag: view.tag, round: view.round }, this.database);
  }

  // --- operations ---

  private onSubmit(id: number, operation: Operation, mtimeS: number): void {
    const refuse = (errno: Errno): void => {
      this.effects.push({ kind: 'answer', id, result: err(errno) });
    };
    if ('data' in operation && operation.data.length > LIMITS.file) return refuse('EFBIG');
    const seconds = Math.floor(mtimeS);
    if (this.config.mode === 'local') return this.applyLocally(id, operation, seconds);
    if (this.view === null || !this.decides) return refuse('EACCES');
    const bytes = encodeOperation(operation);
    // What the others could not read must not be sent.
    if (!decodeOperation(bytes).ok) return refuse('EINVAL');
    this.own.add(id, bytes, seconds, this.now + this.patience);
    this.sendHeld();
  }

  private applyLocally(id: number, operation: Operation, mtimeS: number): void {
    const { self: node, session } = this.config;
    const entry = this.own.add(id, NO_BYTES, mtimeS, Infinity);
    const { counter } = entry;
    const done = this.holdings.applyAlone({ node, session, counter, floor: counter, mtimeS, operation });
    if (!done.ok) return this.own.answer(entry, done.error);
    this.own.drop(entry);
    for (const record of done.value) {
      const isLast = record.kind === 'operation';
      this.store(record, isLast ? { kind: 'answer', id } : { kind: 'nothing' });
      if (isLast) this.effects.push({ kind: 'changed', change: record.change, writer: node });
    }
  }

  /** Only where this node's state is the view's. */
  private sendHeld(): void {
    const { view } = this;
    if (view?.active !== true || view.tag === null || this.catchingUp !== null) return;
    this.own.sendHeld({ tag: view.tag, round: view.round });
  }

  private onOperation(view: Agreement, node: NodeId, message: OperationMessage): void {
    if (!view.active) return this.ownNotApplied(node, message);
    if (this.catchingUp !== null) {
      if (this.catchingUp.hear(node, message)) return;
      const reason = 'The cluster writes faster than this node receives its state; it starts anew.';
      this.effects.push({ kind: 'fault', reason });
      return;
    }
    const done = apply(this.database, view, node, message);
    if (done === null) return;
    const entry = this.own.of(node, message);
    if (done.ok) {
      this.store(done.value, { kind: 'ack', version: this.database.version });
      this.effects.push({ kind: 'changed', change: done.value.change, writer: node });
    }
    if (entry === undefined) return;
    this.own.delivered(entry, done.ok ? null : done.error, this.database.version);
    if (!done.ok) this.settle();
    this.sendHeld();
  }

  /** Delivered between two rounds of this view: no member applies it. It waits for the next round. */
  private ownNotApplied(sender: NodeId, message: OperationMessage): void {
    const entry = this.own.of(sender, message);
    if (entry?.progress.kind !== 'sent') return;
    this.own.notApplied(entry, this.now + this.patience);
    if (!this.quorate) this.own.answer(entry, 'EACCES');
  }

  // --- comparison ---

  private onCompare(): void {
    const { view } = this;
    if (view === null || view.tag === null || !view.active || !asksForAll(view.members, this.config.self)) return;
    this.multicast({ kind: 'compare', tag: view.tag, round: view.round });
  }

  private compare(view: Agreement, sender: NodeId, message: CompareMessage | DigestMessage): void {
    if (!view.active || view.tag === null || this.catchingUp !== null) return;
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
    if (view === null || view.tag === null || !view.active || this.catchingUp !== null) return;
    const index = this.ownAcks.next();
    if (index === null) return;
    const { epoch } = this.database.version;
    this.multicast({ kind: 'ack', tag: view.tag, round: view.round, epoch, index });
  }

  private onAck(view: Agreement, sender: NodeId, message: AckMessage): void {
    if (!view.active || message.epoch !== view.plan?.epoch) return;
    this.acks.note(sender, message.index);
    if (sender === this.config.self) {
      this.holdings.settle(message.index);
      this.ownAcks.delivered();
      this.acknowledge();
    }
    this.settle();
  }

  /** Answers everything that rests on what a majority has stored. */
  private settle(): void {
    const { view } = this;
    if (view === null || !view.active || this.catchingUp !== null) return;
    const { epoch } = this.database.version;
    const index = this.acks.safe(view.members, this.quorum);
    this.own.answerRestingOn({ epoch, index });
  }
}

/** Of a view whose plan is carried out. */
function epochOf({ plan, tag }: Agreement): { readonly number: number; readonly branch: string } {
  if (plan === null || tag === null) throw new Error('an epoch begins without a plan');
  return { number: plan.epoch, branch: tag.slice(0, BRANCH_DIGITS) };
}

/** Null: it is not whole yet, or contained already. */
function apply(
  database: Database,
  view: Agreement,
  node: NodeId,
  message: OperationMessage,
): ReturnType<Database['apply']> | null {
  const whole = view.partsOf(node).add(message);
  if (whole === null) return null;
  const operation = decodeOperation(whole);
  // The submitter has checked it, and all members speak one generation.
  if (!operation.ok) return err('EINVAL');
  const { session, counter, floor, mtimeS } = message;
  if (database.contains(node, session, counter)) return null;
  return database.apply({ node, session, counter, floor, mtimeS, operation: operation.value });
}
