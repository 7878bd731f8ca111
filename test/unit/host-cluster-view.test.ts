import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NodeReport } from '../../agent/rpc/api.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import type { EngineStatus, QuorumFlag } from '../../agent/engine/engine.ts';
import { clusterView, withoutMember } from '../../electron/host/fleet/cluster-view.ts';
import type { Witness } from '../../electron/host/fleet/cluster-view.ts';
import { emptyClusters } from '../../electron/host/fleet/clusters.ts';
import { chooseRing0 } from '../../electron/host/procedures/newcomer.ts';

interface Scene {
  readonly local: number;
  readonly nodes?: number;
  readonly ring?: readonly number[];
  readonly name?: string;
  readonly state?: EngineStatus['state'];
  readonly version?: number;
  readonly net?: string;
  readonly flags?: readonly QuorumFlag[];
}

/** A node's report in a cluster of `nodes` nodes of one vote, seeing the `ring`. */
function report(scene: Scene): NodeReport {
  const { local, nodes = 3, name = 'demo', version = 3, net = '10.0.0', flags = [] } = scene;
  const ring = scene.ring ?? Array.from({ length: nodes }, (_, index) => index + 1);
  const quorum = Math.floor(nodes / 2) + 1;
  const quorate = ring.length >= quorum;
  return {
    hostname: `pve${local}`,
    agentVersion: '1',
    os: 'Debian',
    supervision: 'self',
    clockMs: 0,
    addresses: [{ interface: 'eth0', address: `${net}.${local}`, prefix: 24, family: 4 }],
    services: [],
    localConfigVersion: version,
    apply: null,
    engine: {
      engine: 'totem',
      state: scene.state ?? { kind: 'operational' },
      clusterName: name,
      configVersion: version,
      transport: 'udpu',
      localNode: nodeId(local),
      ringId: { representative: nodeId(ring[0] ?? local), sequence: 0x20 },
      members: Array.from({ length: nodes }, (_, index) => ({
        nodeId: nodeId(index + 1),
        name: `pve${index + 1}`,
        votes: 1,
        addresses: [{ link: 0, address: `${net}.${index + 1}` }],
        state: ring.includes(index + 1) ? ('member' as const) : ('absent' as const),
        local: index + 1 === local,
      })),
      links: [],
      quorum: {
        quorate,
        expectedVotes: nodes,
        highestExpected: nodes,
        totalVotes: ring.length,
        quorum,
        flags,
      },
    },
    fileSystem: {
      mode: 'cluster',
      pid: 1,
      mount: { kind: 'none', reason: '' },
      writability: quorate ? { kind: 'writable' } : { kind: 'read-only', reason: 'no quorum' },
      synced: true,
      version: { epoch: 1, index: 1 },
      entries: 1,
      bytes: 1,
      limits: { entries: 1, bytes: 1 },
    },
  };
}

const witness = (scene: Scene, reachable = true): Witness => ({
  hostId: `h${scene.local}`,
  reachable,
  toldMs: 1000,
  report: report(scene),
});
const view = (...witnesses: Witness[]): NonNullable<ReturnType<typeof clusterView>> => {
  const found = clusterView('demo', 'demo', witnesses, [], null);
  assert.ok(found !== null);
  return found;
};

describe('the picture of a cluster', () => {
  test('with every node there it is quorate and says so', () => {
    const seen = view(witness({ local: 1 }), witness({ local: 2 }), witness({ local: 3 }));
    assert.equal(seen.summary, 'Quorate: 3 of 3 votes, 2 needed.');
    assert.equal(seen.writability, 'writable');
    assert.equal(seen.ringId, '1.20');
    assert.deepEqual(
      seen.members.map(({ hostId, state, runningVersion, diskVersion }) => [
        hostId,
        state,
        runningVersion,
        diskVersion,
      ]),
      [
        ['h1', 'member', 3, 3],
        ['h2', 'member', 3, 3],
        ['h3', 'member', 3, 3],
      ],
    );
  });
  test('without quorum it says what is missing', () => {
    const seen = view(witness({ local: 1, ring: [1] }), witness({ local: 2 }, false), witness({ local: 3 }, false));
    assert.equal(
      seen.summary,
      'No quorum: 1 of 3 votes, 2 needed. Everything is read-only until one more node returns.',
    );
    assert.equal(seen.writability, 'read-only');
    const five = view(witness({ local: 1, nodes: 5, ring: [1] }));
    assert.match(five.summary, /until 2 more nodes return\.$/);
  });
  test('the quorate side of a partition is believed, whichever report comes first', () => {
    const minority = witness({ local: 1, ring: [1] });
    const majority = witness({ local: 2, ring: [2, 3] });
    for (const order of [
      [minority, majority],
      [majority, minority],
    ]) {
      const seen = view(...order);
      assert.equal(seen.seenFrom, 'h2');
      assert.deepEqual(
        seen.members.map(({ state }) => state),
        ['absent', 'member', 'member'],
      );
    }
  });
  test('a node whose engine is down is not believed over one that is in the ring', () => {
    const down = witness({ local: 1, state: { kind: 'down', reason: 'it crashed' } });
    const seen = view(down, witness({ local: 2, ring: [2, 3] }));
    assert.equal(seen.seenFrom, 'h2');
    assert.equal(seen.members[0]?.runningVersion, null);
    assert.equal(seen.members[0]?.diskVersion, 3);
  });
  test('with every engine down the reason is shown and nobody is a member', () => {
    const seen = view(witness({ local: 1, state: { kind: 'down', reason: 'it crashed' } }));
    assert.equal(seen.summary, 'No reachable member is in the ring. On pve1 the engine is down: it crashed.');
    assert.ok(seen.members.every(({ state, ifItFailed }) => state === 'absent' && ifItFailed === null));
  });
  test('with nobody reachable the last picture stays, marked as such', () => {
    const seen = view(witness({ local: 1 }, false));
    assert.equal(seen.seenFrom, null);
    assert.equal(seen.writability, 'unknown');
    assert.equal(seen.summary, 'No member can be reached. When last seen: quorate, 3 of 3 votes, 2 needed.');
    assert.ok(seen.members.every(({ runningVersion, ifItFailed }) => runningVersion === null && ifItFailed === null));
  });
  test('what would happen if a member failed', () => {
    const three = view(witness({ local: 1 }));
    assert.deepEqual(three.members[2]?.ifItFailed, { votes: 2, quorate: true });
    const two = view(witness({ local: 1, ring: [1, 2] }));
    assert.deepEqual(two.members[1]?.ifItFailed, { votes: 1, quorate: false });
    assert.equal(two.members[2]?.ifItFailed, null);
  });
  test('with auto_tie_breaker the half that holds the lowest node id stays quorate', () => {
    const quorum = {
      quorate: true,
      expectedVotes: 2,
      highestExpected: 2,
      totalVotes: 2,
      quorum: 2,
      flags: ['Quorate' as const, 'AutoTieBreaker' as const],
    };
    const ring = [{ nodeId: 1 }, { nodeId: 2 }];
    assert.deepEqual(withoutMember({ nodeId: 2, votes: 1 }, ring, quorum), { votes: 1, quorate: true });
    assert.deepEqual(withoutMember({ nodeId: 1, votes: 1 }, ring, quorum), { votes: 1, quorate: false });
  });
});

