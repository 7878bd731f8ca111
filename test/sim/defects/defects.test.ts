/** The checkers bite: every deliberate defect is caught, by an invariant that it breaks, within some hundred seeds. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { defects } from './defects.ts';
import { mutant } from './mutant.ts';

const MOST_SEEDS = 1000;
const table: string[] = [];

for (const { name, nodes, caughtBy, incidents, ...change } of defects) {
  test(`${name}: caught`, async () => {
    using mutated = await mutant(change);
    for (let seed = 1; seed <= MOST_SEEDS; seed += 1) {
      const plan = mutated.planOf(seed, nodes);
      const faults = { ...plan.faults, incidents: incidents ?? plan.faults.incidents };
      const breach = mutated.weather({ ...plan, faults });
      // Another checker may see it first, with other seeds; this one must see it too.
      if (breach?.invariant !== caughtBy) continue;
      table.push(`${name.padEnd(76)} ${breach.invariant.padEnd(20)} ${seed}`);
      return;
    }
    assert.fail(`not caught in ${MOST_SEEDS} seeds`);
  });
}

after(() => console.log(['defect -> invariant -> seeds needed', ...table].join('\n')));
