/** The same lab on the distribution's Corosync: knet, encrypted, driven through its own libraries. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';
import { treeSuite } from './tree-suite.ts';

const NODES = ['pve1', 'pve2', 'pve3'] as const;
const skip =
  whyNoLab !== false
    ? whyNoLab
    : existsSync('/usr/sbin/corosync')
      ? false
      : "Debian's package corosync is not installed";

describe('a lab on Corosync', { skip }, () => {
  const lab = new LabNodes();

  before(() => {
    lab.good('up', '--engine', 'corosync', '--free', '0');
  });
  after(() => lab.remove());

  test('is Corosync’s own ring, as its own tools see it', () => {
    assert.match(lab.run('pve1', 'corosync-quorumtool -s'), /Quorate: +Yes[\s\S]*Total votes: +3/);
    assert.match(lab.run('pve2', 'corosync-cmapctl totem.transport'), /knet/);
  });

  test('pvecm says of it what corosync-quorumtool says', () => {
    const ring = (text: string): string => /Ring ID: +(\S+)/.exec(text)?.[1] ?? 'none';
    assert.equal(ring(lab.run('pve3', 'pvecm status')), ring(lab.run('pve3', 'corosync-quorumtool -s')));
    assert.match(lab.run('pve3', 'pvecm status'), /^Quorate: +Yes$/m);
  });

  test('a new config_version in the tree reaches every Corosync', async () => {
    const version = Number(/config_version: (\d+)/.exec(lab.run('pve1', 'cat /etc/pve/corosync.conf'))?.[1]);
    // What follows need not wait 8 s for each death, and a busy machine needs more than the bundled engine's second.
    const edit = `s/config_version: .*/config_version: ${version + 1}/; s/^  version: 2/  version: 2\\n  token: 1600\\n  token_coefficient: 0/`;
    lab.run('pve2', `cd /etc/pve && sed "${edit}" corosync.conf > c.new && mv c.new corosync.conf`);
    for (const name of NODES) {
      await until(`${name} runs version ${version + 1}`, 15_000, () =>
        lab.on(name, 'corosync-cmapctl totem.config_version').out.includes(`= ${version + 1}`),
      );
      assert.match(lab.run(name, 'corosync-cmapctl -g runtime.config.totem.token'), /= 1600$/m);
    }
  });

  treeSuite(lab);
});
