/** The security of the ring: what is sealed is opened, once, by the cluster's nodes only. */
import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { clusterKey } from '../../agent/engine/totem/cipher.ts';
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';
import { clusterTag } from '../../agent/totem/packet.ts';
import { TAG_BYTES } from '../../agent/totem/security/cluster-key.ts';
import { PROOF_HEAD, SEALED_HEAD, splitDatagrams } from '../../agent/totem/security/envelope.ts';
import { RefusalReports } from '../../agent/totem/security/refusals.ts';
import { ReplayWindow, WINDOW } from '../../agent/totem/security/replay-window.ts';
import { introduce, KEY, keyOf, life, ONE, said, sent, STRANGER, text, THREE, TWO } from './totem-security-nodes.ts';

describe('a sealed payload', () => {
  test('comes out as it was, whatever its bytes', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    introduce(speaker, hearer, 0);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9000 }), (payload) => {
        const datagram = speaker.seal(payload);
        assert.equal(datagram.length, payload.length + speaker.overhead);
        const opened = hearer.open(datagram, 0);
        assert.ok(opened.kind === 'payload' && opened.sender === TWO);
        assert.deepEqual([...opened.payload], [...payload]);
      }),
    );
  });

  test('is taken once', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    introduce(speaker, hearer, 0);
    const datagram = speaker.seal(text('once'));
    assert.equal(said(hearer.open(datagram, 0)), 'payload once');
    assert.equal(said(hearer.open(datagram, 0)), 'refused replayed');
    assert.equal(hearer.stats().get('replayed'), 1);
  });

  test('is taken by every node', () => {
    const [speaker, one, three] = [life(TWO), life(ONE), life(THREE)];
    introduce(speaker, one, 0);
    introduce(speaker, three, 0);
    const datagram = speaker.seal(text('all'));
    assert.deepEqual([said(one.open(datagram, 0)), said(three.open(datagram, 0))], ['payload all', 'payload all']);
  });

  test('shows nothing of its words on the wire', () => {
    const datagram = life(TWO).seal(text('secret words'));
    assert.equal(Buffer.from(datagram).includes('secret'), false);
  });

  test('with any one bit changed, in head, payload or tag, is refused', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    introduce(speaker, hearer, 0);
    const datagram = speaker.seal(text('hello'));
    for (let bit = 0; bit < datagram.length * 8; bit += 1) {
      const changed = Uint8Array.from(datagram);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const opened = hearer.open(changed, 0);
      assert.equal(opened.kind, 'refused', `bit ${bit} of byte ${bit >> 3}: ${said(opened)}`);
    }
    assert.equal(said(hearer.open(datagram, 0)), 'payload hello', 'and the genuine one is still taken');
  });

  test('of a payload too long for UDP is not made', () => {
    assert.throws(() => life(TWO).seal(new Uint8Array(65_500)), RangeError);
  });
});

describe('packets that overtake one another', () => {
  test('are each taken once, in any order', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 200 }, (_, at) => at)), (order) => {
        const [speaker, hearer] = [life(TWO), life(ONE)];
        introduce(speaker, hearer, 0);
        const datagrams = Array.from({ length: 200 }, (_, at) => speaker.seal(text(String(at))));
        for (const at of [...order, ...order]) hearer.open(datagrams[at] ?? text(''), 0);
        assert.equal(hearer.stats().get('replayed') ?? 0, order.length);
      }),
      { numRuns: 20 },
    );
  });

  test('by thousands are taken, and by more than the window are not', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    introduce(speaker, hearer, 0);
    const late = [speaker.seal(text('too late')), speaker.seal(text('late'))];
    for (let count = 0; count < WINDOW - 1; count += 1) hearer.open(speaker.seal(text('')), 0);
    assert.deepEqual(
      late.map((datagram) => said(hearer.open(datagram, 0))),
      ['refused replayed', 'payload late'],
    );
  });

  test('the window says what a set of all counters would say, as far back as it reaches', () => {
    const step = fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer({ min: -WINDOW - 50, max: WINDOW + 50 }));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fc.array(step, { maxLength: 300 }), (start, steps) => {
        const window = new ReplayWindow(start);
        const taken = new Set<number>();
        let highest = start;
        for (const by of steps) {
          const counter = Math.max(0, highest + by);
          const old = counter <= highest - WINDOW;
          assert.equal(window.seen(counter), old || counter <= start || taken.has(counter));
          if (window.seen(counter)) continue;
          window.mark(counter);
          taken.add(counter);
          highest = Math.max(highest, counter);
        }
      }),
    );
  });
});

