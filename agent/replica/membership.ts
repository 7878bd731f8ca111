/**
 * This node's part in one view, from the roll call (agreement.ts) to the operations that are applied where they are
 * delivered, acknowledged when they are on disk, and answered when a majority has them. Nothing of it counts in
 * another view.
 */
import { err } from '../result.ts';
import type { NodeId, RingId } from '../totem/ids.ts';
import { decodeOperation } from '../tree/codec.ts';
import { Acks, isAwaited, OwnAcks } from './acks.ts';
import { Agreement, whyReadOnly, type Plan } from './agreement.ts';
import { asksForAll, Comparison } from './comparison.ts';
import type { Database } from './database.ts';
import { History } from './history.ts';
import type { Holdings } from './holdings.ts';
import type { Afterwards } from './journal.ts';
import {
  encodeMessage,
  GENERATION,
  type AckMessage,
  type CompareMessage,
  type DifferenceMessage,
  type DigestMessage,
  type OperationMessage,
  type ReplicaMessage,
} from './messages.ts';
import type { OwnOperations } from './own-operations.ts';
import type { Piece } from './paced.ts';
import { CatchingUp, Sending } from './transfer.ts';
import type { Quorum, ReplicaConfig, ReplicaEffect, StoreRecord } from './types.ts';

const BRANCH_DIGITS = 16;

/** What outlasts the view. */
export interface MembershipPort {
  readonly config: ReplicaConfig;
  readonly holdings: Holdings;
  readonly own: OwnOperations;
  effect(effect: ReplicaEffect): void;
  /** `awaited`: somebody waits until it is on disk; true when it is not given. */
  store(record: StoreRecord, then: Afterwards, awaited?: boolean): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Until when an operation waits for the members to agree, from now. */
  patience(): number;
}

export class Membership {
  private readonly view: Agreement;
  private readonly port: MembershipPort;
  private quorum: Quorum;
  /** This node leads, and others are behind. */
  private sending: Sending | null = null;
  /** This node is behind: until it has the leader's state, and what was delivered since. */
  private catchingUp: CatchingUp | null = null;
  private history = new History();
  private acks = new Acks();
  private ownAcks = new OwnAcks();
  /** The newest ack of each member that came before this node had a history to compare with. */
  private readonly early = new Map<NodeId, AckMessage>();
  private readonly comparison = new Comparison();

  constructor(ring: RingId, members: readonly NodeId[], quorum: Quorum, port: MembershipPort) {
    this.view = new Agreement(ring, members);
    this.quorum = quorum;
    this.port = port;
  }

  /** `count`: the views of this process. */
  sayHello(count: number): void {
    this.multicast({ kind: 'hello', session: this.port.config.session, count, ...GENERATION });
  }

  /**
   * Quorum of the ring is not enough: its members' engines may run and their replicas not, and a
   * majority of replicas it takes to know what was answered.
   */
  get quorate(): boolean {
    const { needed, quorate, votes } = this.quorum;
    const present = this.view.members.reduce((sum, node) => sum + (votes.get(node) ?? 0), 0);
    return quorate && present >= needed && present > 0;
  }

  /** Quorate, and able to come to a state (agreement.ts). */
  get decides(): boolean {
    return this.quorate && !this.view.lacksMemory(this.quorum);
  }

  /** This node has the view's state, and operations are applied. */
  get synced(): boolean {
    return this.view.active && this.catchingUp === null;
  }

  /** One sentence for a person. */
  whyReadOnly(): string {
    return whyReadOnly(this.view, this.quorum, this.decides, this.port.config.self);
  }

  /** The quorum is another; what was lost with it others may rest on already, and are told. */
  setQuorum(quorum: Quorum): void {
    const before = this.quorate;
    this.quorum = quorum;
    const { tag, round, announced } = this.view;
    if (this.quorate) {
      this.announce();
      this.promise();
      this.settle();
    } else if (before && tag !== null && announced) this.multicast({ kind: 'unready', tag, round });
  }

  deliver(sender: NodeId, message: ReplicaMessage): void {
    const { view } = this;
    const { config } = this.port;
    if (message.kind === 'hello') {
      if (view.hello(sender, message, config.hash)) this.announce();
      return;
    }
    if (!view.isHere(message)) {
      if (message.kind === 'operation' && message.tag === view.tag) this.ownNotApplied(sender, message);
      return;
    }
    switch (message.kind) {
      case 'state': {
        const plan = view.state(sender, message);
        return plan === null ? undefined : this.follow(plan);
      }
      case 'inventory':
        if (sender === config.self) this.send('inventory', this.catchingUp?.inventoryDelivered() ?? []);
        return this.send('difference', this.sending?.inventory(sender, message) ?? []);
      case 'difference':
        if (sender === config.self) return this.send('difference', this.sending?.delivered() ?? []);
        return sender === view.plan?.leader ? this.onDifference(message) : undefined;
      case 'promise':
        return view.promise(sender, message) ? this.activate() : undefined;
      case 'operation':
        return this.onOperation(sender, message);
      case 'ack':
        return this.onAck(sender, message);
      case 'compare':
      case 'digest':
        return this.onComparison(sender, message);
      case 'unready':
        view.reset();
        [this.sending, this.catchingUp] = [null, null];
        this.early.clear();
        return this.announce();
    }
  }

