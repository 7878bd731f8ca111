/** Links: which of them a packet takes, how soon a dead one is left, and how it is taken back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nodeId } from '../../agent/totem/ids.ts';
import { LinkNetwork, OVERHEAD, type Logged } from './totem-links-network.ts';

/** Milliseconds: knet_ping_timeout of the network in these tests. */
const TIMEOUT = 400;

const running = (options: ConstructorParameters<typeof LinkNetwork>[0] = {}): LinkNetwork => {
  const network = new LinkNetwork(options);
  network.start();
  network.run(1_000);
  return network;
};

const events = (network: LinkNetwork, kind: Logged['kind'], node: number): Logged[] =>
  network.log.filter((entry) => entry.kind === kind && entry.node === node);

describe('the way of a packet', () => {
  test('passive: the link with the highest priority carries everything', () => {
    const network = running({ links: 3, priorities: [1, 7, 7] });
    assert.deepEqual([network.ways(1, 2), network.ways(1, 2)], [[1], [1]]);
  });

  test('passive: of equal priorities the lowest link carries everything', () => {
    assert.deepEqual(running({ links: 3 }).ways(1, 2), [0]);
  });

  test('rr (and rrp_mode passive): each packet takes the next link', () => {
    const network = running({ mode: 'rr' });
    assert.deepEqual([network.ways(1, 2), network.ways(1, 2), network.ways(1, 2)], [[0], [1], [0]]);
  });

  test('active: every packet goes over all links', () => {
    assert.deepEqual(running({ mode: 'active' }).ways(1, 2), [0, 1]);
  });

  test('a packet sent again also takes a way that it did not take before', () => {
    assert.deepEqual(running().ways(1, 2, true), [0, 1]);
    assert.deepEqual(running({ mode: 'rr' }).ways(1, 2, true), [0, 1]);
  });

  test('a packet for several nodes is given out once a link', () => {
    const network = running({ nodes: 3 });
    network.both(0, { cut: true }, [1, 3]);
    network.run(1_000);
    assert.deepEqual(network.of(1).route([nodeId(2), nodeId(3)], false), [
      { link: 0, to: [2] },
      { link: 1, to: [3] },
    ]);
  });

  test('links that were not tested yet are all used, as no one knows which work', () => {
    const network = new LinkNetwork();
    network.start();
    assert.deepEqual(network.ways(1, 2), [0, 1]);
  });

  test('a new link is not relied on before it has answered', () => {
    const network = running({ links: 2, priorities: [1, 9] });
    const two = network.config(nodeId(1));
    network.both(1, { cut: true });
    network.carryOut(1, network.of(1).reconfigure({ ...two, links: two.links.slice(0, 1) }, network.now));
    assert.deepEqual(network.ways(1, 2), [0]);
    network.carryOut(1, network.of(1).reconfigure(two, network.now));
    assert.deepEqual(network.ways(1, 2), [0]);
    network.both(1, { cut: false });
    network.run(1_000);
    assert.deepEqual(network.ways(1, 2), [1]);
  });

  test('when all links to a peer are down, all are tried', () => {
    const network = running();
    network.both(0, { cut: true });
    network.both(1, { cut: true });
    network.run(1_000);
    assert.equal(network.state(1, 0, 2), 'down');
    assert.deepEqual(network.ways(1, 2), [0, 1]);
  });

  test('packets overtake each other only where links are used beside each other', () => {
    assert.equal(new LinkNetwork({ mode: 'passive' }).of(1).reorders, false);
    assert.equal(new LinkNetwork({ mode: 'rr' }).of(1).reorders, true);
    assert.equal(new LinkNetwork({ mode: 'rr', links: 1 }).of(1).reorders, false);
  });
});

