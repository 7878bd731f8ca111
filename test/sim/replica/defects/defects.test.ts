/** The checkers bite: every deliberate defect is caught, by an invariant that it breaks, within some seeds. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { mutatedCopy, removeCopy } from '../../defects/mutant.ts';
import type * as StormModule from '../replica-storm.ts';
import { defects } from './defects.ts';

const MOST_SEEDS = 120;
const table: string[] = [];

for (const { name, nodes, caughtBy, ...change } of defects) {
  test(`${name}: caught`, async () => {
    const { directory, load } = mutatedCopy(change);
    const others = new Set<string>();
    try {
      const { replicaPlanOf, replicaWeather } = (await load('replica/replica-storm.ts')) as typeof StormModule;
      for (let seed = 1; seed <= MOST_SEEDS; seed += 1) {
        const { breach } = replicaWeather(replicaPlanOf(seed, nodes));
        // Another checker may see it first, with other seeds; this one must see it too.
        if (breach?.invariant !== caughtBy) {
          if (breach !== null) others.add(`${breach.invariant} (seed ${seed})`);
          continue;
        }
        table.push(`${name.padEnd(76)} ${breach.invariant.padEnd(20)} ${seed}`);
        return;
      }
      assert.fail(`not caught in ${MOST_SEEDS} seeds; others saw it: ${[...others].join(', ') || 'none'}`);
    } finally {
      removeCopy(directory);
    }
  });
}

after(() => console.log(['defect -> invariant -> seeds needed', ...table].join('\n')));
