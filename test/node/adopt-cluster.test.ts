/**
 * Clusters that exist already: real Corosync on hosts without our agent, seen and changed over SSH. Every test leaves
 * the cluster whole for the next.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newConf, setValue } from '../../agent/conf/index.ts';
import { HostApp } from '../../electron/host/app.ts';
import type { ClusterView, HostView, OperationView } from '../../electron/host/api.ts';
import { AdoptNodes, until, whyNoAdoptNodes } from './adopt-nodes.ts';

const MEMBERS = ['db1', 'db2', 'db3'];
const CONF = 'etc/corosync/corosync.conf';

describe('a cluster that runs Corosync and not our agent', { skip: whyNoAdoptNodes, timeout: 440_000 }, () => {
  const settings = mkdtempSync(join(tmpdir(), 'ringmaster-adopt-app-'));
  let nodes: AdoptNodes;
  let app: HostApp;
  const ids = new Map<string, string>();

  const open = (): HostApp =>
    new HostApp({
      settingsDirectory: settings,
      knownHostsFile: nodes.paths.knownHosts,
      lab: null,
      bundleDirectory: join(settings, 'no-bundle'),
      shell: 'browser',
    });
  const host = (name: string): HostView | null =>
    app.snapshot().hosts.find((one) => one.host.address === nodes.address(name)) ?? null;
  const cluster = (): ClusterView | null => app.snapshot().clusters.find(({ name }) => name === 'payroll') ?? null;
  const theCluster = (): ClusterView => {
    const found = cluster();
    assert.ok(found !== null, JSON.stringify(app.snapshot(), null, 1));
    return found;
  };
  const onDisk = (name: string): string => readFileSync(nodes.path(name, CONF), 'utf8');
  const runs = async (name: string, key: string): Promise<string> =>
    (await nodes.run(name, `corosync-cmapctl -g ${key}`)).trim();
  const ended = async (operation: string, withinMs: number): Promise<OperationView> =>
    until(`the end of ${operation}`, withinMs, () => {
      const view = app.snapshot().operations.find(({ id }) => id === operation);
      return view !== undefined && view.state !== 'running' ? view : null;
    });
  const succeeded = async (operation: string, withinMs = 60_000): Promise<OperationView> => {
    const view = await ended(operation, withinMs);
    assert.equal(view.state, 'done', JSON.stringify(view, null, 1));
    return view;
  };
  const whole = (count: number) => (): boolean => {
    const view = cluster();
    return view?.quorum.totalVotes === count && view.members.filter(({ state }) => state === 'member').length === count;
  };
  /** Puts a changed token timeout on trial. */
  const tryToken = async (token: number, confirmWithinMs: number): Promise<void> => {
    const { file } = await app.openConf(theCluster().id);
    const text = setValue(file.text, 'totem', 'token', String(token));
    const plan = await app.planConf(theCluster().id, text, file.digest);
    assert.equal(plan.method, 'reload');
    const { baseDigest, method } = plan;
    const { operation } = await app.applyConf(theCluster().id, {
      text: plan.text,
      baseDigest,
      method,
      confirmWithinMs,
    });
    await succeeded(operation);
  };

  before(async () => {
    nodes = await AdoptNodes.make([...MEMBERS, 'db4']);
    const listed = MEMBERS.map((name, index) => {
      return { name, nodeId: index + 1, votes: 1, addresses: [{ link: 0, address: nodes.address(name) }] };
    });
    const conf = newConf({ clusterName: 'payroll', transport: 'knet', nodes: listed, secauth: 'on' });
    await nodes.startCorosync(MEMBERS, setValue(conf, 'totem', 'token', '2000'), randomBytes(256));
    app = open();
  });
  after(async () => {
    app.close();
    await nodes.remove();
    rmSync(settings, { recursive: true, force: true });
  });

  test('one node shows the whole cluster, and offers the others without connecting to them', async () => {
    ids.set('db1', (await app.addHost(nodes.host('db1'))).id);
    await until('the ring of three', 40_000, whole(3));
    const { adopted, quorum, members, ringId, configVersion, transport } = theCluster();
    assert.equal(quorum.quorate, true);
    assert.match(ringId ?? '', /^1\.[0-9a-f]+$/);
    assert.deepEqual([configVersion, transport], [1, 'knet']);
    assert.deepEqual(
      members.map(({ name, hostId }) => [name, hostId !== null]),
      [
        ['db1', true],
        ['db2', false],
        ['db3', false],
      ],
    );
    assert.equal(adopted?.manager, 'plain');
    assert.match(adopted?.versions ?? '', /^Corosync 3\./);
    assert.deepEqual(
      adopted?.offers.map(({ name, address }) => [name, address]),
      [
        ['db2', nodes.address('db2')],
        ['db3', nodes.address('db3')],
      ],
    );
    assert.equal(app.snapshot().hosts.length, 1);
  });

  test('links are shown with their latency and MTU, and the ring with its statistics', async () => {
    const link = await until('a measured link', 30_000, () => {
      const found = host('db1')?.adopted?.links.find(({ peer }) => peer === 2);
      return found !== undefined && found.latencyUs !== null && found.mtu !== null ? found : null;
    });
    assert.equal(link.connected, true);
    assert.ok((link.mtu ?? 0) > 400 && (link.mtu ?? 0) < 1500, String(link.mtu));
    assert.ok((host('db1')?.adopted?.statistics?.messagesSent ?? 0) > 0);
  });

  test('nothing is put onto a host by looking at it', async () => {
    for (const place of ['var/lib/ringmaster', 'etc/corosync/corosync.conf.bak']) {
      assert.equal(existsSync(nodes.path('db1', place)), false, place);
    }
    assert.equal((await nodes.run('db1', 'ls /run /tmp')).includes('ringmaster'), false);
  });

  test('a change is refused while a node of the ring cannot be reached: each needs the same file', async () => {
    const { file } = await app.openConf(theCluster().id);
    await assert.rejects(
      app.planConf(theCluster().id, setValue(file.text, 'totem', 'token', '3000'), file.digest),
      /db2, db3 are in the ring and cannot be reached/,
    );
  });

  test('a file that differs on one node is named, with what to do', async () => {
    for (const name of ['db2', 'db3']) ids.set(name, (await app.addHost(nodes.host(name))).id);
    await until('all three answer', 30_000, () =>
      theCluster().members.every(({ diskVersion }) => diskVersion !== null),
    );
    await nodes.run('db3', `sed -i 's/token: 2000/token: 2500/' /${CONF}`);
    const found = await until(
      'the drift',
      20_000,
      () => theCluster().adopted?.findings.find(({ id }) => id === 'drift-db3') ?? null,
    );
    assert.equal(found.sentence, 'db3 has another corosync.conf than db1 and db2: both say version 1.');
    assert.match(found.advice ?? '', /apply the right one/);
    await nodes.run('db3', `sed -i 's/token: 2500/token: 2000/' /${CONF}`);
  });

  test('an apply runs on every node, and stays when it is confirmed', async () => {
    await tryToken(3000, 60_000);
    const waiting = theCluster().apply;
    assert.equal(waiting?.phase, 'confirm');
    assert.ok((waiting?.remainingMs ?? 0) > 40_000);
    for (const name of MEMBERS) assert.match(await runs(name, 'totem.token'), /= 3000$/);
    await app.confirmConf(theCluster().id);
    for (const name of MEMBERS) {
      assert.match(onDisk(name), /config_version: 2\n/);
      await until(
        `no trace on ${name}`,
        10_000,
        async () => (await nodes.on(name, 'test ! -e /run/ringmaster-trial')).code === 0,
      );
    }
    assert.equal((await app.confHistory(theCluster().id))[0]?.outcome, 'confirmed');
  });

  test('an apply that needs restarts takes the nodes one after the other, with quorum all the time', async () => {
    const { file } = await app.openConf(theCluster().id);
    const plan = await app.planConf(theCluster().id, setValue(file.text, 'totem', 'link_mode', 'active'), file.digest);
    assert.equal(plan.method, 'rolling-restart', JSON.stringify(plan, null, 1));
    const pids = async (): Promise<string[]> => Promise.all(MEMBERS.map((name) => nodes.run(name, 'pidof corosync')));
    const before = await pids();
    const { text, baseDigest, method } = plan;
    const { operation } = await app.applyConf(theCluster().id, { text, baseDigest, method, confirmWithinMs: 60_000 });
    const view = await until('its end', 120_000, async () => {
      const samples = await Promise.all(MEMBERS.map((name) => nodes.on(name, 'corosync-quorumtool -s')));
      const quorate = samples.filter(({ stdout }) => /^Quorate: +Yes/m.test(stdout)).length;
      assert.ok(quorate >= 2, samples.map(({ stdout, stderr }) => stdout + stderr).join('\n'));
      const found = app.snapshot().operations.find(({ id }) => id === operation);
      return found !== undefined && found.state !== 'running' ? found : null;
    });
    assert.equal(view.state, 'done', JSON.stringify(view, null, 1));
    await app.confirmConf(theCluster().id);
    for (const [index, pid] of (await pids()).entries()) assert.notEqual(pid, before[index], MEMBERS[index]);
    for (const name of MEMBERS) assert.match(await runs(name, 'totem.link_mode'), /= active$/);
  });

  test('an apply that is taken back is gone from every node', async () => {
    const before = onDisk('db2');
    await tryToken(4000, 60_000);
    await app.revertConf(theCluster().id);
    for (const name of MEMBERS) {
      assert.equal(onDisk(name), before);
      assert.match(await runs(name, 'totem.token'), /= 3000$/);
    }
  });

  test('without a confirmation every node goes back by itself, though this computer is gone and the nodes are parted', async () => {
    const before = onDisk('db1');
    await tryToken(5000, 6_000);
    app.close();
    await nodes.cut(['db3']);
    for (const name of MEMBERS) {
      await until(
        `${name} is back`,
        40_000,
        async () => onDisk(name) === before && /= 3000$/.test(await runs(name, 'totem.token')),
      );
    }
    await nodes.cut([]);
    app = open();
    await until('the ring of three', 40_000, whole(3));
    assert.deepEqual([...new Set(MEMBERS.map(onDisk))], [before]);
  });

  test('while somebody else has a change on trial on one node, nothing is changed on any', async () => {
    const { file } = await app.openConf(theCluster().id);
    const plan = await app.planConf(theCluster().id, setValue(file.text, 'totem', 'token', '6000'), file.digest);
    await nodes.run(
      'db2',
      'rm -rf /run/ringmaster-trial; mkdir /run/ringmaster-trial; sleep 60 >/dev/null 2>&1 & echo $! > /run/ringmaster-trial/pid',
    );
    const { text, baseDigest, method } = plan;
    const { operation } = await app.applyConf(theCluster().id, { text, baseDigest, method, confirmWithinMs: 10_000 });
    const view = await ended(operation, 60_000);
    assert.equal(view.state, 'failed');
    assert.match(view.error ?? '', /db2: another change is on trial here/);
    await nodes.run('db2', 'kill $(cat /run/ringmaster-trial/pid); rm -rf /run/ringmaster-trial');
    for (const name of MEMBERS) assert.equal(onDisk(name), file.text);
  });

  test('a host with Corosync joins, and every member sees it', async () => {
    ids.set('db4', (await app.addHost(nodes.host('db4'))).id);
    await until('db4 is looked at', 20_000, () => (host('db4')?.adopted?.corosync ?? null) !== null);
    const { checks, nodeId } = await app.preflightJoin(theCluster().id, ids.get('db4') ?? '');
    assert.deepEqual(
      checks.filter(({ state }) => state === 'fail'),
      [],
    );
    assert.equal(nodeId, 4);
    await succeeded((await app.join(theCluster().id, ids.get('db4') ?? '')).operation, 90_000);
    await until('the ring of four', 30_000, whole(4));
    assert.equal(onDisk('db4'), onDisk('db1'));
    assert.equal((await nodes.run('db4', 'stat -c %a /etc/corosync/authkey')).trim(), '400');
  });

  test('a node is removed: it is stopped first, and the others load a file without it', async () => {
    await succeeded((await app.removeNode(theCluster().id, 4)).operation, 90_000);
    await until('the ring of three', 30_000, whole(3));
    for (const name of MEMBERS) assert.doesNotMatch(onDisk(name), /db4/);
    assert.equal(existsSync(nodes.path('db4', CONF)), false);
    assert.match(await nodes.run('db1', 'corosync-quorumtool -s || true'), /Expected votes: +3/);
  });

  test('a node whose Corosync has stopped is named, with how to start it', async () => {
    await nodes.run('db3', 'service corosync stop');
    const found = await until(
      'the finding',
      30_000,
      () => theCluster().adopted?.findings.find(({ id }) => id === 'stopped-db3') ?? null,
    );
    assert.match(found.advice ?? '', /corosync start/);
    // Each host is looked at by itself: the picture may still come from one that was asked before.
    await until('two votes', 20_000, () => theCluster().quorum.totalVotes === 2);
    await nodes.run('db3', 'service corosync start');
    await until('the ring of three', 40_000, whole(3));
  });
});
