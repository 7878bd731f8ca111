/** Which counters of a session were seen. Blocks of bits in a ring, after RFC 6479, so that moving on costs little. */

/** Counters that may overtake one another: some thousand, for links of different delay (a burst is 2 x 64 packets). */
const BLOCKS = 256;
const BLOCK_BITS = 32;
export const WINDOW = (BLOCKS - 1) * BLOCK_BITS;

export class ReplayWindow {
  private readonly bits = new Uint32Array(BLOCKS);
  private highest: number;

  /** Only counters above `after` are new. */
  constructor(after: number) {
    this.highest = after;
    // Everything at or below it counts as seen: blocks that come into use later are cleared then.
    this.bits.fill(0xffffffff);
    const block = Math.floor(after / BLOCK_BITS) % BLOCKS;
    // The rest of the block that `after` stands in is not.
    const used = (after % BLOCK_BITS) + 1;
    this.bits[block] = used === BLOCK_BITS ? 0xffffffff : (2 ** used - 1) >>> 0;
  }

  /** True when the counter was seen, or is too old to tell. */
  seen(counter: number): boolean {
    if (counter > this.highest) return false;
    if (this.highest - counter >= WINDOW) return true;
    const word = this.bits[Math.floor(counter / BLOCK_BITS) % BLOCKS] ?? 0;
    return (word & (1 << (counter % BLOCK_BITS))) !== 0;
  }

  /** To be called only for a counter that was not seen, of a packet that is authentic. */
  mark(counter: number): void {
    const block = Math.floor(counter / BLOCK_BITS);
    if (counter > this.highest) {
      const current = Math.floor(this.highest / BLOCK_BITS);
      const fresh = Math.min(block - current, BLOCKS);
      for (let index = 1; index <= fresh; index += 1) this.bits[(current + index) % BLOCKS] = 0;
      this.highest = counter;
    }
    const at = block % BLOCKS;
    this.bits[at] = (this.bits[at] ?? 0) | (1 << (counter % BLOCK_BITS));
  }
}
