import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addNodeToCluster, undoAddNode } from '../../agent/cluster/add-node.ts';
import { modelOf } from '../../agent/cluster/conf-write.ts';
import { createCluster } from '../../agent/cluster/create.ts';
import { joinCluster } from '../../agent/cluster/join.ts';
import { preflightAdd, preflightJoin } from '../../agent/cluster/preflight.ts';
import type { CreateRequest, JoinTicket } from '../../agent/rpc/api.ts';
import { memoryNode, stepWatcher } from './cluster-node.ts';
import type { MemoryNode } from './cluster-node.ts';

const create: CreateRequest = { clusterName: 'lab', engine: 'totem', ring0Addr: null, nodeId: null, votes: 1 };

async function member(): Promise<MemoryNode> {
  const node = memoryNode('pve1');
  await createCluster(node.ports, create, stepWatcher());
  node.calls.length = 0;
  return node;
}

const addPve2 = { name: 'pve2', ring0Addr: '10.0.0.2', nodeId: null, votes: 1 };

describe('create', () => {
  test('writes corosync.conf beside and into the tree, starts the engine before pmxcfs, ends quorate', async () => {
    const node = memoryNode('pve1');
    const watcher = stepWatcher();
    await createCluster(node.ports, create, watcher);
    const conf = modelOf(node.conf ?? '');
    assert.equal(conf.totem.clusterName, 'lab');
    assert.equal(conf.totem.transport, 'udpu');
    assert.equal(conf.totem.secauth, 'on');
    assert.equal(node.authkey, 'a2V5');
    assert.deepEqual(conf.nodelist, [
      { nodeId: 1, name: 'pve1', votes: 1, addresses: [{ link: 0, address: '10.0.0.1' }] },
    ]);
    assert.equal(node.tree?.get('corosync.conf'), node.conf);
    assert.ok(node.calls.indexOf('restart engine') < node.calls.indexOf('restart pmxcfs'));
    assert.deepEqual(
      watcher.states(),
      ['check', 'key', 'tree', 'conf', 'engine', 'pmxcfs', 'quorum'].map((id) => `${id} done`),
    );
  });

  test('with Corosync it makes a key too, and asks for knet', async () => {
    const node = memoryNode('pve1');
    await createCluster(node.ports, { ...create, engine: 'corosync' }, stepWatcher());
    assert.equal(node.authkey, 'a2V5');
    assert.equal(node.choice, 'corosync');
    const { totem } = modelOf(node.conf ?? '');
    assert.deepEqual([totem.transport, totem.secauth], ['knet', 'on']);
  });

  for (const [what, change, reason] of [
    ['a name of 16 characters', { clusterName: 'abcdefghijklmnop' }, /16 characters; 15 are allowed/],
    ['a name with a space', { clusterName: 'my lab' }, /letters, digits and hyphens/],
    ['a name that begins with a hyphen', { clusterName: '-lab' }, /letters, digits and hyphens/],
    ['no votes', { votes: 0 }, /at least one vote/],
    ['an address of another host', { ring0Addr: '10.0.0.9' }, /not an address of this node/],
    ['a loopback address', { ring0Addr: '127.0.1.1' }, /loopback/],
  ] as const) {
    test(`refuses ${what} and touches nothing`, async () => {
      const node = memoryNode('pve1');
      await assert.rejects(createCluster(node.ports, { ...create, ...change }, stepWatcher()), reason);
      assert.deepEqual(node.calls, []);
      assert.equal(node.conf, null);
    });
  }

  test('refuses a host name that stands for loopback, and says what to do', async () => {
    const node = memoryNode('pve1');
    node.addresses['pve1'] = ['127.0.1.1'];
    await assert.rejects(createCluster(node.ports, create, stepWatcher()), /127\.0\.1\.1.*\/etc\/hosts.*--ring0_addr/);
  });

  test('refuses a node that is in a cluster already', async () => {
    const node = await member();
    await assert.rejects(createCluster(node.ports, create, stepWatcher()), /already in the cluster lab/);
    assert.deepEqual(node.calls, []);
  });

  test('puts everything back when the engine cannot be started', async () => {
    const node = memoryNode('pve1');
    node.failing.add('restart engine');
    const watcher = stepWatcher();
    await assert.rejects(createCluster(node.ports, create, watcher), /restart engine failed/);
    assert.equal(node.conf, null);
    assert.equal(node.tree?.has('corosync.conf'), false);
    assert.equal(node.running.pmxcfs, true);
    assert.deepEqual(watcher.states().slice(-4), ['engine failed', 'pmxcfs skipped', 'quorum skipped', 'undo done']);
  });
});

