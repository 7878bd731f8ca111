/**
 * Which operations a replica has applied in the present epoch, told from other histories by one number at each index.
 *
 * Indices alone do not tell: past a gap (replica.ts) two members may have different operations at one index. Equal
 * marks mean equal operations in equal order, and so, from the one state that the epoch begins with, equal states.
 */
import type { NodeId } from '../totem/ids.ts';

const HIGH_BITS = 0x1f_ffff;
const LOW_VALUES = 2 ** 32;

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
/** One step of 32 bits, each of which depends on all of both (multipliers: Murmur3's). */
function mix(state: number, word: number): number {
  const mixed = Math.imul(rotate(state ^ Math.imul(word, 0xcc9e2d51), 13), 0x1b873593) + 0xe6546b64;
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
}

export class History {
  private index = 0;
  private high = 0;
  private low = 0;
  private sure = 0;
  private said = 0;
  /** By index, of those that are not certain yet or not acknowledged. */
  private readonly marks = new Map<number, number>();

  /** Up to here another member had the same history on disk in this view: it is the common one. */
  get common(): number {
    return this.sure;
  }

  /** An operation became the next of the epoch; `session` and `counter` are its sender's. */
  applied(index: number, node: NodeId, session: number, counter: number): void {
    for (const word of [node, session, Math.floor(session / LOW_VALUES), counter, Math.floor(counter / LOW_VALUES)]) {
      this.low = mix(this.low, word);
      this.high = mix(this.high ^ this.low, word + 1);
    }
    this.index = index;
    this.marks.set(index, this.mark);
  }

  /** The mark at an index that is not acknowledged yet. A non-negative safe integer. */
  at(index: number): number {
    return index === this.index ? this.mark : (this.marks.get(index) ?? 0);
  }

  /** This node has told the others of everything up to this index. */
  acknowledged(index: number): void {
    this.said = Math.max(this.said, index);
    this.forget();
  }

  /**
   * A member has `mark` at this index. True when the history up to there is its history too. What is certain needs no
   * comparison: a member's acknowledged history is the common one.
   */
  confirms(index: number, mark: number): boolean {
    if (index <= this.sure) return true;
    if (index > this.index || this.at(index) !== mark) return false;
    this.sure = index;
    this.forget();
    return true;
  }

  private get mark(): number {
    return (this.high & HIGH_BITS) * LOW_VALUES + (this.low >>> 0);
  }

  private forget(): void {
    const until = Math.min(this.sure, this.said);
    for (const index of this.marks.keys()) {
      if (index > until) return;
      this.marks.delete(index);
    }
  }
}
