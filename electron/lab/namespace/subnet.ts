/** Which network a lab takes for itself: a 10.x.y.0/24 that nothing on this machine uses. Pure. */

interface Block {
  readonly from: number;
  readonly bits: number;
}

/** Wider routes (a VPN that claims all of 10/8) are given way to only while there is something else. */
const WIDE_BITS = 16;

/**
 * The first three numbers of a free /24, for instance `10.77.3`. `used` are networks in CIDR notation,
 * or single addresses. Where to begin looking follows from the lab's id, so that a lab that comes back
 * gets the same one again and two labs that start together hardly meet. Null when none is free.
 */
export function chooseSubnet(id: string, used: readonly string[]): string | null {
  const blocks = used.flatMap((text) => parseBlock(text) ?? []);
  const first = Number.parseInt(id, 16) % 65536;
  for (const relevant of [blocks, blocks.filter(({ bits }) => bits >= WIDE_BITS)]) {
    for (let step = 0; step < 65536; step++) {
      const number = (first + step) % 65536;
      const candidate = { from: 10 * 2 ** 24 + number * 256, bits: 24 };
      if (!relevant.some((block) => overlap(block, candidate))) return `10.${number >> 8}.${number & 255}`;
    }
  }
  return null;
}

function parseBlock(text: string): Block | null {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(text);
  if (match === null) return null;
  const [a = 0, b = 0, c = 0, d = 0] = match.slice(1, 5).map(Number);
  const bits = match[5] === undefined ? 32 : Number(match[5]);
  // 0.0.0.0/0 is the default route: it says nothing about what is in use.
  return bits === 0 ? null : { from: ((a * 256 + b) * 256 + c) * 256 + d, bits };
}

function overlap(one: Block, other: Block): boolean {
  const size = 2 ** (32 - Math.min(one.bits, other.bits));
  return Math.floor(one.from / size) === Math.floor(other.from / size);
}