describe('health', () => {
  test('a node that starts is reachable within milliseconds, and up after pong_count answers', () => {
    const network = new LinkNetwork();
    network.start(1);
    network.run(5_050);
    network.start(2);
    network.run(100);
    const [reachable] = events(network, 'reachable', 1);
    assert.ok(reachable !== undefined && reachable.at < 5_055, `reachable at ${reachable?.at}`);
    assert.equal(network.state(1, 0, 2), 'up');
    const [up] = events(network, 'up', 1);
    assert.ok(up !== undefined && up.at > reachable.at, 'one answer is not two');
  });

  test('a node that is not there is no news of its links; a link that alone is silent is', () => {
    const network = new LinkNetwork();
    network.both(1, { cut: true });
    network.start(1);
    network.run(10_000);
    assert.deepEqual([network.state(1, 0, 2), events(network, 'down', 1)], ['down', []]);
    network.start(2);
    network.run(10_000);
    assert.deepEqual(
      events(network, 'down', 1).map((entry) => entry.kind === 'down' && entry.link),
      [1],
    );
  });

  test('a link that dies is left within the ping timeout', () => {
    const network = running();
    network.both(0, { cut: true });
    const died = network.now;
    network.run(TIMEOUT);
    assert.deepEqual(network.ways(1, 2), [1]);
    const [down] = events(network, 'down', 1);
    assert.ok(down?.kind === 'down' && down.link === 0 && down.at - died <= TIMEOUT);
    assert.match(down.reason, /no answer for \d+ ms/);
  });

  test('a link that is cut in one direction is down on both sides', () => {
    const network = running();
    network.cable(0, 1, 2).cut = true;
    network.run(TIMEOUT + 1);
    assert.deepEqual([network.state(1, 0, 2), network.state(2, 0, 1)], ['down', 'down']);
  });

  test('a link that works again is taken back by itself', () => {
    const network = running();
    network.both(0, { cut: true });
    network.run(1_000);
    network.both(0, { cut: false });
    network.run(1_800);
    assert.deepEqual(network.ways(1, 2), [0]);
  });

  test('each quick relapse doubles the wait for it, up to a bound; steady spells take it back', () => {
    const network = running();
    const outage = (): number => {
      network.both(0, { cut: true });
      network.run(1_000);
      network.both(0, { cut: false });
      const healed = network.now;
      network.run(60_000, () => undefined);
      const up = events(network, 'up', 1).findLast((entry) => entry.kind === 'up' && entry.link === 0);
      return Math.round(((up?.at ?? Infinity) - healed) / 1000);
    };
    // 60 s of network minus the wait itself are less than a steady spell.
    assert.deepEqual([outage(), outage(), outage(), outage(), outage(), outage(), outage()], [1, 2, 4, 8, 16, 32, 32]);
    network.run(600_000);
    assert.ok(outage() <= 1);
  });

  test('a lost probe now and then does not take a link down', () => {
    let state = 1;
    const chance = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    const network = running({ chance });
    network.both(0, { loss: 0.1 });
    network.run(120_000);
    assert.deepEqual(events(network, 'down', 1), []);
  });

  test('a process that stood still does not take its links for dead', () => {
    const network = running();
    network.pause(1);
    network.run(700);
    network.resume(1);
    network.run(300);
    assert.deepEqual(events(network, 'down', 1), []);
  });

  test('a peer that stood still has its links back at once, as none of them relapsed', () => {
    const network = running();
    network.pause(2);
    network.run(1_000);
    assert.deepEqual([network.state(1, 0, 2), network.state(1, 1, 2)], ['down', 'down']);
    network.resume(2);
    network.run(500);
    assert.deepEqual([network.state(1, 0, 2), network.state(1, 1, 2)], ['up', 'up']);
  });

  test('of the first answers the quickest tells how far the peer is', () => {
    const network = new LinkNetwork();
    network.both(0, { delay: 150 });
    network.start();
    network.run(200);
    network.both(0, { delay: 1 });
    network.run(1_500);
    const path = network.of(1).status()[0];
    assert.ok(path?.latencyUs !== null && (path?.latencyUs ?? 0) < 2_500, `${path?.latencyUs}`);
  });

  test('an answer from before a restart, or to nothing, counts for nothing', () => {
    const network = new LinkNetwork();
    network.start(1);
    const answer = new Uint8Array(17);
    answer[0] = 2;
    answer[4] = 1; // the id of the first ask, and the time of no ask
    answer[5] = 0x40;
    assert.deepEqual(network.of(1).receive(0, nodeId(2), answer, 0.5), []);
    assert.equal(network.state(1, 0, 2), 'untested');
  });

  test('an idle node with one link sends one small packet a second to each peer, and its answers', () => {
    const network = running({ links: 1 });
    const before = network.log.filter(({ kind, node }) => kind === 'send' && node === 1).length;
    network.run(20_000);
    const sent = network.log.filter(({ kind, node }) => kind === 'send' && node === 1).length - before;
    assert.ok(sent <= 44, `${sent} packets in 20 s`);
  });

  test('a single link is used whatever its state', () => {
    const network = running({ links: 1 });
    network.both(0, { cut: true });
    network.run(5_000);
    assert.equal(network.state(1, 0, 2), 'down');
    assert.deepEqual(network.ways(1, 2), [0]);
  });

  test('what is known of a link stays through a reload, unless its address changes', () => {
    const network = running();
    const config = network.config(nodeId(1));
    network.of(1).reconfigure(config, network.now);
    assert.equal(network.state(1, 0, 2), 'up');
    const peers = config.peers.map((peer) => ({ ...peer, links: [{ link: 0, address: '10.9.9.9' }] }));
    network.of(1).reconfigure({ ...config, peers }, network.now);
    assert.equal(network.state(1, 0, 2), 'untested');
    assert.equal(network.state(1, 1, 2), undefined);
  });
});

