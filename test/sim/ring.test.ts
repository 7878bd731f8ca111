/** The ring under faults: every seed is one run, and every invariant holds in each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planOf } from './plan.ts';
import { weather } from './storm.ts';

for (const { nodes, seeds } of [
  { nodes: 2, seeds: 600 },
  { nodes: 3, seeds: 600 },
  { nodes: 4, seeds: 300 },
]) {
  test(`${nodes} nodes, ${seeds} seeds: no invariant is broken`, () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const breach = weather(planOf(seed, nodes));
      assert.equal(breach, null, `again: npm run sim -- --nodes ${nodes} --seed ${seed}`);
    }
  });
}
