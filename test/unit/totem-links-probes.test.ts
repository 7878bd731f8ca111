/** The links' own payloads: what is encoded is decoded, and garbage is refused without an exception. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nodeId } from '../../agent/totem/ids.ts';
import { decodeProbe, encodeProbe, isProbe, SMALLEST_ASK, type Probe } from '../../agent/totem/links/probe.ts';
import { LinkNetwork } from './totem-links-network.ts';

const id = fc.integer({ min: 0, max: 0xffffffff });
const sentAt = fc.double({ min: 0, max: 1e12, noNaN: true });
const probe: fc.Arbitrary<Probe> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('ask' as const, 'cast' as const),
    id,
    sentAt,
    bytes: fc.integer({ min: SMALLEST_ASK, max: 9_000 }),
  }),
  fc.record({ kind: fc.constantFrom('answer' as const, 'cast-answer' as const), id, sentAt, bytes: id }),
);

describe('probes', () => {
  test('every probe comes back as it was', () => {
    fc.assert(
      fc.property(probe, (sent) => {
        const bytes = encodeProbe(sent);
        assert.equal(isProbe(bytes), true);
        assert.deepEqual(decodeProbe(bytes), { ...sent });
      }),
    );
  });

  test('an answer is small, whatever it answers', () => {
    assert.equal(encodeProbe({ kind: 'answer', id: 1, sentAt: 2, bytes: 65_507 }).length, 17);
  });

  test('garbage is no probe, or one that nobody asked for, and never an exception', () => {
    const network = new LinkNetwork();
    network.start(1);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.integer({ min: 0, max: 9 }), (bytes, link) => {
        decodeProbe(bytes);
        const effects = network.of(1).receive(link, nodeId(2), bytes, 1);
        assert.ok(effects.every((effect) => effect.kind === 'send'));
        assert.equal(network.state(1, 0, 2), 'untested');
      }),
      { numRuns: 5_000 },
    );
  });

  test('a probe cut short is none, or a smaller ask', () => {
    fc.assert(
      fc.property(probe, fc.nat(), (sent, cut) => {
        const bytes = encodeProbe(sent);
        const part = decodeProbe(bytes.subarray(0, cut % bytes.length));
        assert.ok(part === null || (part.kind === sent.kind && part.bytes < sent.bytes));
      }),
    );
  });

  test('a payload of the ring is not the links’', () => {
    assert.equal(isProbe(Uint8Array.of(0, 1, 2)), false);
    assert.equal(isProbe(new Uint8Array()), false);
  });
});
