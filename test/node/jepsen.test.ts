/**
 * Truth under fault: five nodes, three minutes of kills, pauses, power cuts, partitions, one-way cuts, jumping clocks
 * and a full disk under concurrent clients, and what they saw is checked (test/jepsen/README.md). Another seed each
 * time; it is printed, and `npm run jepsen -- --seed` takes it. The longest file of all: about four and a half minutes.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ALTERATIONS } from '../jepsen/alterations.ts';
import { campaign, type Campaign } from '../jepsen/campaign.ts';
import { CHECKERS, tooFew } from '../jepsen/judge.ts';
import { NETWORK_FAULTS, NODE_FAULTS } from '../jepsen/plan.ts';
import { report } from '../jepsen/report.ts';
import { whyNoLab } from './lab-nodes.ts';

const MINUTES = 3;
/** The supervisor starts what dies often ever more slowly: up to 15 s. */
const HEALED_MS = 60_000;

describe('three minutes of faults', { skip: whyNoLab }, () => {
  let run: Campaign;

  before(async () => {
    const seed = Date.now() % 1_000_000;
    const file = 'artefacts/jepsen.jsonl';
    const options = { minutes: MINUTES, seed, nodes: 5, engine: 'totem', processes: 3, file } as const;
    run = await campaign({ ...options, say: (line) => console.log(line) });
    console.log(report(run, MINUTES).lines.join('\n'));
    console.log(`npm run jepsen -- --seed ${seed}; the history is in ${file}`);
  });

  for (const [name, check] of Object.entries(CHECKERS)) test(name, () => assert.deepEqual(check(run.history), []));

  test('enough was done to show something', () => assert.deepEqual(tooFew(run.history, MINUTES), []));

  test('every kind of fault came', () => {
    const came = new Set(run.history.faults.map(({ fault }) => fault));
    const missing = [...NODE_FAULTS, ...NETWORK_FAULTS].filter((kind) => !came.has(kind));
    assert.deepEqual(missing, []);
    assert.ok(came.has('disk-full'));
  });

  test('when everything is healed all nodes are one again by themselves', () => {
    assert.equal(run.history.finals.length, 5);
    assert.ok(run.healedMs < HEALED_MS, `it took ${(run.healedMs / 1000).toFixed(1)} s`);
  });

  // The same checkers on the same history, with one thing in it that must not be.
  for (const { name, caughtBy, alter } of ALTERATIONS) {
    test(`it would have been noticed: ${name}`, () => {
      const altered = alter(run.history);
      assert.notEqual(altered, null, 'the history has no place for it');
      if (altered !== null) assert.notDeepEqual(CHECKERS[caughtBy](altered), []);
    });
  }
});
