/** The replicas under faults, above the production ring: every seed is one run, and every invariant holds in each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replicaPlanOf, replicaWeather } from './replica-storm.ts';

for (const [nodes, seeds] of [
  [2, 40],
  [3, 50],
  [4, 12],
  [5, 10],
] as const)
  test(`${nodes} nodes, ${seeds} seeds: no invariant is broken`, () => {
    let acknowledged = 0;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const run = replicaWeather(replicaPlanOf(seed, nodes));
      assert.equal(run.breach, null, `again: npm run sim -- --replica --nodes ${nodes} --seed ${seed}`);
      acknowledged += run.acknowledged;
    }
    assert.ok(acknowledged > 50 * seeds, `only ${acknowledged} operations were acknowledged: the storm is too strong`);
  });
