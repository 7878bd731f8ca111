/** A join sends what differs, and holds up no writer for more than 100 ms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinUnderLoad } from './joining.ts';

/** Bytes of a millisecond. */
const [MBIT_100, GBIT] = [12_500, 125_000];

for (const [name, missing, bandwidth, most] of [
  ['a fresh node, 5 000 files, 100 Mbit/s', 5_000, MBIT_100, 3_000],
  ['a fresh node, 5 000 files, 1 Gbit/s', 5_000, GBIT, 1_000],
  ['a node that lacks 10 of 5 000 files, 100 Mbit/s', 10, MBIT_100, 400],
] as const)
  test(`${name}: in sync within ${most} ms, and nobody waits for 100 ms`, () => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const joined = joinUnderLoad({ seed, files: 5_000, missing, bandwidth });
      assert.equal(joined.breach, null);
      const words = JSON.stringify({ seed, ...joined });
      assert.ok(joined.written > 300, words);
      assert.ok(joined.took < most, words);
      assert.ok(joined.longestWait <= 100, words);
    }
  });
