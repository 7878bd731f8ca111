/** A million datagrams for the ring's decoder, which runs on what is not sealed, too. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { nodeId } from '../../agent/totem/ids.ts';
import { decode, encode, type Packet } from '../../agent/totem/packet.ts';
import { Dice, slice } from './totem-security-dice.ts';
import { ONE, TAG, THREE, TWO } from './totem-security-nodes.ts';

const MILLION = 1_000_000;

describe('a million datagrams for the ring’s decoder', () => {
  const ring = { representative: nodeId(1), sequence: 8 };
  const nodes = [ONE, TWO, THREE];
  const genuine: Packet[] = [
    { kind: 'message', sender: TWO, ring, seq: 7, encapsulated: false, safe: true, body: new Uint8Array(60).fill(1) },
    {
      ...{ kind: 'token', sender: TWO, ring, hop: 9, seq: 70, aru: 60, aruSetter: 3, flow: 4, backlog: 2, quiet: 0 },
      missing: [61, 62, 65],
    },
    { kind: 'join', sender: TWO, leaving: false, sequence: 12, proc: nodes, version: 3, fail: [THREE] },
    {
      ...{ kind: 'commit', sender: TWO, ring },
      entries: nodes.map((node) => ({
        node,
        old: node === TWO ? null : { ring, aru: 5, high: 9, stable: 4, left: [ONE] },
      })),
    },
    { kind: 'merge', sender: TWO, ring, version: 3 },
    { kind: 'wake', sender: TWO, ring },
  ];

  test('do not make it throw, and what it takes has no second meaning', (context) => {
    const dice = new Dice(3);
    const originals = genuine.map((packet) => encode(packet, TAG));
    let taken = 0;
    const start = process.hrtime.bigint();
    for (let done = 0; done < MILLION; done += 1) {
      let bytes: Uint8Array;
      const way = dice.next(4);
      if (way === 0) bytes = slice(dice, dice.next(200));
      else {
        bytes = dice.pick(originals).slice();
        if (way === 1) bytes = bytes.subarray(0, dice.next(bytes.length));
        else if (way === 2) bytes.set(slice(dice, bytes.length - 12), 12);
        else for (let times = 1 + dice.next(3); times > 0; times -= 1) bytes[dice.next(bytes.length)] = dice.next(256);
      }
      const packet = decode(bytes, TAG);
      if (packet === null) continue;
      taken += 1;
      const again = encode(packet, TAG);
      if (Buffer.compare(again, bytes) !== 0)
        assert.fail(`taken for ${inspect(packet)}: ${Buffer.from(bytes).toString('hex')}`);
    }
    const us = Number(process.hrtime.bigint() - start) / MILLION / 1000;
    context.diagnostic(`${taken} of a million were whole packets; ${us.toFixed(2)} us each, made and decoded`);
    assert.ok(taken > 1000, 'the mutations reach past the head');
  });
});