  private multicast(message: ReplicaMessage): void {
    this.port.effect({ kind: 'multicast', payload: encodeMessage(message) });
  }

  // --- agreement ---

  /** Says where this replica stands, once in every round and only with quorum. */
  private announce(): void {
    const { view } = this;
    if (view.tag === null || view.announced || !this.quorate) return;
    view.announced = true;
    const standing = this.port.holdings.standing(this.port.config.hash);
    this.multicast({ kind: 'state', tag: view.tag, round: view.round, ...standing });
  }

  private follow({ behind, leader, state }: Plan): void {
    const { config, holdings } = this.port;
    const { database } = holdings;
    if (behind.has(config.self)) this.catchingUp = new CatchingUp(database.tree, state.digest, config);
    if (leader === config.self && behind.size > 0) this.sending = new Sending(database, behind, config);
    this.promise();
    this.send('inventory', this.catchingUp?.begin() ?? []);
  }

  /** Once in a round, as soon as those who take part know enough. */
  private promise(): void {
    const { view } = this;
    const { plan, tag, round } = view;
    if (tag === null || plan === null || view.promised) return;
    if (view.lacksMemory(this.quorum)) return this.port.own.refuseHeld();
    view.promised = true;
    const { epoch } = plan;
    this.port.store(this.port.holdings.promise(epoch), { kind: 'promise', tag, round, epoch });
  }

  private send(kind: 'inventory' | 'difference', pieces: readonly Piece[]): void {
    const { tag, round } = this.view;
    if (tag === null) return;
    for (const piece of pieces) this.multicast({ kind, tag, round, ...piece });
  }

  private onDifference(message: DifferenceMessage): void {
    const { catchingUp, view } = this;
    const outcome = catchingUp?.difference(message) ?? null;
    if (catchingUp === null || outcome === null) return;
    if (outcome.ok) return view.active ? this.adopt(catchingUp) : undefined;
    // Without the state this node is none that can be counted on, and it will not get another one in this view.
    const reason = `The state received from node ${view.plan?.leader ?? 0} is damaged: ${outcome.error}.`;
    this.port.effect({ kind: 'fault', reason });
  }

  /** All have written down the epoch: it begins, everywhere at this place of the order. */
  private activate(): void {
    this.history = new History();
    if (this.catchingUp !== null) return this.adopt(this.catchingUp);
    const { epoch, branch } = epochOf(this.view);
    this.begun(this.port.holdings.enter(epoch, branch));
  }

  /** The epoch has begun, and the leader's state may be there: this node's own gives way to it, and to what came since. */
  private adopt({ state, heard }: CatchingUp): void {
    if (state === null) return;
    const { epoch, branch } = epochOf(this.view);
    const { record, lost } = this.port.holdings.adopt(state, (database) => {
      database.enter(epoch, branch);
      for (const { sender, message } of heard) this.apply(database, sender, message);
    });
    if (lost !== null) this.port.effect({ kind: 'setAside', image: lost });
    this.catchingUp = null;
    this.begun(record);
    this.port.effect({ kind: 'replaced' });
  }

  /** From here on this node's state is the view's. */
  private begun(record: StoreRecord): void {
    const { holdings, own } = this.port;
    const { tag, round } = this.view;
    this.acks = new Acks();
    this.ownAcks = new OwnAcks();
    // On the beginning rests what was asked for before.
    this.ownAcks.await(holdings.database.version.index);
    this.port.store(record, { kind: 'ack', version: holdings.database.version });
    if (tag !== null) own.takeUp({ tag, round }, holdings.database);
    for (const [sender, ack] of this.early) this.onAck(sender, ack);
    this.early.clear();
  }

  // --- operations ---

  /** Sends the own operations there is room for, where this node's state is the view's. */
  sendHeld(): void {
    const { tag, round } = this.view;
    if (this.synced && tag !== null) this.port.own.sendHeld({ tag, round });
  }

  private onOperation(node: NodeId, message: OperationMessage): void {
    if (!this.view.active) return this.ownNotApplied(node, message);
    if (this.catchingUp !== null) {
      if (this.catchingUp.hear(node, message)) return;
      const reason = 'The cluster writes faster than this node receives its state; it starts anew.';
      return this.port.effect({ kind: 'fault', reason });
    }
    const { holdings, own } = this.port;
    const { database } = holdings;
    const done = this.apply(database, node, message);
    if (done === null) return;
    const isAwaited = this.isAwaited(node);
    if (isAwaited) this.ownAcks.await(database.version.index);
    if (done.ok) {
      const awaited = isAwaited || node === this.port.config.self;
      this.port.store(done.value, { kind: 'ack', version: database.version }, awaited);
      this.port.effect({ kind: 'changed', change: done.value.change, writer: node });
    }
    const entry = own.of(node, message);
    if (entry !== undefined) own.delivered(entry, done.ok ? null : done.error, database.version);
    if (!done.ok && (isAwaited || entry !== undefined)) {
      // One that is refused rests on what was there: its sender waits for that.
      this.port.effect({ kind: 'hurry' });
      this.acknowledge();
      this.settle();
    }
    if (entry !== undefined) this.sendHeld();
  }

