/** Who has stored how much of the present epoch, and what that makes safe. */
import type { NodeId } from '../totem/ids.ts';
import type { Quorum } from './types.ts';

const isEnough = (sum: number, total: number, { needed }: Quorum): boolean => sum >= needed && sum * 2 > total;

export class Acks {
  private readonly stored = new Map<NodeId, number>();

  note(node: NodeId, index: number): void {
    this.stored.set(node, Math.max(index, this.stored.get(node) ?? -1));
  }

  /**
   * The index that members with enough votes have on stable storage; -1 when there is none. Enough is
   * what quorum takes, and more than half of the votes present: where a single vote is quorum
   * (two_node, `expected 1`), all the same no write may rest on one disk while two are there.
   */
  safe(members: readonly NodeId[], quorum: Quorum): number {
    const votes = (node: NodeId): number => quorum.votes.get(node) ?? 0;
    const total = members.reduce((sum, node) => sum + votes(node), 0);
    const stored = members
      .map((node) => ({ votes: votes(node), index: this.stored.get(node) ?? -1 }))
      .sort((left, right) => right.index - left.index);
    let sum = 0;
    for (const each of stored) {
      sum += each.votes;
      if (isEnough(sum, total, quorum)) return each.index;
    }
    return -1;
  }
}

/**
 * Whose acks an operation of `sender` waits for: those of the members after it in order of their ids until they are a
 * majority with it; of members that were behind when the epoch began, only where it takes them. The sender knows its own
 * disk without a message, unless it is enough alone. The others' acks come later and with the next ones together: each
 * is a message to everybody.
 */
export function isAwaited(
  self: NodeId,
  sender: NodeId,
  { members, behind, quorum }: { members: readonly NodeId[]; behind: ReadonlySet<NodeId>; quorum: Quorum },
): boolean {
  const votes = (node: NodeId): number => quorum.votes.get(node) ?? 0;
  const total = members.reduce((sum, node) => sum + votes(node), 0);
  let sum = votes(sender);
  if (self === sender) return isEnough(sum, total, quorum);
  const from = Math.max(0, members.indexOf(sender));
  const inTurn = [...members.slice(from + 1), ...members.slice(0, from)];
  const isBehind = (node: NodeId): boolean => behind.has(node);
  for (const node of [...inTurn.filter((each) => !isBehind(each)), ...inTurn.filter(isBehind)]) {
    if (isEnough(sum, total, quorum)) return false;
    if (node === self) return true;
    sum += votes(node);
  }
  return true;
}

/** How long an ack that nobody waits for may wait for the next one. Milliseconds. */
const LAZY_MS = 40;

/** This node's own acks of one epoch. One at a time: while it is on its way, the next one gathers. */
export class OwnAcks {
  private onDisk = -1;
  private said = -1;
  private onItsWay = false;
  /** Indices that somebody waits for, ascending. */
  private awaited: number[] = [];
  /** When the one that nobody waits for is due, in the unit of `now`. */
  private due = Infinity;

  /** Somebody waits until this index is acknowledged. Ascending. */
  await(index: number): void {
    if (index > this.said) this.awaited.push(index);
  }
  stored(index: number): void {
    this.onDisk = index;
  }
  /** The index up to which everything is on this node's disk; -1 before anything is. */
  get disk(): number {
    return this.onDisk;
  }
  delivered(): void {
    this.onItsWay = false;
  }
  /** When `next` may have one though nothing else has happened; Infinity when not. */
  deadline(): number {
    return this.onItsWay ? Infinity : this.due;
  }
  /** The index to acknowledge now, or null. */
  next(now: number): number | null {
    if (this.onItsWay || this.onDisk <= this.said) return null;
    const [first = Infinity] = this.awaited;
    if (first > this.onDisk && now < this.due) {
      this.due = Math.min(this.due, now + LAZY_MS);
      return null;
    }
    this.onItsWay = true;
    this.said = this.onDisk;
    this.due = Infinity;
    while ((this.awaited[0] ?? Infinity) <= this.said) this.awaited.shift();
    return this.said;
  }
}
