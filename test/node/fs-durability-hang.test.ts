/** A disk that hangs: after 30 s the node counts as one without a disk, and nobody waits for it before that either. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { failDisk, whyNoDiskFaults } from './failing-disk.ts';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const PMXCFS = 'pgrep -f "agent.mjs pmxcf[s]"';

describe('a disk that hangs', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const events = (node: string): string => nodes.run(node, 'cat /var/log/ringmaster/events.jsonl');

  before(() => {
    assert.equal(whyNoDiskFaults(), false);
    nodes.good('up', '--free', '0');
  });
  after(() => nodes.remove());

  test('its own writes end in a clear errno, the others go on, the watchdog names it, and it comes back by itself', async () => {
    nodes.run('pve1', 'echo kept > /etc/pve/kept');
    const hanging = nodes.run('pve3', PMXCFS).trim();
    const heal = await failDisk(nodes.directory, 'pve3', { kind: 'hang', seconds: 300 });
    const begun = Date.now();
    // The write itself is on two disks of three: whether it is acknowledged is for the majority to say, not for this disk.
    nodes.on('pve3', 'timeout 20 sh -c "echo x > /etc/pve/first"');
    let written = 0;
    while (Date.now() - begun < 25_000) {
      const began = Date.now();
      nodes.run('pve1', `echo ${written} > /etc/pve/on-${written}`);
      assert.ok(Date.now() - began < 3_000, `a write of another node took ${Date.now() - began} ms`);
      assert.equal(nodes.run('pve3', 'timeout 3 cat /etc/pve/kept').trim(), 'kept', 'it can be read there');
      written += 1;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await until('the watchdog speaks', 15_000, () => /its disk has not answered for 30 s/.test(events('pve3')));
    const refused = nodes.on('pve3', 'timeout 10 sh -c "echo x > /etc/pve/second"');
    assert.match(refused.err, /Permission denied/);
    assert.equal(nodes.run('pve3', PMXCFS).trim(), hanging, 'it still serves what it has');
    await heal();
    await until('pve3 is back', 30_000, () => {
      const { code } = nodes.on(
        'pve3',
        'grep -q " /etc/pve " /proc/mounts && timeout 5 sh -c "echo x > /etc/pve/third"',
      );
      return code === 0 && nodes.on('pve3', PMXCFS).out.trim() !== hanging;
    });
    assert.match(events('pve3'), /the disk answers again/);
    const last = `on-${written - 1}`;
    assert.equal(nodes.run('pve3', `cat /etc/pve/${last}`).trim(), String(written - 1));
    assert.equal(nodes.run('pve3', 'ls /etc/pve | grep -c "^on-"').trim(), String(written));
  });
});
