/** First in, first out, however many wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fifo } from '../../agent/totem/fifo.ts';

test('a queue gives back what an array would, through thousands of comings and goings', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -900, max: 1000 }), { maxLength: 30 }), (steps) => {
      const [queue, model] = [new Fifo<number>(), [] as number[]];
      let next = 0;
      for (const step of steps) {
        for (let count = 0; count < step; count += 1) {
          queue.push(next);
          model.push(next);
          next += 1;
        }
        for (let count = 0; count < -step; count += 1) assert.equal(queue.shift(), model.shift());
        assert.equal(queue.peek(), model[0]);
        assert.equal(queue.length, model.length);
      }
      assert.deepEqual(queue.take(), model);
      assert.equal(queue.length, 0);
    }),
  );
});
