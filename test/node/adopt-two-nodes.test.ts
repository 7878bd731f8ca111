/** An adopted cluster of one node takes a second, and loses it again: both pass through a moment without quorum. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newConf, setValue } from '../../agent/conf/index.ts';
import type { ClusterView } from '../../electron/host/api.ts';
import { HostApp } from '../../electron/host/app.ts';
import { AdoptNodes, until, whyNoAdoptNodes } from './adopt-nodes.ts';

describe('an adopted cluster of one node', { skip: whyNoAdoptNodes, timeout: 240_000 }, () => {
  const settings = mkdtempSync(join(tmpdir(), 'ringmaster-adopt-app-'));
  let nodes: AdoptNodes;
  let app: HostApp;
  let [first, second] = ['', ''];

  const cluster = (): ClusterView | null => app.snapshot().clusters.find(({ name }) => name === 'small') ?? null;
  const idOfCluster = (): string => cluster()?.id ?? assert.fail(JSON.stringify(app.snapshot(), null, 1));
  const quorateWith = (votes: number) => (): boolean => {
    const quorum = cluster()?.quorum;
    return quorum?.quorate === true && quorum.totalVotes === votes;
  };
  const succeeded = async (operation: string): Promise<void> => {
    const view = await until(`the end of ${operation}`, 90_000, () => {
      const found = app.snapshot().operations.find(({ id }) => id === operation);
      return found !== undefined && found.state !== 'running' ? found : null;
    });
    assert.equal(view.state, 'done', JSON.stringify(view, null, 1));
  };

  before(async () => {
    nodes = await AdoptNodes.make(['one', 'two']);
    const listed = [{ name: 'one', nodeId: 1, votes: 1, addresses: [{ link: 0, address: nodes.address('one') }] }];
    const conf = newConf({ clusterName: 'small', transport: 'knet', nodes: listed, secauth: 'on' });
    await nodes.startCorosync(['one'], setValue(conf, 'totem', 'token', '1000'), randomBytes(256));
    const files = { settingsDirectory: settings, knownHostsFile: nodes.paths.knownHosts };
    app = new HostApp({ ...files, lab: null, bundleDirectory: join(settings, 'no-bundle'), shell: 'browser' });
    first = (await app.addHost(nodes.host('one'))).id;
    await until('the ring of one', 40_000, quorateWith(1));
  });
  after(async () => {
    app.close();
    await nodes.remove();
    rmSync(settings, { recursive: true, force: true });
  });

  test('is told before that there is no quorum until the second is there, and takes it', async () => {
    second = (await app.addHost(nodes.host('two'))).id;
    await until('two is looked at', 20_000, () => {
      return (app.snapshot().hosts.find(({ id }) => id === second)?.adopted?.corosync ?? null) !== null;
    });
    const { checks } = await app.preflightJoin(idOfCluster(), second);
    const change = checks.find(({ id }) => id === 'change');
    assert.equal(change?.state, 'warn', JSON.stringify(checks, null, 1));
    assert.match(change.detail, /no quorum from then until two is in the ring/);
    await succeeded((await app.join(idOfCluster(), second)).operation);
    await until('two votes', 30_000, quorateWith(2));
    assert.match(await nodes.run('one', 'corosync-quorumtool -s || true'), /Expected votes: +2/);
  });

  test('of which one has died is given quorum by expecting fewer votes, and both are one again afterwards', async () => {
    await nodes.run('two', 'kill -9 $(pidof corosync)');
    await until('quorum is lost', 30_000, () => cluster()?.quorum.quorate === false);
    await assert.rejects(
      app.openConf(idOfCluster()).then(({ file }) => app.planConf(idOfCluster(), file.text, file.digest)),
      {
        message: /no quorum/,
      },
    );
    await app.expectVotes(first, 1);
    await until('quorum with one vote', 20_000, quorateWith(1));
    await nodes.run('two', 'service corosync start');
    await until('two votes', 40_000, quorateWith(2));
  });

  test('gives it up again, and has quorum alone', async () => {
    await succeeded((await app.removeNode(idOfCluster(), 2)).operation);
    await until('one vote', 30_000, quorateWith(1));
    assert.doesNotMatch(readFileSync(nodes.path('one', 'etc/corosync/corosync.conf'), 'utf8'), /two/);
    assert.match(await nodes.run('one', 'corosync-quorumtool -s || true'), /Expected votes: +1/);
  });
});