describe('a restart', () => {
  test('of the sender: its new life is believed after a proof, its old one no more', () => {
    const [before, hearer] = [life(TWO), life(ONE)];
    introduce(before, hearer, 0);
    const underWay = before.seal(text('old'));
    const after = life(TWO);
    introduce(after, hearer, 1000);
    assert.equal(said(hearer.open(after.seal(text('new')), 1000)), 'payload new');
    const challenge = sent(hearer.open(underWay, 2000));
    assert.equal(said(after.open(challenge, 2000)), 'refused not-asked', 'the new life does not vouch for the old one');
    assert.equal(said(hearer.open(after.seal(text('still')), 2000)), 'payload still');
  });

  test('two lives of one node that interleave: only the one that proves itself is heard', () => {
    const [before, hearer] = [life(TWO), life(ONE)];
    introduce(before, hearer, 0);
    const old = Array.from({ length: 50 }, (_, at) => before.seal(text(`old ${at}`)));
    const after = life(TWO);
    const heard: string[] = [];
    const back: Uint8Array[] = [];
    for (let at = 0; at < 50; at += 1) {
      for (const datagram of [old[at] ?? text(''), after.seal(text(`new ${at}`)), ...back.splice(0)]) {
        const opened = hearer.open(datagram, 1000 + at * 10);
        if (opened.kind === 'payload') heard.push(said(opened));
        // What the hearer asks reaches the machine on which only the new life runs.
        if (opened.kind !== 'send') continue;
        const answer = after.open(opened.datagram, 1000 + at * 10);
        if (answer.kind === 'send') back.push(answer.datagram);
      }
    }
    const from = heard.findIndex((words) => words.startsWith('payload new'));
    assert.ok(from >= 0 && from <= 2, 'the new life is heard within two packets');
    assert.ok(heard.slice(from).every((words) => words.startsWith('payload new')));
    assert.equal(heard.filter((words) => words.startsWith('payload new')).length, 50 - from);
  });

  test('of the receiver: the whole recorded life of a peer, replayed to it, gets nowhere', () => {
    const recorded: Uint8Array[] = [];
    const [speaker, hearer] = [life(TWO), life(ONE)];
    const record = (datagram: Uint8Array): Uint8Array => {
      recorded.push(datagram);
      return datagram;
    };
    const challenge = record(sent(hearer.open(record(speaker.seal(text('first'))), 0)));
    assert.equal(said(hearer.open(record(sent(speaker.open(challenge, 0))), 0)), 'proven');
    for (let at = 0; at < 2000; at += 1) hearer.open(record(speaker.seal(text(`life ${at}`))), at);

    const restarted = life(ONE);
    let challenges = 0;
    for (const round of [1, 2, 3]) {
      for (const datagram of recorded) {
        const opened = restarted.open(datagram, round * 1000);
        assert.ok(opened.kind === 'refused' || opened.kind === 'send', said(opened));
        if (opened.kind === 'send') challenges += 1;
      }
    }
    assert.equal(challenges, 3, 'one challenge in a span of time, not one a packet');
    // And the living peer is believed at once, whatever was replayed before.
    const alive = life(TWO);
    introduce(alive, restarted, 9000);
    assert.equal(said(restarted.open(alive.seal(text('here')), 9000)), 'payload here');
    for (const datagram of recorded) {
      const opened = restarted.open(datagram, 9000);
      assert.ok(opened.kind === 'refused' || opened.kind === 'send', said(opened));
    }
    assert.equal(said(restarted.open(alive.seal(text('still here')), 9000)), 'payload still here');
  });

  test('of the receiver: what its peer sent before the proof stays refused after it', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    const earlier = speaker.seal(text('recorded before the proof'));
    introduce(speaker, hearer, 0);
    assert.equal(said(hearer.open(earlier, 0)), 'refused replayed');
  });
});

