/** The contract of conformance.ts where five nodes make a difference: two deaths at once, two parts, a sender on each. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { ConformanceCluster, until, type ConformanceNode, type Variant } from './conformance-cluster.ts';
import { whyNoNamespaces } from './namespaces.ts';
import { assertAgreement } from './ring-history.ts';

const noCorosync =
  whyNoNamespaces || (existsSync('/usr/sbin/corosync') ? false : "Debian's package corosync is not installed");

five(
  'five nodes of the bundled engine over udpu, encrypted',
  { engine: 'totem', transport: 'udpu', encrypted: true, links: 1 },
  whyNoNamespaces,
);
five(
  'five nodes of Corosync over knet, encrypted',
  { engine: 'corosync', transport: 'knet', encrypted: true, links: 1 },
  noCorosync,
);

function five(name: string, variant: Variant, skip: string | false): void {
  describe(name, { skip }, () => {
    let cluster: ConformanceCluster;
    before(async () => {
      cluster = await ConformanceCluster.start(variant, 5);
    });
    after(async () => {
      await cluster.remove();
    });
    const all = (): ConformanceNode[] => cluster.some(1, 2, 3, 4, 5);
    const histories = (nodes: readonly ConformanceNode[]) => nodes.map(({ history }) => history);
    const stream = (node: ConformanceNode, count: number) =>
      node.say(
        Array.from({ length: count }, (_, index) => 50 + ((index * 977) % 1800)),
        'one-by-one',
      );

    test('what five say at once, five hear in one order', async () => {
      const said = await Promise.all(all().map((node) => stream(node, 60)));
      const wanted = said.flatMap(({ lines }) => lines).sort();
      await until('all have heard all', () => all().every(({ history }) => history.since(0).length >= wanted.length));
      for (const { history } of all()) {
        assert.deepEqual([...history.since(0)].sort(), wanted);
        assert.deepEqual(history.since(0), cluster.node(1).history.since(0));
      }
    });

    test('two that die at once leave three with quorum and one view; both return', async () => {
      const three = cluster.some(1, 2, 3);
      const streams = three.map((node) => stream(node, 120));
      await Promise.all(cluster.some(4, 5).map((node) => node.end('SIGKILL')));
      await Promise.all(streams);
      await cluster.together(three);
      for (const { status } of three) {
        assert.deepEqual([status?.quorum.quorate, status?.quorum.totalVotes], [true, 3]);
      }
      assertAgreement(histories(three));
      for (const node of cluster.some(4, 5)) node.start();
      await cluster.together(all());
      await until('five votes', () => all().every(({ status }) => status?.quorum.totalVotes === 5));
      assertAgreement(histories(all()));
    });

    test('of three and two, that are cut apart, the three have quorum; healed, all are one', async () => {
      const [larger, smaller] = [cluster.some(1, 3, 5), cluster.some(2, 4)];
      const streams = all().map((node) => stream(node, 80));
      await cluster.network.partition([1, 3, 5], [2, 4]);
      await cluster.together(larger);
      await cluster.together(smaller);
      await until('the smaller part has no quorum', () =>
        smaller.every(({ status }) => status?.quorum.quorate === false),
      );
      assert.ok(larger.every(({ status }) => status?.quorum.quorate === true));
      await Promise.all(streams);
      await cluster.network.heal();
      await cluster.together(all());
      await until('all are quorate', () => all().every(({ status }) => status?.quorum.quorate === true));
      assertAgreement(histories(all()));
    });
  });
}
