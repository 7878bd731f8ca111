/**
 * A million bad datagrams against a node: nothing is taken, nothing throws, nothing changes, and one costs less than a
 * good one.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { clusterTag } from '../../agent/totem/packet.ts';
import { splitDatagrams } from '../../agent/totem/security/envelope.ts';
import type { Security } from '../../agent/totem/security/security.ts';
import { Dice, noise, slice } from './totem-security-dice.ts';
import { introduce, KEY, keyOf, life, ONE, said, STRANGER, THREE, TWO } from './totem-security-nodes.ts';

const MILLION = 1_000_000;
/** Bytes of payload in a full datagram. */
const FULL = 1350;

/** All that a node knows, but for its statistics and scratch space. */
const knows = (node: Security): string =>
  inspect(Object.fromEntries(Object.entries(node).filter(([name]) => name !== 'counts' && name !== 'subject')), {
    depth: 12,
    maxArrayLength: null,
    maxStringLength: null,
  });

const payload = (length: number, at: number): Uint8Array => new Uint8Array(length).fill(at);

interface Cost {
  readonly name: string;
  readonly count: number;
  readonly us: number;
}

describe('a million bad datagrams', () => {
  test('are refused, change nothing, and cost little', (context) => {
    const dice = new Dice(1);
    const hearer = life(ONE);
    const earlier = [TWO, THREE].map((node) => life(node));
    for (const speaker of earlier) introduce(speaker, hearer, 0);
    const oldLives = earlier.flatMap((speaker) => Array.from({ length: 50 }, (_, at) => speaker.seal(payload(at, at))));
    const [two, three] = [life(TWO), life(THREE)];
    introduce(two, hearer, 1000);
    introduce(three, hearer, 1000);

    const replayed = [two, three].flatMap((speaker) =>
      Array.from({ length: 400 }, (_, at) => speaker.seal(payload(at % 2 === 0 ? FULL : at, at))),
    );
    for (const datagram of replayed) assert.equal(hearer.open(datagram, 2000).kind, 'payload');
    // Sent, and not yet arrived: what is made of these is not taken, and in the end they are.
    const pending = [two, three].flatMap((speaker) =>
      Array.from({ length: 100 }, (_, at) => speaker.seal(payload(at % 2 === 0 ? FULL : at, at))),
    );
    const foreign = [
      life(TWO, [keyOf('x')]).seal(payload(FULL, 1)),
      life(TWO, []).seal(payload(FULL, 2)),
      life(TWO, [KEY], clusterTag('other')).seal(payload(FULL, 3)),
      life(STRANGER).seal(payload(FULL, 4)),
      life(ONE).seal(payload(FULL, 5)),
    ];
    const forgedSession = Uint8Array.from(pending[0] ?? noise);

    const costs: Cost[] = [];
    const storm = (name: string, count: number, make: () => Uint8Array, unmake: () => void = () => undefined): void => {
      const before = knows(hearer);
      // What the dice cost is not the node's: the same datagrams are made first without being opened.
      const state = dice.next(0x7fffffff) + 1;
      const run = (open: boolean): number => {
        Object.assign(dice, { state });
        const start = process.hrtime.bigint();
        for (let done = 0; done < count; done += 1) {
          const datagram = make();
          if (open) {
            const opened = hearer.open(datagram, 3000);
            if (opened.kind !== 'refused') assert.fail(`${name} ${done}: ${said(opened)}`);
          }
          unmake();
        }
        return Number(process.hrtime.bigint() - start);
      };
      const making = run(false);
      costs.push({ name, count, us: Math.max(0, run(true) - making) / count / 1000 });
      assert.equal(knows(hearer), before, `${name} changed what the node knows`);
    };

    storm('noise', 200_000, () => slice(dice, dice.next(1500)));
    storm('noise behind a genuine head', 150_000, () => {
      const genuine = dice.pick(pending);
      const head = 1 + dice.next(40);
      const forged = genuine.slice();
      forged.set(slice(dice, Math.max(0, forged.length - head)), Math.min(head, forged.length));
      return forged;
    });
    storm('cut short', 150_000, () => {
      const genuine = dice.pick(pending);
      return genuine.subarray(0, dice.next(genuine.length));
    });
    storm('cut short, and its length put right', 50_000, () => {
      const genuine = dice.pick(pending);
      const part = genuine.slice(0, 14 + dice.next(genuine.length - 14));
      [part[4], part[5]] = [part.length >> 8, part.length & 255];
      return part;
    });
    let touched: Uint8Array = noise;
    let bit = 0;
    const flip = (): void => void (touched[bit >> 3] = (touched[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
    const flipped = (bits: (datagram: Uint8Array) => number) => (): Uint8Array => {
      touched = dice.pick(pending);
      bit = dice.next(bits(touched));
      flip();
      return touched;
    };
    storm(
      'one bit of the head',
      100_000,
      flipped(() => 36 * 8),
      flip,
    );
    storm(
      'one bit anywhere',
      100_000,
      flipped((datagram) => datagram.length * 8),
      flip,
    );
    storm('replayed', 150_000, () => dice.pick(replayed));
    storm('another key, cluster or node', 75_000, () => dice.pick(foreign));
    storm('a session out of thin air', 25_000, () => {
      for (let at = 18; at < 36; at += 1) forgedSession[at] = dice.next(256);
      return forgedSession;
    });
    const total = costs.reduce((sum, { count }) => sum + count, 0);
    assert.equal(total, MILLION);

    // Recordings of earlier lives are the one thing that is answered, some times a second, by a challenge.
    let challenges = 0;
    for (let done = 0; done < 100_000; done += 1) {
      const opened = hearer.open(dice.pick(oldLives), 3000 + done / 100);
      if (opened.kind === 'send') challenges += 1;
      else assert.equal(opened.kind, 'refused');
    }
    assert.ok(challenges <= 2 * 20 + 2, `${challenges} challenges to two nodes in a second`);

    for (const datagram of pending) assert.equal(hearer.open(datagram, 5000).kind, 'payload', 'what was under way');
    for (const datagram of pending) assert.equal(hearer.open(datagram, 5000).kind, 'refused');
    const genuine = costOfGenuine();
    for (const { name, count, us } of costs) context.diagnostic(`${name} (${count}): ${us.toFixed(2)} us each`);
    const mean = costs.reduce((sum, { count, us }) => sum + us * count, 0) / total;
    context.diagnostic(
      `a bad one ${mean.toFixed(2)} us in the mean; a genuine one of ${FULL} B ${genuine.toFixed(2)} us`,
    );
    assert.ok(mean < genuine, 'a bad datagram costs less than a genuine one');
    const dearest = Math.max(...costs.map(({ us }) => us));
    assert.ok(dearest < 4 * genuine, `the dearest kind costs ${dearest.toFixed(2)} us`);
  });

  test('are cut apart without an exception and without a lost byte', () => {
    const dice = new Dice(2);
    const genuine = [life(TWO).seal(payload(20, 1)), life(TWO, []).seal(payload(3, 2))];
    for (let done = 0; done < MILLION / 10; done += 1) {
      const glued = Buffer.concat([dice.pick(genuine), dice.pick(genuine), slice(dice, dice.next(30))]);
      glued[dice.next(glued.length)] = dice.next(256);
      let length = 0;
      for (const piece of splitDatagrams(glued)) length += piece.length;
      if (length !== glued.length) assert.fail(`${length} of ${glued.length} bytes came out`);
    }
  });
});

/** Microseconds to open a full genuine datagram. */
function costOfGenuine(): number {
  const [speaker, hearer] = [life(TWO), life(ONE)];
  introduce(speaker, hearer, 0);
  const run = (count: number): number => {
    const datagrams = Array.from({ length: count }, (_, at) => speaker.seal(payload(FULL, at)));
    const start = process.hrtime.bigint();
    for (const datagram of datagrams) hearer.open(datagram, 0);
    return Number(process.hrtime.bigint() - start) / count / 1000;
  };
  run(2000);
  return run(20_000);
}
