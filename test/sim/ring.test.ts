/** The ring under faults: every seed is one run, and every invariant holds in each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Simulation, type Faults } from './simulator.ts';

const storm: Faults = { loss: 0.05, duplication: 0.02, corruption: 0.01, delay: 8, incidents: 900 };

for (const { nodes, seeds } of [
  { nodes: 2, seeds: 300 },
  { nodes: 3, seeds: 200 },
  { nodes: 5, seeds: 100 },
  { nodes: 9, seeds: 20 },
]) {
  test(`${nodes} nodes, ${seeds} seeds: order, virtual synchrony, delivery, views and healing hold`, () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const breaches = new Simulation({ seed, nodes, storm: 15_000, faults: storm }).breaches();
      assert.deepEqual(breaches, [], `again: npm run sim -- --nodes ${nodes} --seed ${seed}`);
    }
  });
}

test('sixteen nodes hold the invariants too', () => {
  const breaches = new Simulation({ seed: 7, nodes: 16, storm: 8_000, faults: { ...storm, loss: 0.01 } }).breaches();
  assert.deepEqual(breaches, []);
});
