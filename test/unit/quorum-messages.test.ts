import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeQuorumMessage, encodeQuorumMessage, type QuorumMessage } from '../../agent/quorum/messages.ts';
import { nodeId } from '../../agent/totem/ids.ts';

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const node = fc.integer({ min: 1, max: 0xffffffff }).map(nodeId);
const ring = record({ representative: node, sequence: fc.maxSafeNat() });
const nodes = fc.array(node, { maxLength: 40 });
const electorate = record({ ring, members: nodes, expected: u32 });
const message: fc.Arbitrary<QuorumMessage> = fc.oneof(
  record({
    kind: fc.constant('word' as const),
    word: record({
      ring,
      base: fc.option(electorate),
      pending: fc.array(electorate, { maxLength: 5 }),
      incomplete: fc.boolean(),
      forced: fc.option(u32),
      expected: u32,
    }),
  }),
  record({ kind: fc.constant('expected' as const), votes: u32, by: node }),
  record({ kind: fc.constant('cancelWait' as const), by: node }),
);

describe('messages about votes', () => {
  test('come out as they went in', () => {
    fc.assert(
      fc.property(message, (given) => {
        assert.deepEqual(decodeQuorumMessage(encodeQuorumMessage(given)), { ok: true, value: given });
      }),
    );
  });

  test('cut short or with something after them they are refused', () => {
    fc.assert(
      fc.property(message, fc.nat(), (given, where) => {
        const bytes = encodeQuorumMessage(given);
        assert.equal(decodeQuorumMessage(bytes.subarray(0, where % bytes.length)).ok, false);
        assert.equal(decodeQuorumMessage(Uint8Array.of(...bytes, 0)).ok, false);
      }),
    );
  });

  test('any other bytes are refused or are a message, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const decoded = decodeQuorumMessage(bytes);
        if (decoded.ok) assert.deepEqual(encodeQuorumMessage(decoded.value), bytes);
      }),
      { numRuns: 5000 },
    );
  });
});