describe('a proof', () => {
  test('proves once, and only to the node that asked', () => {
    const [speaker, one, three] = [life(TWO), life(ONE), life(THREE)];
    const challenge = sent(one.open(speaker.seal(text('')), 0));
    three.open(speaker.seal(text('')), 0);
    const proof = sent(speaker.open(challenge, 0));
    assert.equal(said(three.open(proof, 0)), 'refused not-asked');
    assert.equal(said(one.open(proof, 0)), 'proven');
    assert.equal(said(one.open(proof, 0)), 'refused not-asked');
  });

  test('that comes after its time proves nothing', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    const proof = sent(speaker.open(sent(hearer.open(speaker.seal(text('')), 0)), 0));
    assert.equal(said(hearer.open(proof, 60_000)), 'refused not-asked');
  });

  test('of an earlier life does not displace the session that is proven', () => {
    const [before, hearer] = [life(TWO), life(ONE)];
    const kept = sent(before.open(sent(hearer.open(before.seal(text('')), 0)), 0));
    const after = life(TWO);
    const proof = sent(after.open(sent(hearer.open(after.seal(text('')), 60)), 60));
    assert.equal(said(hearer.open(proof, 61)), 'proven');
    assert.equal(said(hearer.open(kept, 62)), 'refused not-asked');
    assert.equal(said(hearer.open(after.seal(text('alive')), 63)), 'payload alive');
  });

  test('of an earlier life with the nonce of a new one in it proves nothing', () => {
    const [before, hearer] = [life(TWO), life(ONE)];
    const recorded = sent(before.open(sent(hearer.open(before.seal(text('')), 0)), 0));
    const restarted = life(ONE);
    const alive = life(TWO);
    const proof = sent(alive.open(sent(restarted.open(alive.seal(text('')), 0)), 0));
    recorded.set(proof.subarray(SEALED_HEAD, PROOF_HEAD), SEALED_HEAD);
    assert.equal(said(restarted.open(recorded, 0)), 'refused forged');
    assert.equal(said(restarted.open(proof, 0)), 'proven');
  });

  test('whose nonce somebody read from the wire is not theirs to make', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    const proof = sent(speaker.open(sent(hearer.open(speaker.seal(text('')), 0)), 0));
    for (let at = 0; at < 8; at += 1) {
      const forged = Uint8Array.from(proof);
      forged[22 + at] = (forged[22 + at] ?? 0) ^ 1; // another session
      assert.equal(said(hearer.open(forged, 0)), 'refused forged');
    }
    assert.equal(said(hearer.open(proof, 0)), 'proven');
  });
});

describe('a challenge', () => {
  test('replayed to the node that it was for is answered rarely, and not at all once its sender is known', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    const challenge = sent(hearer.open(speaker.seal(text('')), 0));
    const answers = (now: number): number =>
      Array.from({ length: 1000 }, () => speaker.open(challenge, now)).filter(({ kind }) => kind === 'send').length;
    assert.equal(answers(0), 1);
    introduce(hearer, speaker, 100);
    assert.equal(answers(200), 0);
  });

  test('to an earlier life, or to another node, is not answered', () => {
    const [before, hearer] = [life(TWO), life(ONE)];
    const challenge = sent(hearer.open(before.seal(text('')), 0));
    assert.equal(said(life(TWO).open(challenge, 0)), 'refused not-asked');
    assert.equal(said(life(THREE).open(challenge, 0)), 'refused not-asked');
  });

  test('of a node that is not in the nodelist any more is not answered', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    const challenge = sent(hearer.open(speaker.seal(text('')), 0));
    speaker.setPeers([TWO, THREE]);
    assert.equal(said(speaker.open(challenge, 0)), 'refused stranger');
  });

  test('goes out for a living peer within a second, while recordings of its earlier lives are poured in', () => {
    const recorded = Array.from({ length: 8 }, () => life(TWO).seal(text('an earlier life')));
    for (let run = 0; run < 50; run += 1) {
      const [alive, hearer] = [life(TWO), life(ONE)];
      let proven = false;
      for (let now = 0; now < 1000 && !proven; now += 10) {
        for (const datagram of recorded) hearer.open(datagram, now);
        const opened = hearer.open(alive.seal(text('')), now);
        if (opened.kind === 'send') proven = hearer.open(sent(alive.open(opened.datagram, now)), now).kind === 'proven';
      }
      assert.ok(proven);
    }
  });
});

