/** When the tree's corosync.conf is installed on a node, and what the node says when it is not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pushConf } from '../../agent/cluster/push-conf.ts';
import { newConf, setConfigVersion } from '../../agent/conf/index.ts';

const CONF = newConf({
  clusterName: 'prod',
  transport: 'udpu',
  secauth: 'off',
  nodes: [{ nodeId: 1, name: 'pve1', votes: 1, addresses: [{ link: 0, address: '10.0.0.1' }] }],
});

async function push(tree: string | null, local: string | null, reload: () => Promise<{ needsRestart: string[] }>) {
  const said: string[] = [];
  let written: string | null = null;
  await pushConf({
    readTree: () => tree,
    readLocal: () => local,
    writeLocal: (text) => void (written = text),
    engine: () => 'totem',
    reload,
    log: (severity, message) => void said.push(`${severity}: ${message}`),
  });
  return { said, written };
}
const fine = (): Promise<{ needsRestart: string[] }> => Promise.resolve({ needsRestart: [] });

describe('the tree’s corosync.conf', () => {
  test('of a higher version is installed and loaded', async () => {
    const newer = setConfigVersion(CONF, 2);
    const { said, written } = await push(newer, CONF, fine);
    assert.equal(written, newer);
    assert.match(said.join(), /version 2 is installed and loaded/);
  });

  test('is left alone when it is equal, and when this node is in no cluster', async () => {
    assert.deepEqual(await push(CONF, CONF, fine), { said: [], written: null });
    assert.deepEqual(await push(CONF, null, fine), { said: [], written: null });
    assert.deepEqual(await push(null, CONF, fine), { said: [], written: null });
  });

  test('of an older version, or of the same version with other contents, is refused aloud', async () => {
    const other = CONF.replace('debug: off', 'debug: on');
    const same = await push(other, CONF, fine);
    assert.equal(same.written, null);
    assert.match(same.said.join(), /^warning: .*same config_version/);
    const older = await push(other, setConfigVersion(CONF, 7), fine);
    assert.match(older.said.join(), /^warning: .*older than/);
  });

  test('that is broken is refused with the line and the reason', async () => {
    const { said, written } = await push(setConfigVersion(CONF, 9).replace(/^\}$/m, ''), CONF, fine);
    assert.equal(written, null);
    assert.match(said.join(), /^error: .*not installed: line \d+: /);
  });

  test('that the engine does not load is said so', async () => {
    const { said } = await push(setConfigVersion(CONF, 2), CONF, () => Promise.reject(new Error('it is down')));
    assert.match(said.join(), /^error: .*not loaded: it is down/);
  });
});