  /** Null: it is not whole yet, or contained already. */
  private apply(database: Database, node: NodeId, message: OperationMessage): ReturnType<Database['apply']> | null {
    const whole = this.view.partsOf(node).add(message);
    if (whole === null) return null;
    const operation = decodeOperation(whole);
    // The submitter has checked it, and all members speak one generation.
    if (!operation.ok) return err('EINVAL');
    const { session, counter, floor, mtimeS } = message;
    if (database.contains(node, session, counter)) return null;
    const done = database.apply({ node, session, counter, floor, mtimeS, operation: operation.value });
    if (done.ok) this.history.applied(database.version.index, node, session, counter);
    return done;
  }

  /** Delivered between two rounds of this view: no member applies it. It waits for the next round. */
  private ownNotApplied(sender: NodeId, message: OperationMessage): void {
    const { own } = this.port;
    const entry = own.of(sender, message);
    if (entry?.progress.kind !== 'sent') return;
    own.notApplied(entry, this.port.patience());
    if (!this.quorate) own.answer(entry, 'EACCES');
  }

  // --- comparison ---

  /** One member asks all for their digests. */
  compare(): void {
    const { members, tag, round } = this.view;
    if (this.synced && tag !== null && asksForAll(members, this.port.config.self))
      this.multicast({ kind: 'compare', tag, round });
  }

  private onComparison(sender: NodeId, message: CompareMessage | DigestMessage): void {
    const { tag, round } = this.view;
    if (!this.synced || tag === null) return;
    if (message.kind === 'compare') {
      const { database } = this.port.holdings;
      const { version } = database;
      const digest = database.digest(this.port.config.hash);
      this.comparison.note(version, digest);
      this.multicast({ kind: 'digest', tag, round, version, digest });
    } else if (this.comparison.differs(message))
      this.port.effect({ kind: 'differs', node: sender, version: message.version });
  }

  // --- stable storage ---

  /** What waited for the disk, in order. */
  stored(all: readonly Afterwards[]): void {
    for (const then of all) {
      if (then.kind === 'promise' && this.view.isHere(then)) this.multicast(then);
      if (then.kind === 'ack' && then.version.epoch === this.port.holdings.database.version.epoch)
        this.ownAcks.stored(then.version.index);
    }
    this.acknowledge();
    this.settle();
  }

  private isAwaited(sender: NodeId): boolean {
    const { members, plan } = this.view;
    return isAwaited(this.port.config.self, sender, {
      members,
      behind: plan?.behind ?? new Set(),
      quorum: this.quorum,
    });
  }

  /** When `timer` is due, in the unit of `now`; Infinity when nothing is. */
  deadline(): number {
    return this.synced ? this.ownAcks.deadline() : Infinity;
  }
  timer(): void {
    this.acknowledge();
  }

  private acknowledge(): void {
    const { tag, round } = this.view;
    const index = this.synced ? this.ownAcks.next(this.port.now()) : null;
    if (index === null || tag === null) return;
    const { epoch } = this.port.holdings.database.version;
    this.multicast({ kind: 'ack', tag, round, epoch, index, mark: this.history.at(index) });
    this.history.acknowledged(index);
  }

  private onAck(sender: NodeId, message: AckMessage): void {
    if (!this.view.active || message.epoch !== this.view.plan?.epoch) return;
    if (this.catchingUp !== null) return void this.early.set(sender, message);
    // Past a gap an ack may be of another history than ours: it says nothing here.
    if (this.history.confirms(message.index, message.mark)) this.acks.note(sender, message.index);
    if (sender === this.port.config.self) {
      this.ownAcks.delivered();
      this.acknowledge();
    }
    this.settle();
  }

  /** Answers everything that rests on what a majority has stored. */
  private settle(): void {
    if (!this.synced) return;
    const { epoch } = this.port.holdings.database.version;
    // What is on this disk counts as far as somebody else has the same: it is no history past a gap.
    const own = Math.min(this.ownAcks.disk, this.history.common);
    this.acks.note(this.port.config.self, own);
    this.port.holdings.settle(own);
    const index = this.acks.safe(this.view.members, this.quorum);
    this.port.own.answerRestingOn({ epoch, index });
  }
}

/** Of a view whose plan is carried out. */
function epochOf({ plan, tag }: Agreement): { readonly epoch: number; readonly branch: string } {
  if (plan === null || tag === null) throw new Error('an epoch begins without a plan');
  return { epoch: plan.epoch, branch: tag.slice(0, BRANCH_DIGITS) };
}
