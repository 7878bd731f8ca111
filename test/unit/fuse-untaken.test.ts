/** When a serving thread that nobody uses is woken to take what it was told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MOST_UNTAKEN, MOST_UNTAKEN_BYTES, Untaken } from '../../agent/mount/fuse/untaken.ts';

/** Tells messages of so many bytes; gives the places in the row after which the thread is woken. */
function woken(untaken: Untaken, sizes: readonly number[]): number[] {
  return sizes.flatMap((bytes, index) => (untaken.telling(bytes) ? [index + 1] : []));
}
const MIB = 1024 * 1024;
const rowOf = (length: number, bytes: number): number[] => Array.from({ length }, () => bytes);

describe('a serving thread that takes nothing', () => {
  test('is woken for every 256 messages', () => {
    assert.deepEqual(woken(new Untaken(() => 0), rowOf(3 * MOST_UNTAKEN - 1, 0)), [MOST_UNTAKEN, 2 * MOST_UNTAKEN]);
  });

  test('is woken for every 4 MiB of file data, and once for each such amount', () => {
    assert.equal(MOST_UNTAKEN_BYTES, 4 * MIB);
    assert.deepEqual(woken(new Untaken(() => 0), rowOf(11, MIB)), [4, 8]);
  });

  test('is woken once for a message that is larger than that by itself', () => {
    assert.deepEqual(woken(new Untaken(() => 0), [13 * MIB, 0, 2 * MIB, MIB]), [1, 4]);
  });
});

describe('a serving thread that has taken all', () => {
  test('has no bytes left that would count', () => {
    let taken = 0;
    const untaken = new Untaken(() => taken);
    assert.deepEqual(woken(untaken, rowOf(3, MIB)), []);
    taken = 3;
    assert.deepEqual(woken(untaken, rowOf(4, MIB)), [4]);
  });

  test('is not woken by what it takes as soon as it is told', () => {
    let taken = 0;
    const untaken = new Untaken(() => taken);
    for (let times = 0; times < 2 * MOST_UNTAKEN; times += 1) {
      assert.equal(untaken.telling(MIB), false);
      taken += 1;
    }
  });
});
