/** Random numbers for fuzzing, fast enough for millions. */

/** xorshift32 (Marsaglia 2003): the same million in every run. */
export class Dice {
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  /** 0 to below - 1. */
  next(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % below;
  }
  pick<T>(from: readonly T[]): T {
    const one = from[this.next(from.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }
  noise(bytes: Uint8Array, from: number): Uint8Array {
    for (let at = from; at < bytes.length; at += 1) bytes[at] = this.next(256);
    return bytes;
  }
}

export const noise = new Uint8Array(65_536);
new Dice(7).noise(noise, 0);
/** Some of the noise. */
export const slice = (dice: Dice, length: number): Uint8Array => {
  const from = dice.next(noise.length - length);
  return noise.subarray(from, from + length);
};