describe('the key', () => {
  test('is replaced on running nodes without a lost packet and without a new proof', () => {
    const [old, fresh] = [keyOf('o'), keyOf('f')];
    const [speaker, hearer] = [life(TWO, [old]), life(ONE, [old])];
    introduce(speaker, hearer, 0);
    const through = (): string => said(hearer.open(speaker.seal(text('ok')), 0));
    hearer.setKeys([old, fresh]);
    assert.equal(through(), 'payload ok');
    speaker.setKeys([old, fresh]);
    assert.equal(through(), 'payload ok');
    const [underWay, late] = [speaker.seal(text('under way')), speaker.seal(text('late'))];
    speaker.setKeys([fresh, old]);
    assert.equal(through(), 'payload ok');
    assert.equal(said(hearer.open(underWay, 0)), 'payload under way');
    hearer.setKeys([fresh, old]);
    const stale = life(THREE, [old]).seal(text(''));
    speaker.setKeys([fresh]);
    hearer.setKeys([fresh]);
    assert.equal(through(), 'payload ok');
    assert.equal(said(hearer.open(stale, 0)), 'refused unknown-key', 'the old key opens nothing any more');
    assert.equal(said(hearer.open(late, 0)), 'refused unknown-key', 'nor what a known node sealed with it');
  });

  test('another one, or another cipher, is told apart from damage', () => {
    const hearer = life(ONE);
    assert.equal(said(hearer.open(life(TWO, [keyOf('x')]).seal(text('')), 0)), 'refused unknown-key');
    const otherCipher = clusterKey(new Uint8Array(256).fill('k'.charCodeAt(0)), 'aes128');
    assert.equal(said(hearer.open(life(TWO, [otherCipher]).seal(text('')), 0)), 'refused unknown-key');
  });

  test('of two cluster keys with one id, the one that fits is taken', () => {
    const twin = { ...keyOf('t'), id: KEY.id };
    const [speaker, hearer] = [life(TWO, [KEY, twin]), life(ONE, [twin, KEY])];
    introduce(speaker, hearer, 0);
    assert.equal(said(hearer.open(speaker.seal(text('fits')), 0)), 'payload fits');
  });

  test('goes with the cluster’s name: a copy of the key in another cluster is no way in', () => {
    assert.equal(
      said(life(ONE).open(life(TWO, [KEY], clusterTag('other')).seal(text('')), 0)),
      'refused other-cluster',
    );
  });

  test('subkeys are HKDF-SHA512 of key, cipher, sender and session', () => {
    const secret = new Uint8Array(256).fill(7);
    const session = new Uint8Array(12).fill(9);
    const info = Buffer.concat([Buffer.from('aes-256-gcm'), Buffer.of(0, 0, 0, 2, 12), session]);
    const expected = Buffer.from(hkdfSync('sha512', secret, 'ringmaster cluster key 1', info, 36));
    assert.equal(clusterKey(secret, 'aes256').session(TWO, session).voucher, expected.readUInt32BE(32));
    assert.notEqual(createHmac('sha512', secret).update(info).digest().readUInt32BE(32), expected.readUInt32BE(32));
  });

  test('a subkey seals four million packets at most, and the change is not noticed', () => {
    const subkeys: string[] = [];
    const counted = {
      id: KEY.id,
      session: (_: NodeId, session: Uint8Array) => {
        subkeys.push(Buffer.from(session.subarray(8)).toString('hex'));
        return {
          voucher: 0,
          seal: (_: number, to: Uint8Array, head: number, plain: Uint8Array) => to.set(plain, head),
          open: (_: number, from: Uint8Array, head: number) => from.subarray(head, from.length - TAG_BYTES),
        };
      },
    };
    const [speaker, hearer] = [life(TWO, [counted]), life(ONE, [counted])];
    introduce(speaker, hearer, 0);
    subkeys.length = 0;
    const payload = new Uint8Array(0);
    let refused = 0;
    for (let count = 0; count < 2 ** 22 + 1000; count += 1) {
      const datagram = speaker.seal(payload);
      if (count % 1000 === 0 && hearer.open(datagram, 0).kind !== 'payload') refused += 1;
    }
    assert.equal(refused, 0);
    assert.deepEqual(subkeys, ['00000000', '00000001', '00000001'], 'hearer; then both, once each, for the new epoch');
  });
});