describe('multicast', () => {
  const all = [nodeId(2), nodeId(3)];
  const casting = (): LinkNetwork => running({ nodes: 3, links: 1, multicast: true });

  test('nodes that hear it are sent to together, and one at a time before that is known', () => {
    const network = new LinkNetwork({ nodes: 3, links: 1, multicast: true });
    network.start();
    assert.deepEqual(network.of(1).route(all, false), [
      { link: 0, to: [2] },
      { link: 0, to: [3] },
    ]);
    network.run(1_000);
    assert.deepEqual(network.of(1).route(all, false), [{ link: 0, to: [2, 3] }]);
  });

  test('what was lost goes by unicast', () => {
    assert.deepEqual(casting().of(1).route(all, true), [
      { link: 0, to: [2] },
      { link: 0, to: [3] },
    ]);
  });

  test('a node that does not hear it is reported and sent to by itself, until it hears it', () => {
    const network = casting();
    network.cable(0, 1, 3).deaf = true;
    network.run(8_000);
    assert.deepEqual(network.of(1).route(all, false), [
      { link: 0, to: [2] },
      { link: 0, to: [3] },
    ]);
    assert.equal(network.state(1, 0, 3), 'up');
    network.cable(0, 1, 3).deaf = false;
    network.run(2_000);
    assert.deepEqual(network.of(1).route(all, false), [{ link: 0, to: [2, 3] }]);
    assert.deepEqual(
      events(network, 'multicast', 1).map((entry) => entry.kind === 'multicast' && [entry.peer, entry.works]),
      [
        [3, false],
        [3, true],
      ],
    );
  });

  test('a node that is gone is not reported as deaf', () => {
    const network = casting();
    network.both(0, { cut: true }, [1, 3]);
    network.run(20_000);
    assert.deepEqual(events(network, 'multicast', 1), []);
  });

  test('with one other node there is nothing to multicast', () => {
    assert.deepEqual(events(running({ nodes: 2, links: 1, multicast: true }), 'cast', 1), []);
  });

  test('multicast and unicast come through two sockets, so that packets can overtake each other', () => {
    assert.equal(casting().of(1).reorders, true);
  });
});