describe('which hosts form which cluster', () => {
  const member = (scene: Scene, host: string, reachable = true, lab = false) => ({
    ...witness(scene, reachable),
    hostId: host,
    lab,
  });
  test('hosts of one cluster share one view, named after it', () => {
    const clusters = emptyClusters();
    const views = clusters.update([member({ local: 1 }, 'a'), member({ local: 2 }, 'b')], []);
    assert.deepEqual(
      views.map(({ id }) => id),
      ['demo'],
    );
    assert.equal(clusters.clusterOf('b'), 'demo');
  });
  test('two clusters of one name stay two, and keep their ids', () => {
    const clusters = emptyClusters();
    const first = member({ local: 1 }, 'a');
    const second = member({ local: 1, net: '10.9.9' }, 'b');
    const before = clusters.update([first, second], []).map(({ id }) => id);
    assert.equal(before.length, 2);
    assert.equal(new Set(before).size, 2);
    const ofSecond = clusters.clusterOf('b');
    clusters.update([second, first], []);
    assert.equal(clusters.clusterOf('b'), ofSecond);
    clusters.update([second], []);
    assert.equal(clusters.clusterOf('b'), ofSecond);
  });
  test('a lab cluster is not taken for a real one of the same name', () => {
    const clusters = emptyClusters();
    clusters.update([member({ local: 1 }, 'a'), member({ local: 1 }, 'l', true, true)], []);
    assert.notEqual(clusters.clusterOf('a'), clusters.clusterOf('l'));
  });
  test('a cluster stays when its nodes die, and goes when they leave it', () => {
    const clusters = emptyClusters();
    clusters.update([member({ local: 1 }, 'a')], []);
    assert.equal(clusters.update([member({ local: 1 }, 'a', false)], [])[0]?.seenFrom, null);
    const alone = { ...member({ local: 1 }, 'a'), report: { ...report({ local: 1 }), engine: null } };
    assert.deepEqual(clusters.update([alone], []), []);
    assert.equal(clusters.clusterOf('a'), null);
  });
  test('a member nobody is connected to is linked to the host entry of its address', () => {
    const clusters = emptyClusters();
    const [seen] = clusters.update([member({ local: 1 }, 'a')], [{ id: 'x', address: '10.0.0.3' }]);
    assert.deepEqual(
      seen?.members.map(({ hostId }) => hostId),
      ['a', null, 'x'],
    );
  });
});

describe('the ring address of a newcomer', () => {
  test('is the one in the members’ network, not the one the app happens to use', () => {
    const addresses = ['192.168.1.7', '10.0.0.77'];
    assert.equal(chooseRing0(report({ local: 1 }), { name: 'n', addresses }, '192.168.1.7'), '10.0.0.77');
    assert.equal(chooseRing0(report({ local: 1 }), { name: 'n', addresses }, '10.0.0.77'), '10.0.0.77');
  });
  test('is the one the app uses when no network is shared', () => {
    const newcomer = { name: 'n', addresses: ['172.16.0.1', '192.168.1.7'] };
    assert.equal(chooseRing0(report({ local: 1 }), newcomer, '192.168.1.7'), '192.168.1.7');
    assert.equal(chooseRing0(report({ local: 1 }), newcomer, 'n.example'), '172.16.0.1');
  });
});