describe('add a node, on a member', () => {
  test('takes the next node id, raises config_version and hands out the new file', async () => {
    const node = await member();
    const ticket = await addNodeToCluster(node.ports, addPve2, stepWatcher());
    assert.equal(ticket.nodeId, 2);
    assert.equal(ticket.authkey, 'a2V5');
    const conf = modelOf(ticket.conf);
    assert.deepEqual(
      conf.nodelist.map((entry) => entry.name),
      ['pve1', 'pve2'],
    );
    assert.ok((conf.totem.configVersion ?? 0) > 1);
    assert.equal(node.tree?.get('corosync.conf'), ticket.conf);
    assert.equal(node.runningVersion, conf.totem.configVersion);
    assert.equal(node.tree?.has('corosync.conf.new'), false);
    assert.ok(node.tree?.has('corosync.conf.bak'));
  });

  for (const [what, change, reason] of [
    ['a name that is taken', { name: 'pve1' }, /named pve1 is in the cluster already/],
    ['an address that is taken', { ring0Addr: '10.0.0.1' }, /belongs to pve1 already/],
    ['a node id that is taken', { nodeId: 1 }, /node id 1 is taken/],
    ['a name that is no host name', { name: 'pve 2' }, /node name/],
  ] as const) {
    test(`refuses ${what} and writes nothing`, async () => {
      const node = await member();
      await assert.rejects(addNodeToCluster(node.ports, { ...addPve2, ...change }, stepWatcher()), reason);
      assert.deepEqual(node.calls, []);
    });
  }

  test('refuses without quorum', async () => {
    const node = await member();
    node.expected = 5;
    await assert.rejects(addNodeToCluster(node.ports, addPve2, stepWatcher()), /no quorum: 1 of 3 needed votes/);
  });

  test('takes the node out again when this node does not take the new version', async () => {
    const node = await member();
    node.takesReloads = false;
    await assert.rejects(
      addNodeToCluster(node.ports, addPve2, stepWatcher()),
      /did not take version 2 within 15 s: the engine runs version 1.*taken out of corosync\.conf again/,
    );
    assert.deepEqual(modelOf(node.tree?.get('corosync.conf') ?? '').nodelist.length, 1);
  });

  test('undo regains the quorum that the missing vote cost, and takes the node out', async () => {
    const node = await member();
    const ticket = await addNodeToCluster(node.ports, addPve2, stepWatcher());
    assert.equal(node.ports.engine.status()?.quorum.quorate, false);
    await undoAddNode(node.ports, ticket.nodeId, stepWatcher());
    assert.ok(node.calls.includes('expected 1'));
    assert.deepEqual(
      modelOf(node.conf ?? '').nodelist.map((entry) => entry.nodeId),
      [1],
    );
    assert.equal(node.ports.engine.status()?.quorum.quorate, true);
  });

  test('undo refuses a node that has joined', async () => {
    const node = await member();
    await addNodeToCluster(node.ports, addPve2, stepWatcher());
    node.others = [2];
    await assert.rejects(undoAddNode(node.ports, 2, stepWatcher()), /pve2 has joined the ring/);
    await assert.rejects(undoAddNode(node.ports, 1, stepWatcher()), /cannot take itself out/);
  });
});

