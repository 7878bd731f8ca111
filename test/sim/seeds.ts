/** Many seeds, as a test: none may break an invariant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planOf } from './plan.ts';
import { weather } from './storm.ts';

export function seedsHold(nodes: number, seeds: number): void {
  test(`${nodes} nodes, ${seeds} seeds: no invariant is broken`, () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const breach = weather(planOf(seed, nodes));
      assert.equal(breach, null, `again: npm run sim -- --nodes ${nodes} --seed ${seed}`);
    }
  });
}
