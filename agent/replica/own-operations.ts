/** The operations submitted on this node: sent, followed through the views, and answered once each. */
import { err, ok } from '../result.ts';
import type { Errno, Version } from '../tree/types.ts';
import type { Database } from './database.ts';
import { encodeMessage, inParts, type OperationMessage, type Place } from './messages.ts';
import { PendingOperations, type PendingOperation } from './pending.ts';
import type { ReplicaConfig, ReplicaEffect } from './types.ts';

/**
 * Most bytes of operations that are multicast and not delivered yet. What is beyond waits here, where it can still be
 * refused as not done, and does not make what is sent after it late: an ack, a member's state.
 */
const MOST_UNDER_WAY = 2 * 1024 * 1024;
/** What an operation weighs besides its bytes. */
const HEADER_BYTES = 128;

type OwnConfig = Pick<ReplicaConfig, 'self' | 'session' | 'underWayBytes'>;

export type OwnEffect = Extract<ReplicaEffect, { kind: 'answer' | 'multicast' }>;

export class OwnOperations {
  private readonly config: OwnConfig;
  private readonly effect: (effect: OwnEffect) => void;
  private readonly pending = new PendingOperations();
  private underWay = 0;

  constructor(config: OwnConfig, effect: (effect: OwnEffect) => void) {
    this.config = config;
    this.effect = effect;
  }

  /** Counted as asked for; nothing is sent. `bytes`: the operation, encoded. */
  add(id: number, bytes: Uint8Array, mtimeS: number, deadline: number): PendingOperation {
    return this.pending.add(id, bytes, mtimeS, deadline);
  }
  answer(entry: PendingOperation, errno: Errno | null): void {
    this.settled(entry);
    this.pending.remove(entry);
    this.effect({ kind: 'answer', id: entry.id, result: errno === null ? ok(null) : err(errno) });
  }
  /** Answered elsewhere, or without an answer. */
  drop(entry: PendingOperation): void {
    this.pending.remove(entry);
  }

  /** When `due` has something, in the unit of `now`; Infinity when nothing has a deadline. */
  deadline(): number {
    return this.pending.deadline();
  }
  /** Answers what has waited long enough. */
  due(now: number): void {
    for (const entry of this.pending.due(now)) this.answer(entry, entry.progress.kind === 'held' ? 'EACCES' : 'EIO');
  }
  refuseHeld(): void {
    for (const entry of this.pending.held()) this.answer(entry, 'EACCES');
  }
  /** The view ended: what was sent may have been done elsewhere, or be lost here. */
  loseTrack(deadline: number): void {
    this.underWay = 0;
    this.pending.loseTrack(deadline);
  }
  waitUntil(deadline: number): void {
    this.pending.waitUntil(deadline);
  }
  waitAtMostUntil(deadline: number): void {
    this.pending.waitAtMostUntil(deadline);
  }

  /** Operations are applied from here on: what `database` contains is done, what it does not is sent. */
  takeUp(place: Place, database: Database): void {
    const { self, session } = this.config;
    for (const entry of this.pending.all()) {
      if (database.contains(self, session, entry.counter)) {
        entry.progress = { kind: 'delivered', errno: null, needs: database.version };
        entry.deadline = Infinity;
      } else if (entry.withdrawn) this.answer(entry, 'EIO');
      else {
        entry.progress = { kind: 'held' };
        entry.deadline = Infinity;
      }
    }
    this.sendHeld(place);
  }

  /** Sends what is held, in the order it was asked for, as far as there is room. */
  sendHeld(place: Place): void {
    for (const entry of this.pending.inOrder()) {
      if (entry.progress.kind !== 'held') continue;
      const weight = entry.bytes.length + HEADER_BYTES;
      if (this.underWay > 0 && this.underWay + weight > (this.config.underWayBytes ?? MOST_UNDER_WAY)) return;
      this.underWay += weight;
      entry.progress = { kind: 'sent' };
      entry.deadline = Infinity;
      const { session } = this.config;
      const { counter, mtimeS } = entry;
      const { tag, round } = place;
      const common = { tag, round, session, counter, floor: this.pending.floor, mtimeS };
      for (const piece of inParts(entry.bytes)) {
        const payload = encodeMessage({ kind: 'operation', ...common, ...piece });
        this.effect({ kind: 'multicast', payload });
      }
    }
  }

  /** The one this message is about, if it is ours. */
  of(sender: number, message: OperationMessage): PendingOperation | undefined {
    const isOurs = sender === this.config.self && message.session === this.config.session;
    return isOurs ? this.pending.get(message.counter) : undefined;
  }
  delivered(entry: PendingOperation, errno: Errno | null, needs: Version): void {
    this.settled(entry);
    entry.progress = { kind: 'delivered', errno, needs };
  }
  /** No member applies it: it waits for the next round. */
  notApplied(entry: PendingOperation, deadline: number): void {
    this.settled(entry);
    entry.progress = { kind: 'held' };
    entry.deadline = deadline;
  }
  withdraw(id: number): void {
    const entry = this.pending.withId(id);
    if (entry === undefined) return;
    entry.withdrawn = true;
    if (entry.progress.kind === 'held') this.answer(entry, 'EIO');
  }
  /** Answers everything that rests on what a majority has stored. */
  answerRestingOn(version: Version): void {
    for (const entry of this.pending.restingOn(version))
      if (entry.progress.kind === 'delivered') this.answer(entry, entry.progress.errno);
  }

  private settled(entry: PendingOperation): void {
    if (entry.progress.kind === 'sent') this.underWay -= entry.bytes.length + HEADER_BYTES;
  }
}
