/** Who has stored how much of the present epoch, and what that makes safe. */
import type { NodeId } from '../totem/ids.ts';
import type { Quorum } from './types.ts';

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
      if (sum >= quorum.needed && sum * 2 > total) return each.index;
    }
    return -1;
  }
}

/** This node's own acks of one epoch. One at a time: while it is on its way, the next one gathers. */
export class OwnAcks {
  private onDisk = -1;
  private said = -1;
  private onItsWay = false;

  stored(index: number): void {
    this.onDisk = index;
  }
  delivered(): void {
    this.onItsWay = false;
  }
  /** The index to acknowledge now, or null. */
  next(): number | null {
    if (this.onItsWay || this.onDisk <= this.said) return null;
    this.onItsWay = true;
    this.said = this.onDisk;
    return this.said;
  }
}