describe('join, on the new node', () => {
  async function ticketFor(name: string): Promise<JoinTicket> {
    return addNodeToCluster((await member()).ports, { ...addPve2, name }, stepWatcher());
  }

  test('keeps the old tree aside and ends as a member with the tree in sync', async () => {
    const node = memoryNode('pve2');
    node.tree?.set('datacenter.cfg', 'old');
    node.others = [1];
    const ticket = await ticketFor('pve2');
    await joinCluster(node.ports, ticket, stepWatcher());
    assert.equal(node.conf, ticket.conf);
    assert.equal(node.authkey, 'a2V5');
    assert.deepEqual(
      [...node.setAside.values()].map((tree) => tree?.get('datacenter.cfg')),
      ['old'],
    );
    assert.ok(node.calls.indexOf('restart engine') < node.calls.indexOf('start pmxcfs'));
  });

  test('puts everything back when no member is heard, and says so', async () => {
    const node = memoryNode('pve2');
    node.tree?.set('datacenter.cfg', 'old');
    const watcher = stepWatcher();
    await assert.rejects(
      joinCluster(node.ports, await ticketFor('pve2'), watcher),
      /no other member was heard.*put back as it was before the join/,
    );
    assert.equal(node.conf, null);
    assert.equal(node.tree?.get('datacenter.cfg'), 'old');
    assert.equal(node.setAside.size, 0);
    assert.deepEqual(node.running, { engine: false, pmxcfs: true });
    assert.deepEqual(watcher.states().slice(-3), ['member failed', 'sync skipped', 'undo done']);
  });

  test('puts everything back when it is cancelled', async () => {
    const node = memoryNode('pve2');
    const controller = new AbortController();
    const inner = stepWatcher(controller.signal);
    const watcher = {
      signal: controller.signal,
      onStep: (step: Parameters<typeof inner.onStep>[0]) => {
        inner.onStep(step);
        if (step.id === 'conf' && step.state === 'done') controller.abort();
      },
    };
    await assert.rejects(joinCluster(node.ports, await ticketFor('pve2'), watcher), /cancelled.*put back/);
    assert.equal(node.conf, null);
    assert.deepEqual(inner.states().filter((state) => state.endsWith('skipped')).length, 4);
  });

  test('when going back fails as well, it says where the old tree is', async () => {
    const node = memoryNode('pve2');
    node.failing.add('restore tree');
    await assert.rejects(
      joinCluster(node.ports, await ticketFor('pve2'), stepWatcher()),
      /kept in \/var\/lib\/pve-cluster/,
    );
  });

  test("refuses another host's ticket, one without this node, and one without the key", async () => {
    const node = memoryNode('pve3');
    const ticket = await ticketFor('pve2');
    await assert.rejects(
      joinCluster(node.ports, ticket, stepWatcher()),
      /the ticket is for pve2; this host is called pve3/,
    );
    await assert.rejects(joinCluster(node.ports, { ...ticket, nodeId: 9 }, stepWatcher()), /holds no node 9/);
    const own = memoryNode('pve2');
    await assert.rejects(joinCluster(own.ports, { ...ticket, authkey: null }, stepWatcher()), /lacks the cluster key/);
    assert.deepEqual(node.calls, []);
  });
});

describe('preflight', () => {
  test('a member in good order passes, and is warned that one vote will be missing', async () => {
    const node = await member();
    const checks = await preflightAdd(node.ports, addPve2);
    assert.deepEqual(
      checks.map((check) => `${check.id} ${check.state}`),
      ['writable pass', 'nodelist pass', 'version pass', 'route pass', 'quorum warn'],
    );
  });

  test('a host in a cluster fails', async () => {
    const node = await member();
    const checks = await preflightJoin(node.ports, { clusterName: 'other', memberAddresses: ['10.0.0.7'] });
    assert.equal(checks.find((check) => check.id === 'alone')?.state, 'fail');
  });

  test('a fresh host passes all but the running of services, which the test has none of', async () => {
    const node = memoryNode('pve9');
    const checks = await preflightJoin(node.ports, { clusterName: 'lab', memberAddresses: ['10.0.0.7'] });
    assert.deepEqual(
      checks.filter((check) => check.state !== 'pass').map((check) => check.id),
      ['services'],
    );
  });
});
