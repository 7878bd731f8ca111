/** The bundled engine over two networks, over IPv6 and by multicast. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { address4, address6, whyNoNamespaces, type Network } from './namespaces.ts';
import { assertAgreement } from './ring-history.ts';
import { RingNetwork, until, whyRefused, type RingOptions } from './ring-network.ts';

const SIZES = [10, 64, 320, 1300, 1500, 8000, 40_000, 10, 10, 200_000, 10];
const both4 = (node: number): string[] => [address4(node, 0), address4(node, 1)];
const both6 = (node: number): string[] => [address6(node, 0), address6(node, 1)];
const skipFor = (options: RingOptions): string | false =>
  whyNoNamespaces === false ? whyRefused(options) : whyNoNamespaces;

const twoNetworks: Readonly<Record<string, RingOptions>> = {
  'rrp_mode passive': { nodes: 3, transport: 'udpu', addresses: both4, totem: { rrp_mode: 'passive' } },
  'rrp_mode active': { nodes: 3, transport: 'udpu', addresses: both4, totem: { rrp_mode: 'active' } },
  'links with priorities': {
    ...{ nodes: 3, transport: 'knet', addresses: both4 },
    interfaces: { 0: { knet_link_priority: '10' }, 1: { knet_link_priority: '20' } },
  },
  'encrypted links over IPv6': {
    ...{ nodes: 3, transport: 'knet', addresses: both6, secauth: 'on' },
    totem: { crypto_cipher: 'aes256', crypto_hash: 'sha256' },
  },
};

for (const [name, options] of Object.entries(twoNetworks)) {
  describe(`a ring on two networks, ${name}`, { skip: skipFor(options) }, () => {
    let ring: RingNetwork;
    before(async () => {
      ring = await RingNetwork.start(options);
      await linksAre([0, 1]);
    });
    // A test that fails leaves the network as bad as it made it.
    afterEach(() => ring.network.heal());
    after(() => ring.remove());

    /** On every node exactly the links on these networks work, to every peer. */
    const linksAre = (networks: readonly Network[]): Promise<void> =>
      until(
        `working links ${networks.join()}`,
        () =>
          ring.nodes.every((node) => {
            const { links } = node.status();
            return (
              links.length === 4 && links.every((link) => link.connected === networks.some((n) => n === link.link))
            );
          }),
        () => JSON.stringify(ring.nodes.map((node) => node.status().links)),
      );

    for (const network of [1, 0] as const) {
      test(`network ${network} fails and comes back while all talk: told of, nobody leaves, nothing is lost`, async () => {
        const views = ring.nodes.map((node) => node.history.views);
        const talking = ring.talk(ring.nodes, [...SIZES, ...SIZES]);
        for (const node of ring.nodes) await node.host.cutNetwork(network);
        await talking;
        await linksAre([network === 0 ? 1 : 0]);
        await ring.talk(ring.nodes, SIZES);
        await ring.network.heal();
        await linksAre([0, 1]);
        await ring.talk(ring.nodes, SIZES);
        assert.deepEqual(
          ring.nodes.map((node) => node.history.views),
          views,
        );
        assertAgreement(ring.nodes.map((node) => node.history));
      });
    }

    test('one node without its first network stays, by way of the second', async () => {
      const views = ring.nodes.map((node) => node.history.views);
      await ring.node(2).host.cutNetwork(0);
      await ring.talk(ring.nodes, SIZES);
      await ring.network.heal();
      await linksAre([0, 1]);
      assert.deepEqual(
        ring.nodes.map((node) => node.history.views),
        views,
      );
    });
  });
}

const oneNetwork: Readonly<Record<string, RingOptions>> = {
  'IPv6 unicast': { nodes: 3, transport: 'udpu', addresses: (node) => [address6(node)] },
  'IPv4 multicast, its address computed from the name': { nodes: 3, transport: 'udp' },
  'IPv4 multicast on an address and port of the file': {
    ...{ nodes: 3, transport: 'udp' },
    interfaces: { 0: { mcastaddr: '239.192.77.7', mcastport: '5505' } },
  },
  'IPv6 multicast': { nodes: 3, transport: 'udp', addresses: (node) => [address6(node)] },
};

for (const [name, options] of Object.entries(oneNetwork)) {
  test(
    `a ring over ${name} hears all in one order, loses a node and takes it back`,
    { skip: skipFor(options) },
    async () => {
      const ring = await RingNetwork.start(options);
      try {
        await ring.talk(ring.nodes, SIZES);
        await ring.node(1).end('SIGKILL');
        await ring.together(ring.some(2, 3));
        await ring.group(ring.some(2, 3));
        await ring.talk(ring.some(2, 3), SIZES);
        ring.node(1).start();
        await ring.whole();
        await ring.group(ring.nodes);
        await ring.talk(ring.nodes, SIZES);
        assertAgreement(ring.nodes.map((node) => node.history));
      } finally {
        await ring.remove();
      }
    },
  );
}