describe('without a key', () => {
  test('packets go in clear, in the same envelope', () => {
    const [speaker, hearer] = [life(TWO, []), life(ONE, [])];
    const datagram = speaker.seal(text('clear'));
    assert.equal(datagram.length, 5 + speaker.overhead);
    assert.equal(said(hearer.open(datagram, 0)), 'payload clear');
  });

  test('a node does not understand one with a key, and the other way round; both say why', () => {
    const [clear, sealing] = [life(ONE, []), life(TWO)];
    assert.equal(said(clear.open(sealing.seal(text('')), 0)), 'refused sealed');
    assert.equal(said(sealing.open(clear.seal(text('')), 0)), 'refused plain');
    const reports = new RefusalReports();
    assert.match(reports.note('plain', ONE, 'pve1', 0) ?? '', /node pve1 sends without encryption: crypto_cipher/);
    assert.equal(reports.note('plain', ONE, 'pve1', 59_000), null, 'not again within a minute');
    assert.match(reports.note('plain', TWO, 'pve2', 59_000) ?? '', /node pve2/);
    assert.match(reports.note('plain', ONE, 'pve1', 61_000) ?? '', /node pve1/);
  });
});

describe('strangers', () => {
  test('a node id that is not configured is refused, sealed with the right key or not', () => {
    const hearer = life(ONE);
    assert.equal(said(hearer.open(life(STRANGER).seal(text('')), 0)), 'refused stranger');
    assert.equal(said(hearer.open(life(STRANGER, []).seal(text('')), 0)), 'refused stranger');
  });

  test('a node does not take its own packets back', () => {
    const one = life(ONE);
    assert.equal(said(one.open(one.seal(text('')), 0)), 'refused own');
    assert.equal(said(one.open(life(ONE).seal(text('')), 0)), 'refused own');
  });

  test('a removed node is a stranger at once, and has to prove itself when it is back', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    introduce(speaker, hearer, 0);
    hearer.setPeers([ONE, THREE]);
    assert.equal(said(hearer.open(speaker.seal(text('')), 0)), 'refused stranger');
    hearer.setPeers([ONE, TWO, THREE, nodeId(4)]);
    assert.equal(said(hearer.open(speaker.seal(text('')), 0)), 'send');
  });

  test('a peer that stays in the nodelist stays believed', () => {
    const [speaker, hearer] = [life(TWO), life(ONE)];
    introduce(speaker, hearer, 0);
    hearer.setPeers([ONE, TWO]);
    assert.equal(said(hearer.open(speaker.seal(text('known')), 0)), 'payload known');
  });
});

describe('glued datagrams', () => {
  test('are cut where they were joined, sealed or in clear', () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(payloads, fc.boolean(), (parts, clear) => {
        const speaker = life(TWO, clear ? [] : [KEY]);
        const datagrams = parts.map((part) => speaker.seal(part));
        const pieces = splitDatagrams(Buffer.concat(datagrams));
        assert.deepEqual(
          pieces.map((piece) => [...piece]),
          datagrams.map((datagram) => [...datagram]),
        );
      }),
    );
  });

  test('with noise behind come out whole, and the noise as one piece that is refused', () => {
    const datagram = life(TWO).seal(text('x'));
    const pieces = splitDatagrams(Buffer.concat([datagram, text('noise')]));
    assert.deepEqual(
      pieces.map((piece) => piece.length),
      [SEALED_HEAD + 1 + TAG_BYTES, 5],
    );
  });

  test('any bytes are cut into pieces that are those bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        assert.deepEqual(Buffer.concat(splitDatagrams(noise)), Buffer.from(noise));
      }),
    );
  });
});
