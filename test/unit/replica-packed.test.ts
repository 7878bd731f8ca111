/** A state made smaller on its way. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFLATE } from '../../agent/mount/deflate.ts';
import { PacedSender, PIECE_BYTES } from '../../agent/replica/paced.ts';
import { BLOCK_BYTES, BLOCKS_A_PIECE, packed, unpacked } from '../../agent/replica/packed.ts';
import { joined } from '../../agent/tree/bytes.ts';

const through = (chunks: readonly Uint8Array[]): Uint8Array | null =>
  unpacked(joined([...packed(chunks, DEFLATE)]), DEFLATE);

describe('a packed text', () => {
  test('comes out as it went in, however it was cut', () => {
    const chunk = fc.tuple(fc.nat(100_000), fc.nat(255), fc.uint8Array({ maxLength: 20 }));
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 6 }), (parts) => {
        const chunks = parts.flatMap(([size, value, odd]) => [new Uint8Array(size).fill(value), odd]);
        assert.deepEqual(through(chunks), joined(chunks));
      }),
      { numRuns: 60 },
    );
  });

  test('what is as long as a block, or one byte longer, and what does not shrink, comes out too', () => {
    for (const size of [BLOCK_BYTES, BLOCK_BYTES + 1]) {
      const noise = Uint8Array.from({ length: size }, (_, at) => (Math.imul(at + 1, 2654435761) >>> 13) & 255);
      assert.deepEqual(through([noise]), noise);
      assert.deepEqual(through([new Uint8Array(size)]), new Uint8Array(size));
    }
  });

  test('5 000 alike files of 1 KiB take less than a twentieth of the way', () => {
    const chunks = Array.from({ length: 5_000 }, (_, at) => Buffer.from(`file ${at}\n`.padEnd(1024, 'x')));
    assert.ok(joined([...packed(chunks, DEFLATE)]).length < (5_000 * 1024) / 20);
  });

  test('no more is asked for than is taken', () => {
    let made = 0;
    function* chunks(): Generator<Uint8Array> {
      for (; made < 100; made += 1) yield new Uint8Array(BLOCK_BYTES);
    }
    packed(chunks(), DEFLATE).next();
    assert.ok(made <= 1, `${made}`);
  });

  test('of what shrinks to nothing no more than 256 KiB is packed for one piece', () => {
    let made = 0;
    function* chunks(): Generator<Uint8Array> {
      for (; made < 100; made += 1) yield new Uint8Array(BLOCK_BYTES);
    }
    const sender = new PacedSender(packed(chunks(), DEFLATE), PIECE_BYTES, BLOCKS_A_PIECE);
    const before = made;
    sender.delivered();
    assert.ok(before <= BLOCKS_A_PIECE && made - before <= 6 * BLOCKS_A_PIECE, `${before}, ${made}`);
  });

  test('damage, a text cut off, and a block that unpacks to more than a block are refused, and never throw', () => {
    const text = joined([Buffer.from('abc'.repeat(1000)), new Uint8Array(BLOCK_BYTES)]);
    const whole = joined([...packed([text], DEFLATE)]);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        unpacked(bytes, DEFLATE);
        const start = unpacked(whole.subarray(0, at), DEFLATE);
        // Between two blocks nothing is missing that could be seen here; the digest of the state shows it.
        if (start !== null)
          assert.ok(start.length < text.length && Buffer.compare(start, text.subarray(0, start.length)) === 0);
      }),
    );
    const bomb = DEFLATE.pack(new Uint8Array(BLOCK_BYTES + 1));
    const framed = new Uint8Array(4 + bomb.length);
    new DataView(framed.buffer).setUint32(0, bomb.length);
    framed.set(bomb, 4);
    assert.equal(unpacked(framed, DEFLATE), null);
  });
});
