/** The ring's packets: what is encoded is decoded, and garbage is refused without an exception. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nodeId } from '../../agent/totem/ids.ts';
import { clusterTag, decode, encode, type Packet } from '../../agent/totem/packet.ts';
import { Inbox, Outbox } from '../../agent/totem/packing.ts';

const node = fc.integer({ min: 1, max: 0xffffffff }).map(nodeId);
const number48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const ring = fc.record({ representative: node, sequence: number48 });
const nodes = fc.uniqueArray(node, { maxLength: 20 });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });

const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({
    ...{ kind: fc.constant('message' as const), sender: node, ring, seq: number48 },
    ...{ encapsulated: fc.boolean(), safe: fc.boolean(), body: fc.uint8Array({ maxLength: 1400 }) },
  }),
  fc.record({
    ...{ kind: fc.constant('token' as const), sender: node, ring, hop: number48, seq: number48, aru: number48 },
    ...{ aruSetter: u32, flow: u16, backlog: u32, quiet: u16 },
    missing: fc.array(number48, { maxLength: 60 }),
  }),
  fc.record({
    ...{
      kind: fc.constant('join' as const),
      sender: node,
      leaving: fc.boolean(),
      sequence: number48,
      version: number48,
    },
    ...{ proc: nodes, fail: nodes },
  }),
  fc.record({
    ...{ kind: fc.constant('commit' as const), sender: node, ring },
    entries: fc.array(
      fc.record({
        node,
        old: fc.option(fc.record({ ring, aru: number48, high: number48, stable: number48, left: nodes }), {
          nil: null,
        }),
      }),
      { maxLength: 20 },
    ),
  }),
  fc.record({ kind: fc.constant('merge' as const), sender: node, ring, version: number48 }),
  fc.record({ kind: fc.constant('wake' as const), sender: node, ring }),
);

const tag = clusterTag('prod');

describe('packets', () => {
  test('every packet comes back as it was', () => {
    fc.assert(
      fc.property(packet, (sent) => {
        const received = decode(encode(sent, tag), tag);
        assert.deepEqual(structuredClone(received), structuredClone(sent));
      }),
    );
  });

  test('a packet of another cluster is nobody’s', () => {
    fc.assert(fc.property(packet, (sent) => assert.equal(decode(encode(sent, tag), clusterTag('other')), null)));
  });

  test('a packet cut short is refused, but for a message, whose body has no length', () => {
    fc.assert(
      fc.property(packet, fc.nat(), (sent, cut) => {
        const bytes = encode(sent, tag);
        const part = bytes.subarray(0, cut % bytes.length);
        const received = decode(part, tag);
        assert.ok(received === null || received.kind === 'message');
      }),
    );
  });

  test('no bytes make it throw, with our header or without', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(5), (noise, kind) => {
        decode(noise, tag);
        const header = encode(
          { kind: 'wake', sender: nodeId(1), ring: { representative: nodeId(1), sequence: 4 } },
          tag,
        );
        const forged = new Uint8Array([...header.subarray(0, 12), ...noise]);
        forged[3] = kind;
        decode(forged, tag);
      }),
    );
  });
});

describe('packing', () => {
  test('payloads of any size come out of the bodies whole and in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 12 }),
        fc.integer({ min: 80, max: 1400 }),
        (payloads, room) => {
          const outbox = new Outbox();
          for (const payload of payloads) outbox.push(payload, false);
          const inbox = new Inbox();
          const whole: Uint8Array[] = [];
          for (let body = outbox.fill(room); body !== null; body = outbox.fill(room)) {
            assert.ok(body.buffer.length <= room);
            whole.push(...inbox.open(nodeId(1), body.buffer));
          }
          assert.deepEqual(
            whole.map((bytes) => [...bytes]),
            payloads.map((bytes) => [...bytes]),
          );
        },
      ),
    );
  });

  test('what was not delivered when the ring changed is taken back in order', () => {
    const outbox = new Outbox();
    const payloads = [1, 2, 3].map((byte) => new Uint8Array(60).fill(byte));
    for (const payload of payloads) outbox.push(payload, false);
    outbox.fill(80);
    outbox.ownDelivered();
    assert.deepEqual(
      outbox.takeBack(),
      payloads.slice(1).map((payload) => ({ payload, safe: false })),
    );
    assert.equal(outbox.size, 0);
  });
});
