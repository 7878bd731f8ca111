/** Three nodes of the bundled engine on a network of their own: loss, partitions, one-way cuts, strangers. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { whyNoNamespaces } from './namespaces.ts';
import { assertAgreement } from './ring-history.ts';
import { membersOf, RingNetwork, stays, until } from './ring-network.ts';

const MiB = 1024 * 1024;
/** From ten bytes to one mebibyte: packed together, one to a datagram, in fragments. */
const SIZES = [10, 64, 320, 1300, 1500, 8000, 40_000, 10, 10, 200_000, 10];
const small = (count: number): number[] => Array.from({ length: count }, (_, index) => 10 + ((index * 37) % 700));

describe('a ring of three nodes on a network', { skip: whyNoNamespaces }, () => {
  let ring: RingNetwork;
  before(async () => {
    ring = await RingNetwork.start({ nodes: 3, strangers: 1 });
  });
  // A test that fails leaves the network as bad as it made it.
  afterEach(() => ring.network.heal());
  after(() => ring.remove());

  test('listens on UDP port 5405 where the file names none', () => {
    for (const node of ring.nodes) assert.ok(node.ports().has(5405), [...node.ports()].join());
  });

  test('messages of ten bytes to one mebibyte from all nodes are heard by all in one order', async () => {
    await ring.talk(ring.nodes, [...SIZES, MiB, ...small(200)]);
  });

  test('at a loss of 10 % on every node nothing is lost, and nobody leaves', async () => {
    const views = ring.nodes.map((node) => node.history.views);
    for (const node of ring.nodes) await node.host.loseTenths(1);
    await ring.talk(ring.nodes, [...SIZES, ...small(200)]);
    await ring.network.heal();
    assert.deepEqual(
      ring.nodes.map((node) => node.history.views),
      views,
    );
    for (const node of ring.nodes) assert.equal(node.history.members.length, 3);
  });

  test('parted, the larger part goes on with quorum and the smaller without; healed, all are one', async () => {
    const talking = Promise.all(ring.nodes.map((node) => node.say(small(300))));
    await ring.network.partition([1, 2], [3]);
    const [one, two, three] = ring.nodes;
    await Promise.all([ring.together(ring.some(1, 2)), ring.together(ring.some(3))]);
    assert.deepEqual(
      [one, two, three].map((node) => node?.status().quorum.quorate),
      [true, true, false],
    );
    const last = (await talking).slice(0, 2).map((lines) => lines.at(-1) ?? '');
    await ring.group(ring.some(1, 2));
    await until('what nodes 1 and 2 said before is heard by both', () =>
      ring.some(1, 2).every(({ history }) => last.every((line) => history.since(0).includes(line))),
    );
    await ring.talk(ring.some(1, 2), small(50));
    await ring.network.heal();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
    assertAgreement(ring.nodes.map((node) => node.history));
  });

  test('each on its own and healed, all are one again', async () => {
    await ring.network.partition([1], [2], [3]);
    await Promise.all(ring.nodes.map((node) => ring.together([node])));
    await ring.network.heal();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
    assertAgreement(ring.nodes.map((node) => node.history));
  });

  test('a node that is heard and hears nobody is left out; the others work; healed, it is back', async () => {
    await ring.node(3).host.dropFrom([1, 2]);
    await ring.together(ring.some(1, 2));
    await ring.group(ring.some(1, 2));
    await ring.talk(ring.some(1, 2), SIZES);
    await ring.network.heal();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
    assertAgreement(ring.nodes.map((node) => node.history));
  });

  test('where one does not hear one other, a majority goes on working; healed, all are one', async () => {
    for (const [deaf, unheard] of [
      [3, 1],
      [1, 3],
    ] as const) {
      await ring.node(deaf).host.dropFrom([unheard]);
      // Who stays in is not said: messages may reach the deaf one by way of the third.
      const working = await ring.majority();
      await ring.talk(working, small(50));
      await ring.network.heal();
      await ring.whole();
      await ring.group(ring.nodes);
    }
    await ring.talk(ring.nodes, SIZES);
    assertAgreement(ring.nodes.map((node) => node.history));
  });

  test('a stranger on the same network changes nothing, whatever it sends', async () => {
    const stranger = ring.network.host(4);
    const views = ring.nodes.map((node) => node.history.views);
    const heard = ring.nodes.map((node) => node.history.length);
    // Random bytes of every length a datagram has, and beginnings that look like ours.
    await stranger.run(process.execPath, [
      '-e',
      `const { createSocket } = require('node:dgram'); const { randomBytes } = require('node:crypto');
       const socket = createSocket('udp4'); let left = 3000;
       const next = () => {
         if (left-- === 0) return socket.close();
         const bytes = randomBytes(1 + (left * 7) % 1400);
         if (left % 2 === 0) bytes[0] = left % 8;
         socket.send(bytes, 5405, '10.77.0.' + (1 + left % 3), next);
       };
       next();`,
    ]);
    await stays('nobody leaves', 300, () => ring.nodes.every((node) => membersOf(node.status()).length === 3));
    assert.deepEqual(
      ring.nodes.map((node) => node.history.views),
      views,
    );
    assert.deepEqual(
      ring.nodes.map((node) => node.history.length),
      heard,
    );
    await ring.talk(ring.nodes, SIZES);
  });

  test('a node that is killed while all talk is missed within 3 s, and no message of the others is', async () => {
    const talking = Promise.all(ring.some(1, 2).map((node) => node.say(small(500))));
    const begun = performance.now();
    await ring.node(3).end('SIGKILL');
    await ring.together(ring.some(1, 2));
    const took = performance.now() - begun;
    assert.ok(took < 3000, `${took.toFixed(0)} ms`);
    await talking;
    ring.node(3).start();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
    assertAgreement(ring.nodes.map((node) => node.history));
  });

  test('an engine that is stopped for half a second stays in the view, while all talk', async () => {
    const views = ring.nodes.map((node) => node.history.views);
    for (const node of ring.nodes) {
      node.signal('SIGSTOP');
      const talking = ring.talk(ring.nodes, small(100));
      await new Promise((resolve) => setTimeout(resolve, 500));
      node.signal('SIGCONT');
      await talking;
    }
    assert.deepEqual(
      ring.nodes.map((node) => node.history.views),
      views,
    );
  });
});