describe('path MTU', () => {
  test('what every path carries is found: netmtu where it fits', () => {
    const network = running();
    assert.equal(network.mtu(1, 0, 2), 1500);
    assert.deepEqual(
      events(network, 'datagram', 1).map((entry) => entry.kind === 'datagram' && entry.bytes),
      [1280 - OVERHEAD, 1500 - OVERHEAD],
    );
  });

  test('the narrowest path sets the datagram', () => {
    const network = new LinkNetwork({ nodes: 3 });
    network.both(1, { mtu: 1450 }, [1, 3]);
    network.start();
    network.run(3_000);
    assert.equal(network.mtu(1, 1, 3), 1450);
    const last = events(network, 'datagram', 1).at(-1);
    assert.ok(last?.kind === 'datagram' && last.bytes === 1450 - OVERHEAD);
  });

  test('netmtu is the bound, and jumbo frames are found below it', () => {
    const network = new LinkNetwork({ netmtu: 9000 });
    network.both(1, { mtu: 4400 });
    network.start();
    network.run(3_000);
    assert.deepEqual([network.mtu(1, 0, 2), network.mtu(1, 1, 2)], [9000, 4352]);
  });

  test('a path that swallows large packets is known within two seconds, and stays up', () => {
    const network = running();
    network.both(0, { mtu: 1400 });
    network.run(2_000);
    assert.equal(network.mtu(1, 0, 2), 1400);
    const last = events(network, 'datagram', 1).at(-1);
    assert.ok(last?.kind === 'datagram' && last.bytes === 1400 - OVERHEAD);
    assert.deepEqual(events(network, 'down', 1), []);
  });

  test('a single link too', () => {
    const network = running({ links: 1 });
    network.both(0, { mtu: 1400 });
    network.run(2_500);
    assert.equal(network.mtu(1, 0, 2), 1400);
    assert.deepEqual(events(network, 'down', 1), []);
  });

  test('a path that narrows in one direction only is measured by the side that sends', () => {
    const network = running();
    network.cable(0, 1, 2).mtu = 1300;
    network.run(3_000);
    assert.equal(network.mtu(1, 0, 2), 1280);
    assert.equal(network.mtu(2, 0, 1), 1500);
  });

  test('a path that widens again is found within a minute', () => {
    const network = running();
    network.both(0, { mtu: 1400 });
    network.run(5_000);
    network.both(0, { mtu: 1500 });
    network.run(60_000);
    assert.equal(network.mtu(1, 0, 2), 1500);
  });

  test('a link that dies says nothing of its size', () => {
    const network = running();
    network.both(0, { cut: true });
    network.run(2_000);
    network.both(0, { cut: false });
    const before = events(network, 'datagram', 1).length;
    network.run(4_000);
    assert.equal(events(network, 'datagram', 1).length, before);
  });

  test('what the kernel knows need not be found out', () => {
    const network = running();
    network.both(0, { mtu: 1450 });
    network.carryOut(1, network.of(1).tooLarge(0, nodeId(2), 1500 - OVERHEAD, network.now));
    const last = events(network, 'datagram', 1).at(-1);
    assert.ok(last?.kind === 'datagram' && last.bytes === 1280 - OVERHEAD);
    network.run(1_000);
    assert.equal(network.mtu(1, 0, 2), 1450);
  });
});

describe('two links, of which one dies and heals at any time', () => {
  const scenario = fc.record({
    mode: fc.constantFrom('passive' as const, 'rr' as const, 'active' as const),
    seed: fc.integer({ min: 1, max: 2_147_483_646 }),
    loss: fc.constantFrom(0, 0, 0.02, 0.05),
    delay: fc.constantFrom(0.1, 1, 10),
    spells: fc.array(
      fc.record({
        link: fc.constantFrom(0, 1),
        way: fc.constantFrom('both', 'there', 'back'),
        dead: fc.integer({ min: 500, max: 3_000 }),
        well: fc.integer({ min: 36_000, max: 45_000 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  });

  test('a dead link is never used alone for longer than the ping timeout, and a healed one is taken back', () => {
    fc.assert(
      fc.property(scenario, ({ mode, seed, loss, delay, spells }) => {
        let state = seed;
        const chance = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
        const network = new LinkNetwork({ mode, chance });
        for (const link of [0, 1]) network.both(link, { delay, loss });
        network.start();
        network.run(2_000);
        for (const { link, way, dead, well } of spells) {
          if (way !== 'back') network.cable(link, 1, 2).cut = true;
          if (way !== 'there') network.cable(link, 2, 1).cut = true;
          const died = network.now;
          network.run(dead, () => {
            // An ask on its way when the link died may still be answered.
            if (network.now - died <= TIMEOUT + 2 * delay) return;
            for (const [from, to] of [[1, 2] as const, [2, 1] as const]) {
              assert.ok(network.ways(from, to).includes(1 - link), `${from} does not use link ${1 - link}`);
              assert.ok(
                network.ways(from, to).every((one) => one !== link),
                `${from} still uses link ${link}`,
              );
            }
          });
          network.both(link, { cut: false });
          network.run(well);
          assert.deepEqual([network.state(1, link, 2), network.state(2, link, 1)], ['up', 'up']);
        }
      }),
      { numRuns: 60 },
    );
  });
});
