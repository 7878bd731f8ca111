/**
 * What the agent may rely on whichever engine serves: the contract of agent/engine/engine.ts, on real processes and a
 * real network. Each test leaves the cluster whole for the next.
 *
 * Where the engines differ on purpose, it is said here:
 * - a reload: Corosync has every node read its file, the bundled engine only its own, for the agent decides when each
 *   node follows; so it is asked on every node.
 * - links: Corosync measures them with knet only; the bundled engine always.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  ConformanceCluster,
  confText,
  membersOf,
  until,
  type ConformanceNode,
  type Variant,
} from './conformance-cluster.ts';
import { assertAgreement } from './ring-history.ts';

const NODES = 3;
const MIB = 1024 * 1024;

export function conformance(name: string, variant: Variant, skip: string | false): void {
  describe(name, { skip }, () => {
    let cluster: ConformanceCluster;
    before(async () => {
      cluster = await ConformanceCluster.start(variant, NODES);
    });
    after(async () => {
      await cluster.remove();
    });
    const all = (): ConformanceNode[] => cluster.some(1, 2, 3);

    /** All nodes have heard these lines, once, in one order, each sender's in the order of their sender. */
    const allHear = async (nodes: readonly ConformanceNode[], from: readonly number[], said: readonly string[][]) => {
      const wanted = said.flat();
      const heard = () => nodes.map((node, index) => node.history.since(from[index] ?? 0));
      await until(
        `${wanted.length} messages on ${nodes.length} nodes`,
        () => heard().every((list) => list.length >= wanted.length),
        () => `${heard().map((list) => list.length)}`,
      );
      for (const list of heard()) {
        assert.deepEqual([...list].sort(), [...wanted].sort(), 'all that was sent, once and unchanged');
        assert.deepEqual(list, heard()[0], 'one order for all');
        for (const own of said)
          assert.deepEqual(
            list.filter((line) => own.includes(line)),
            own,
            'in the order of their sender',
          );
      }
    };
    const lengths = (nodes: readonly ConformanceNode[]): number[] => nodes.map(({ history }) => history.length);

    test('messages of all reach all, the sender too, in one order', async () => {
      const from = lengths(all());
      const sizes = Array.from({ length: 60 }, (_, index) => 10 + ((index * 7919) % 5000));
      const said = await Promise.all(all().map((node) => node.say(sizes)));
      await allHear(
        all(),
        from,
        said.map(({ lines }) => [...lines]),
      );
    });

    test('a message of 1 MiB, and of the 64 KiB more that may belong to it, arrives as it was sent', async () => {
      const from = lengths(all());
      const { lines } = await cluster.node(2).say([MIB, 100, MIB + 64 * 1024, 200]);
      await allHear(all(), from, [[...lines]]);
    });

    test('a larger one is refused', async () => {
      await assert.rejects(cluster.node(1).say([MIB + 64 * 1024 + 1]), { name: 'RangeError' });
    });

    test('a sender that is faster than the ring has to wait, and nothing is lost or overtaken', async () => {
      const from = lengths(all());
      const count = 160;
      const { lines, takenAtOnce } = await cluster.node(1).say(Array.from({ length: count }, () => 64 * 1024));
      assert.ok(takenAtOnce < count, `${takenAtOnce} of ${count} were taken at once`);
      await allHear(all(), from, [[...lines]]);
    });

    test('who leaves the group is named in the view, and who enters it; the ring stays', async () => {
      const ring = cluster.node(1).views.at(-1)?.ringId;
      await cluster.node(3).ask({ do: 'leave' });
      await until('a group of 1,2', () => cluster.node(1).history.members.join() === '1,2');
      assert.deepEqual(cluster.node(1).views.at(-1), { ringId: ring, members: [1, 2], joined: [], left: [3] });
      const heard = cluster.node(3).views.length;
      await cluster.node(3).ask({ do: 'enter' });
      // Its last view before it left named the same three.
      await until('node 3 is told of the group', () => cluster.node(3).views.length > heard);
      await cluster.together(all());
      assert.deepEqual(cluster.node(2).views.at(-1), { ringId: ring, members: [1, 2, 3], joined: [3], left: [] });
      assert.ok(
        cluster
          .node(3)
          .views.at(-1)
          ?.joined.some((node) => node === 3),
      );
      cluster.forget();
    });

    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const how = signal === 'SIGKILL' ? 'dies' : 'stops in order';
      test(`an engine that ${how} is gone from the next view, its own process is told, and both return by themselves`, async () => {
        const [one, two, three] = cluster.some(1, 2, 3) as [ConformanceNode, ConformanceNode, ConformanceNode];
        const told = three.connections.length;
        const seen = one.views.length;
        const streams = [one, two].map((node) =>
          node.say(
            Array.from({ length: 150 }, () => 700),
            'one-by-one',
          ),
        );
        await three.end(signal);
        await until('the process of node 3 is told', () => three.connections.length > told);
        assert.equal(three.connections.at(-1), false);
        await until('it says so', () => three.status?.state.kind === 'down');
        await assert.rejects(three.say([10]), { name: 'EngineDown' });
        await Promise.all(streams);
        await cluster.together([one, two]);
        assert.deepEqual(one.views.at(-1), two.views.at(-1));
        // A stop in order may be seen in two steps: its process leaves the group, then the node the ring.
        const left = one.views.slice(seen).flatMap((view) => view.left);
        assert.deepEqual(left, [3]);
        assert.ok(one.status?.quorum.quorate && one.status.quorum.totalVotes === 2);
        assertAgreement([one.history, two.history]);

        const before = three.views.length;
        three.start();
        await cluster.together(all());
        assert.equal(three.connections.at(-1), true);
        assert.deepEqual(one.views.at(-1)?.joined, [3]);
        // It may be alone at first, until the others hear it.
        assert.ok(three.views[before]?.joined.some((node) => node === 3));
        await until('all votes are counted', () => all().every(({ status }) => status?.quorum.totalVotes === 3));
        assertAgreement(all().map(({ history }) => history));
      });
    }

    test('a cut takes quorum from the smaller part only, and healed they are one ring with one view', async () => {
      const streams = all().map((node) => node.say(Array.from({ length: 100 }, () => 900)));
      await cluster.network.partition([1, 2], [3]);
      await cluster.together(cluster.some(1, 2));
      await cluster.together(cluster.some(3));
      await until('node 3 has no quorum', () => cluster.node(3).status?.quorum.quorate === false);
      assert.equal(cluster.node(1).status?.quorum.quorate, true);
      await Promise.all(streams);
      await cluster.network.heal();
      await cluster.together(all());
      const last = all().map(({ views }) => views.at(-1));
      assert.deepEqual(new Set(last.map((view) => JSON.stringify([view?.ringId, view?.members]))).size, 1);
      assert.deepEqual(last[0]?.joined, [3]);
      assert.deepEqual(last[2]?.joined, [1, 2]);
      await until('all are quorate', () => all().every(({ status }) => status?.quorum.quorate === true));
      assertAgreement(all().map(({ history }) => history));
    });

    test('an engine that stood still comes back, and has heard what it was in the ring for', async () => {
      const [one, two, three] = cluster.some(1, 2, 3) as [ConformanceNode, ConformanceNode, ConformanceNode];
      const streams = [one, two].map((node) => node.say(Array.from({ length: 100 }, () => 900)));
      three.signal('SIGSTOP');
      await cluster.together([one, two]);
      await Promise.all(streams);
      await until('its own process is told that it does not answer', () => three.status?.state.kind === 'down');
      // Asked all the same, it has an answer: nothing in the process waits for an engine that stands still.
      const text = confText(variant, { nodes: NODES, version: 1 });
      assert.match(String(await three.ask({ do: 'read-back', text })), /does not answer/);
      three.signal('SIGCONT');
      await cluster.together(all());
      assertAgreement(all().map(({ history }) => history));
      const from = lengths(all());
      await allHear(all(), from, [[...(await three.say([10, 2000])).lines]]);
    });

    test('quorum is lost with the majority and won with it, and expected votes are told to all', async () => {
      await cluster.node(3).end('SIGKILL');
      await cluster.together(cluster.some(1, 2));
      await assert.rejects(cluster.node(1).ask({ do: 'expected', votes: 0 }));
      await cluster.node(1).ask({ do: 'expected', votes: 2 });
      await until('nodes 1 and 2 expect 2 votes', () =>
        cluster.some(1, 2).every(({ status }) => status?.quorum.expectedVotes === 2 && status.quorum.quorum === 2),
      );
      await cluster.node(2).end('SIGKILL');
      await until('node 1 has lost quorum', () => cluster.node(1).status?.quorum.quorate === false);
      for (const node of cluster.some(2, 3)) node.start();
      await cluster.together(all());
      await until('all are quorate and expect 3 votes', () =>
        all().every(({ status }) => status?.quorum.quorate === true && status.quorum.expectedVotes === 3),
      );
      cluster.forget();
    });

    if (variant.transport === 'knet' || variant.engine === 'totem') {
      test('links are told with state, latency and MTU; one that is cut is down, and the ring does not notice', async () => {
        const one = cluster.node(1);
        const pathsTo = (peer: number) => one.status?.links.filter((link) => link.peer === peer) ?? [];
        await until(
          'links to both are up and measured',
          () =>
            [2, 3].every(
              (peer) =>
                pathsTo(peer).length === variant.links &&
                pathsTo(peer).every((l) => l.connected && l.latencyUs !== null),
            ),
          () => JSON.stringify(one.status?.links),
        );
        if (variant.links === 1) return;
        const ring = one.status?.ringId;
        await cluster.node(3).host.cutNetwork(1);
        await until('link 1 to node 3 is down', () =>
          pathsTo(3).some(({ link, state }) => link === 1 && state === 'down'),
        );
        assert.ok(pathsTo(3).some(({ link, state }) => link === 0 && state === 'up'));
        assert.deepEqual(one.status?.ringId, ring);
        await cluster.node(3).host.dropNothing();
        await until('link 1 to node 3 is up', () => pathsTo(3).every(({ state }) => state === 'up'));
        assert.ok(pathsTo(3).every(({ link, failures }) => link === 0 || failures > 0));
      });
    }

    test('a reload brings a new node in, and says of what it cannot do that it waits', async () => {
      const reloadAll = async (text: string) => {
        for (const node of cluster.nodes) node.write(text);
        const reports = [];
        for (const node of variant.engine === 'totem' ? all() : cluster.some(1)) reports.push(await node.reload());
        return reports;
      };
      const four = confText(variant, { nodes: 4, version: 2 });
      for (const report of await reloadAll(four)) {
        assert.equal(report.configVersion, 2);
        assert.match(report.live.join('\n'), /n4|node 4/i);
        assert.deepEqual(report.needsRestart, []);
      }
      await until('all run version 2', () => all().every(({ status }) => status?.configVersion === 2));
      for (const node of all()) assert.deepEqual(await node.ask({ do: 'read-back', text: four }), []);
      cluster.node(4).start();
      await cluster.node(4).connect();
      await cluster.together(cluster.some(1, 2, 3, 4));
      await until('four votes are expected', () => all().every(({ status }) => status?.quorum.expectedVotes === 4));
      assert.deepEqual(membersOf(cluster.node(4)), [1, 2, 3, 4]);

      const renamed = confText(variant, { nodes: 4, version: 3, clusterName: 'another' });
      for (const report of await reloadAll(renamed)) assert.match(report.needsRestart.join('\n'), /name/i);
    });
  });
}
