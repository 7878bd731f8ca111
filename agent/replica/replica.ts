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
 * and acknowledged such a message in its own view. So what a delivered ack covers is certainly the
 * common history where our own is the same up to there (history.ts), and what comes after it counts
 * for less when a leader is chosen. As far as it is certain a member counts its own disk without
 * having said so: of three nodes one ack answers a write.
 */
import { err, ok, type Result } from '../result.ts';
import type { NodeId, RingId } from '../totem/ids.ts';
import { decodeOperation, encodeOperation } from '../tree/codec.ts';
import type { Tree } from '../tree/tree.ts';
import { LIMITS, type Errno, type Operation, type Version } from '../tree/types.ts';
import { Holdings } from './holdings.ts';
import { Journal, type Afterwards } from './journal.ts';
import { Membership } from './membership.ts';
import { decodeMessage } from './messages.ts';
import { OwnOperations } from './own-operations.ts';
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
const NO_BYTES = new Uint8Array();

export class Replica {
  private readonly config: ReplicaConfig;
  private readonly holdings: Holdings;
  private readonly own: OwnOperations;
  private readonly journal = new Journal();
  /** Null where the engine is lost, and in local mode. */
  private membership: Membership | null = null;
  private views = 0;
  private now = 0;
  private effects: ReplicaEffect[] = [];
  private lastStatus: ReplicaStatus;

  private constructor(config: ReplicaConfig, holdings: Holdings) {
    this.config = config;
    this.holdings = holdings;
    const effect = (each: ReplicaEffect): void => void this.effects.push(each);
    this.own = new OwnOperations(config, effect);
    this.lastStatus = this.status();
  }

  /** A replica on a stored image, or in words why the image is damaged. */
  static open(config: ReplicaConfig): Result<Replica, string> {
    const holdings = Holdings.load(config.image);
    return holdings.ok ? ok(new Replica(config, holdings.value)) : holdings;
  }

  /** For reading only. Another object after the effect `replaced`. */
  get tree(): Tree {
    return this.holdings.database.tree;
  }
  get version(): Version {
    return this.holdings.database.version;
  }

  status(): ReplicaStatus {
    const local = this.config.mode === 'local';
    const synced = local || this.membership?.synced === true;
    const accepting = local || this.membership?.decides === true;
    return { writability: this.writability(synced, accepting), accepting, synced, version: this.version };
  }

  /** Of tree and sessions; equal on members that are in sync. */
  digest(): Uint8Array {
    return this.holdings.database.digest(this.config.hash);
  }

  /** When `step({kind: 'timer'})` is due, in the unit of `now`; Infinity when nothing is. */
  deadline(): number {
    return Math.min(this.own.deadline(), this.membership?.deadline() ?? Infinity);
  }

  /** `now`: milliseconds of a clock that never goes back. */
  step(input: ReplicaInput, now: number): ReplicaEffect[] {
    this.now = now;
    this.effects = [];
    this.take(input);
    this.reportStatus();
    return this.effects;
  }

  private take(input: ReplicaInput): void {
    switch (input.kind) {
      case 'view':
        return this.onView(input.ring, input.members, input.quorum);
      case 'quorum':
        return this.onQuorum(input.quorum);
      case 'deliver':
        return this.onDeliver(input.sender, input.payload);
      case 'submit':
        return this.onSubmit(input.id, input.operation, input.mtimeS);
      case 'withdraw':
        return this.own.withdraw(input.id);
      case 'compare':
        return this.membership?.compare();
      case 'stored':
        return this.onStored(input.ticket);
      case 'disconnected':
        this.leaveView();
        return this.own.refuseHeld();
      case 'timer':
        this.membership?.timer();
        return this.own.due(this.now);
    }
  }

  // --- effects ---

  private store(record: StoreRecord, then: Afterwards, awaited = true): void {
    this.effects.push({ kind: 'store', ticket: this.journal.add(then), record, awaited });
  }

  private writability(synced: boolean, accepting: boolean): ReplicaWritability {
    if (synced && accepting) return { kind: 'writable' };
    const reason = this.membership?.whyReadOnly() ?? 'This node is not connected to the cluster.';
    return { kind: 'read-only', reason };
  }

  private reportStatus(): void {
    const status = this.status();
    if (saysTheSame(status, this.lastStatus)) return;
    this.lastStatus = status;
    this.effects.push({ kind: 'status', status });
  }

  // --- views and quorum ---

  private get quorate(): boolean {
    return this.membership?.quorate === true;
  }
  private get grace(): number {
    return this.now + (this.config.graceMs ?? GRACE_MS);
  }
  private get patience(): number {
    return this.now + (this.config.patienceMs ?? PATIENCE_MS);
  }

  private onView(ring: RingId, members: readonly NodeId[], quorum: Quorum): void {
    const { config, holdings, own } = this;
    this.leaveView();
    this.membership = new Membership(ring, members, quorum, {
      ...{ config, holdings, own },
      effect: (effect) => this.effects.push(effect),
      store: (record, then, awaited) => this.store(record, then, awaited),
      now: () => this.now,
      patience: () => this.patience,
    });
    this.views += 1;
    if (!this.quorate) own.refuseHeld();
    else own.waitUntil(this.patience);
    this.membership.sayHello(this.views);
  }

  /** Nothing that was sent in a view counts in another. */
  private leaveView(): void {
    this.membership = null;
    this.own.loseTrack(this.grace);
  }

  private onQuorum(quorum: Quorum): void {
    const before = this.quorate;
    this.membership?.setQuorum(quorum);
    if (!before && this.quorate) this.own.waitUntil(this.patience);
    if (!before || this.quorate) return;
    this.own.refuseHeld();
    this.own.waitAtMostUntil(this.grace);
  }

  private onDeliver(sender: NodeId, payload: Uint8Array): void {
    const message = this.membership === null ? null : decodeMessage(payload);
    if (message !== null) this.membership?.deliver(sender, message);
  }

  private onStored(ticket: number): void {
    const all = this.journal.stored(ticket);
    for (const then of all)
      if (then.kind === 'answer') this.effects.push({ kind: 'answer', id: then.id, result: ok(null) });
    this.membership?.stored(all);
  }

  // --- operations ---

  private onSubmit(id: number, operation: Operation, mtimeS: number): void {
    const refuse = (errno: Errno): void => {
      this.effects.push({ kind: 'answer', id, result: err(errno) });
    };
    if ('data' in operation && operation.data.length > LIMITS.file) return refuse('EFBIG');
    const seconds = Math.floor(mtimeS);
    if (this.config.mode === 'local') return this.applyLocally(id, operation, seconds);
    if (this.membership?.decides !== true) return refuse('EACCES');
    const bytes = encodeOperation(operation);
    // What the others could not read must not be sent.
    if (!decodeOperation(bytes).ok) return refuse('EINVAL');
    this.own.add(id, bytes, seconds, this.patience);
    this.membership?.sendHeld();
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
}

/** Not with every operation: only the epoch of the version is worth a message. */
function saysTheSame(left: ReplicaStatus, right: ReplicaStatus): boolean {
  const [now, before] = [left.writability, right.writability];
  return (
    left.accepting === right.accepting &&
    left.synced === right.synced &&
    left.version.epoch === right.version.epoch &&
    (now.kind === 'writable' ? before.kind === 'writable' : before.kind !== 'writable' && now.reason === before.reason)
  );
}
