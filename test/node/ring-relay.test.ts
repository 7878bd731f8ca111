/** The bundled engine on a network that delays, mixes and doubles, and with somebody in the middle who records. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { whyNoNamespaces } from './namespaces.ts';
import type { Change } from './namespaces-impairment.ts';
import { assertAgreement } from './ring-history.ts';
import { membersOf, RingNetwork, stays, until, whyRefused, type RingOptions } from './ring-network.ts';

const MiB = 1024 * 1024;
const SIZES = [10, 64, 320, 1300, 1500, 8000, 40_000, 10, 10, 100_000, 10];
const small = (count: number): number[] => Array.from({ length: count }, (_, index) => 10 + ((index * 37) % 700));
const viewsOf = (ring: RingNetwork): number[] => ring.nodes.map((node) => node.history.views);

describe('a ring on a bad network', { skip: whyNoNamespaces }, () => {
  let ring: RingNetwork;
  before(async () => {
    ring = await RingNetwork.start({ nodes: 3, wires: 'relay' });
  });
  // A test that fails leaves the network as bad as it made it.
  afterEach(async () => {
    await ring.network.heal();
    await ring.network.impair({});
  });
  after(() => ring.remove());

  const impairments = {
    'frames that come 20 to 30 ms late': { delay: 20, jitter: 10 },
    'frames that overtake each other': { reorder: 0.2, reorderBy: 5 },
    'frames that come twice': { duplicate: 0.5 },
    'all of that at once, and a loss of 10 %': { delay: 5, jitter: 5, reorder: 0.1, reorderBy: 5, duplicate: 0.2 },
  } as const;
  for (const [what, impairment] of Object.entries(impairments)) {
    test(`${what}: all is heard by all in one order, once, and nobody leaves`, async () => {
      const views = viewsOf(ring);
      await ring.network.impair(impairment);
      if (what.includes('loss')) for (const node of ring.nodes) await node.host.loseTenths(1);
      await ring.talk(ring.nodes, [...SIZES, ...small(100)]);
      await ring.network.heal();
      await ring.network.impair({});
      assert.deepEqual(viewsOf(ring), views);
      assertAgreement(ring.nodes.map((node) => node.history));
    });
  }

  test('a message of one mebibyte crosses a line with 20 ms of delay', async () => {
    await ring.network.impair({ delay: 20 });
    await ring.talk(ring.some(1, 2, 3), [MiB]);
    await ring.network.impair({});
  });

  test('a ring forms, loses a node and takes it back at 20 ms of delay and jitter', async () => {
    await ring.network.impair({ delay: 20, jitter: 10 });
    await ring.node(2).end('SIGKILL');
    await ring.together(ring.some(1, 3));
    ring.node(2).start();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
    await ring.network.impair({});
    assertAgreement(ring.nodes.map((node) => node.history));
  });
});

const encrypted: RingOptions = {
  ...{ nodes: 3, wires: 'relay', transport: 'knet', secauth: 'on' },
  totem: { crypto_cipher: 'aes256', crypto_hash: 'sha256' },
};
const whyNoKey = whyNoNamespaces === false ? whyRefused(encrypted) : whyNoNamespaces;

describe('an encrypted ring with somebody in the middle', { skip: whyNoKey }, () => {
  let ring: RingNetwork;
  before(async () => {
    ring = await RingNetwork.start(encrypted);
  });
  after(() => ring.remove());

  /** Sends what was recorded again and again, changed: nobody leaves, and nothing is heard. */
  async function harmless(change: Change): Promise<void> {
    const [views, heard] = [viewsOf(ring), ring.nodes.map((node) => node.history.length)];
    await ring.network.order({ kind: 'replay', change, times: 3 });
    await stays('nobody leaves', 300, () => ring.nodes.every((node) => membersOf(node.status()).length === 3));
    assert.deepEqual(viewsOf(ring), views);
    assert.deepEqual(
      ring.nodes.map((node) => node.history.length),
      heard,
    );
  }

  test('hears all in one order', async () => {
    await ring.network.order({ kind: 'record' });
    await ring.talk(ring.nodes, [...SIZES, ...small(100)]);
  });

  for (const [change, words] of [
    ['none', 'as they were'],
    ['flip', 'with one byte changed'],
    ['cut', 'cut short'],
  ] as const) {
    test(`packets that were recorded come again, ${words}: nothing changes`, async () => {
      await harmless(change);
      await ring.talk(ring.nodes, SIZES);
    });
  }

  test('packets of a ring before all engines were started again come again: nothing changes', async () => {
    await ring.network.order({ kind: 'record' });
    // A death and a return are recorded too: joins and commits of an old ring are the most tempting.
    await ring.node(3).end('SIGKILL');
    await ring.together(ring.some(1, 2));
    ring.node(3).start();
    await ring.whole();
    for (const node of ring.nodes) await node.end('SIGKILL');
    for (const node of ring.nodes) node.start();
    await ring.whole();
    await ring.group(ring.nodes);
    await harmless('none');
    await ring.talk(ring.nodes, SIZES);
  });

  test('a node with another key is kept out; with the right one it is in', async () => {
    const key = ring.node(3).key();
    await ring.node(3).end('SIGKILL');
    ring.node(3).write(null, randomBytes(key.length));
    ring.node(3).start();
    await ring.together(ring.some(1, 2));
    await until('node 3 on its own', () => membersOf(ring.node(3).status()).join() === '3');
    await ring.group(ring.some(1, 2));
    const views = ring.some(1, 2).map((node) => node.history.views);
    await ring.talk(ring.some(1, 2), SIZES);
    await stays('it is kept out', 1500, () => membersOf(ring.node(1).status()).join() === '1,2');
    assert.deepEqual(
      ring.some(1, 2).map((node) => node.history.views),
      views,
    );
    assert.equal(ring.node(3).status().quorum.quorate, false);
    await ring.node(3).end('SIGKILL');
    ring.node(3).write(null, key);
    ring.node(3).start();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
  });
});
