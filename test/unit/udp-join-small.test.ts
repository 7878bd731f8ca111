import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { joinSmall } from '../../agent/engine/totem/udp/join-small.ts';

const packet = fc
  .integer({ min: 1, max: 1500 })
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));

describe('small packets for one node', () => {
  test('go together: a message and the token behind it are one datagram', () => {
    const [message, token] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    assert.deepEqual(
      joinSmall([message, token]).map((each) => [...each]),
      [[1, 2, 3]],
    );
  });
  test('keep their bytes and their order, and what is joined fits any network', () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 12 }), (packets) => {
        const joined = joinSmall(packets);
        assert.deepEqual(Buffer.concat(joined), Buffer.concat(packets));
        for (const each of joined) assert.ok(each.length <= 1200 || packets.some((one) => one === each));
      }),
    );
  });
  test('that are large leave as they are, so that the kernel can cut a run of equal ones', () => {
    const large = [1, 2, 3].map((value) => new Uint8Array(1400).fill(value));
    assert.deepEqual(joinSmall(large), large);
  });
});