describe('a ring of nine nodes on a network', { skip: whyNoNamespaces }, () => {
  let ring: RingNetwork;
  before(async () => {
    ring = await RingNetwork.start({ nodes: 9 });
  });
  after(() => ring.remove());

  test('hears all in one order', async () => {
    await ring.talk(ring.nodes, SIZES);
  });

  test('loses a third at once, goes on, and takes it back', async () => {
    await Promise.all(ring.some(7, 8, 9).map((node) => node.end('SIGKILL')));
    const rest = ring.nodes.slice(0, 6);
    await ring.together(rest);
    await ring.group(rest);
    await ring.talk(rest, SIZES);
    for (const node of ring.some(7, 8, 9)) node.start();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, small(20));
    assertAgreement(ring.nodes.map((node) => node.history));
  });

  test('parted in five and four, one part has quorum; healed, all are one', async () => {
    await ring.network.partition([1, 3, 5, 7, 9], [2, 4, 6, 8]);
    const parts = [ring.some(1, 3, 5, 7, 9), ring.some(2, 4, 6, 8)];
    await Promise.all(parts.map((part) => ring.together(part)));
    await Promise.all(parts.map((part) => ring.group(part)));
    await Promise.all(parts.map((part) => ring.talk(part, small(20))));
    assert.deepEqual(
      parts.map((part) => part.map((node) => node.status().quorum.quorate)),
      [
        [true, true, true, true, true],
        [false, false, false, false],
      ],
    );
    await ring.network.heal();
    await ring.whole();
    await ring.group(ring.nodes);
    await ring.talk(ring.nodes, SIZES);
    assertAgreement(ring.nodes.map((node) => node.history));
  });
});
