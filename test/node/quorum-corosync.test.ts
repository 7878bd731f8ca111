/**
 * The bundled engine's votes beside those of real Corosync 3.1.7, through the same histories: on every node that
 * runs, after every step, quorate, expected, highest expected and total votes, quorum and flags are the same, but
 * for differences that are wanted and written down with their reason.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HISTORIES } from './quorum-corosync-histories.ts';
import { Twins, type History } from './quorum-corosync-history.ts';
import { missing } from './quorum-corosync-lab.ts';

const skip = missing();

/** A window that goes by takes longer than any other step. */
const windows = ({ steps }: History): number => steps.filter(({ then }) => 'window' in then).length;
// The longest begin first, so that none is left to run alone at the end.
const longFirst = HISTORIES.toSorted((a, b) => windows(b) - windows(a) || b.steps.length - a.steps.length);

// Most of the time a ring waits for a token that does not come: several can wait at once.
describe('votes as Corosync counts them', { skip, concurrency: 4, timeout: 900_000 }, () => {
  for (const history of longFirst) {
    test(history.name, async (context) => {
      const twins = new Twins(history);
      try {
        for (const [index, step] of history.steps.entries()) {
          const at = `step ${index + 1}, ${JSON.stringify(step.then)}`;
          await twins.happen(step.then);
          for (const { node, corosync, awaited, ours } of await twins.compare(step)) {
            assert.deepEqual(corosync, awaited, `${at}: node ${node} of Corosync`);
            if (step.corosync?.[node] !== undefined)
              assert.notDeepEqual(ours, corosync, `${at}: node ${node} does not differ any more`);
          }
          if (step.why !== undefined) context.diagnostic(`${at} differs: ${step.why}`);
        }
      } finally {
        await twins.close();
      }
    });
  }
});
