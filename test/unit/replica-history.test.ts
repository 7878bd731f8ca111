import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { History } from '../../agent/replica/history.ts';
import { nodeId } from '../../agent/totem/ids.ts';

interface Applied {
  readonly node: number;
  readonly session: number;
  readonly counter: number;
}

const historyOf = (all: readonly Applied[]): History => {
  const history = new History();
  all.forEach(({ node, session, counter }, at) => history.applied(at + 1, nodeId(node), session, counter));
  return history;
};
const applied: fc.Arbitrary<Applied> = fc.record({
  node: fc.integer({ min: 1, max: 3 }),
  session: fc.constantFrom(1, 2, 1_790_000_000_000),
  counter: fc.nat(4),
});
const some = fc.array(applied, { maxLength: 6 });

describe('a history of one epoch', () => {
  test('is confirmed at an index exactly by one with the same operations up to there', () => {
    fc.assert(
      fc.property(some, some, fc.nat(6), (ours, theirs, index) => {
        fc.pre(index <= theirs.length);
        const same = JSON.stringify(ours.slice(0, index)) === JSON.stringify(theirs.slice(0, index));
        assert.equal(historyOf(ours).confirms(index, historyOf(theirs).at(index)), same);
      }),
    );
  });

  test('is common up to what was confirmed, and what is common needs no comparison', () => {
    const operations = [1, 2, 3].map((counter) => ({ node: 1, session: 9, counter }));
    const [ours, theirs] = [historyOf(operations), historyOf(operations)];
    assert.equal(ours.common, 0);
    assert.ok(ours.confirms(2, theirs.at(2)));
    assert.equal(ours.common, 2);
    assert.ok(ours.confirms(1, 12_345));
    assert.ok(!ours.confirms(3, 12_345));
    assert.equal(ours.common, 2);
  });

  test('where a message is missing, what comes after it is confirmed by nobody who has it', () => {
    const operations = [1, 2, 3, 4].map((counter) => ({ node: 1, session: 9, counter }));
    const whole = historyOf(operations);
    const pastGap = historyOf(operations.filter(({ counter }) => counter !== 2));
    assert.ok(pastGap.confirms(1, whole.at(1)));
    for (const index of [2, 3, 4]) assert.ok(!pastGap.confirms(index, whole.at(index)));
  });

  test('keeps the marks that it has not told the others', () => {
    const history = historyOf([1, 2].map((counter) => ({ node: 1, session: 9, counter })));
    const [first, second] = [history.at(1), history.at(2)];
    assert.ok(history.confirms(2, second));
    assert.deepEqual([history.at(1), history.at(2)], [first, second]);
    history.applied(3, nodeId(1), 9, 3);
    history.acknowledged(1);
    assert.equal(history.at(2), second);
  });

  test('marks go through a message: they are safe integers, and not negative', () => {
    fc.assert(
      fc.property(some, (all) => {
        const mark = historyOf(all).at(all.length);
        assert.ok(Number.isSafeInteger(mark) && mark >= 0);
      }),
    );
  });
});
