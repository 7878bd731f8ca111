/**
 * A node's disk fills up, hangs on to nothing and is damaged, on three real nodes: what was acknowledged stays, the
 * others go on, and the node says what is wrong and comes back.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const PMXCFS = 'pgrep -f "agent.mjs pmxcf[s]"';
const SUPERVISOR = 'pgrep -f "agent.mjs supervis[e]"';
const DATABASE = '/var/lib/pve-cluster/config.db';

describe('a node and its disk', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  /** Asked of a mount only: without one the write would go to the directory below it. */
  const serves = (node: string): boolean =>
    nodes.on(node, 'grep -q " /etc/pve " /proc/mounts && timeout 5 sh -c "echo x > /etc/pve/probe"').code === 0;
  const events = (node: string): string => nodes.run(node, 'cat /var/log/ringmaster/events.jsonl');
  /** Ends pmxcfs, and lets nobody start it while the script runs. */
  const whileStopped = (node: string, script: string): string => {
    const wait = `for i in $(seq 100); do ${PMXCFS} > /dev/null || break; sleep 0.1; done`;
    nodes.run(node, `kill -STOP $(${SUPERVISOR}); kill -9 $(${PMXCFS}); ${wait}; umount -l /etc/pve || true`);
    try {
      // Its last thread may hold the file for a moment.
      return nodes.run(node, `sleep 0.5; ${script}`);
    } finally {
      nodes.run(node, `kill -CONT $(${SUPERVISOR})`);
    }
  };

  before(() => void nodes.good('up', '--free', '0'));
  after(() => nodes.remove());

  test('a full disk: the node turns read-only and says why, the others go on, and with space it comes back', async () => {
    whileStopped(
      'pve2',
      `cp -a /var/lib/pve-cluster /tmp/kept; mount -t tmpfs -o size=6m tmpfs /var/lib/pve-cluster;
       cp -a /tmp/kept/config.db* /var/lib/pve-cluster/`,
    );
    await until('pve2 serves on its small disk', 30_000, () => serves('pve2'));
    nodes.run('pve2', 'dd if=/dev/zero of=/var/lib/pve-cluster/filler bs=4k 2> /dev/null || true');
    const writer = nodes.on('pve1', 'for i in $(seq 20); do head -c 60000 /dev/zero > /etc/pve/full$i || exit 1; done');
    assert.equal(writer.code, 0, writer.err);
    await until('pve2 says that its disk is full', 20_000, () =>
      /does not write any more: the disk of .* is full/.test(events('pve2')),
    );
    assert.match(nodes.on('pve2', 'timeout 5 sh -c "echo x > /etc/pve/y"').err, /Permission denied|I\/O error/);
    assert.ok(nodes.run('pve2', 'timeout 5 ls /etc/pve').includes('full1'), 'it can be read');
    assert.ok(serves('pve1'), 'the others go on');
    nodes.run('pve2', 'rm /var/lib/pve-cluster/filler');
    await until('pve2 is back', 40_000, () => serves('pve2'));
    assert.equal(nodes.run('pve2', 'wc -c < /etc/pve/full20').trim(), '60000');
  });

  test('a damaged database: pmxcfs does not start, check says so, and the tree comes from the cluster or a backup', async () => {
    nodes.run('pve1', 'echo kept > /etc/pve/kept');
    const checked = whileStopped(
      'pve3',
      `pmxcfs check || exit 1
       : > ${DATABASE}-wal; dd if=/dev/urandom of=${DATABASE} bs=1k seek=5 count=6 conv=notrunc 2> /dev/null
       pmxcfs check 2>&1; echo "exit $?"`,
    );
    assert.match(checked, /entries, \d+ bytes, version/);
    assert.match(checked, /is damaged\.\nexit 1\n$/);
    await until('pmxcfs refuses to start', 20_000, () => /is damaged .*pmxcfs restore/.test(events('pve3')));
    assert.ok(!serves('pve3'));
    const said = nodes.run('pve3', 'pmxcfs restore --from-cluster');
    assert.match(said, /The former database is .*config\.db\.given-up-/);
    await until('pve3 has the tree again', 40_000, () => nodes.on('pve3', 'cat /etc/pve/kept').out === 'kept\n');
    assert.equal(nodes.run('pve3', 'ls /var/lib/pve-cluster | grep -c given-up').trim() !== '0', true);
  });

  test('check and restore leave a running node alone', () => {
    assert.equal(nodes.on('pve1', 'pmxcfs check').code, 4);
    const list = nodes.run('pve1', 'pmxcfs restore --list');
    const [backup = ''] = /\S+\/backup\/config-\S+\.db/.exec(list) ?? [];
    assert.notEqual(backup, '', list);
    assert.equal(nodes.run('pve1', `pmxcfs check ${backup} > /dev/null; echo $?`), '0\n');
    const { code, err } = nodes.on('pve1', `pmxcfs restore ${backup}`);
    assert.equal(code, 4);
    assert.match(err, /pmxcfs runs \(process \d+\)/);
    assert.equal(nodes.on('pve1', 'pmxcfs restore').code, 2);
    assert.equal(nodes.on('pve1', 'pmxcfs restore /nowhere').code, 4);
  });

  test('all nodes are killed at once while they are written to: what was acknowledged is there', async () => {
    const writers = ['pve1', 'pve2', 'pve3'].map((node) =>
      nodes.begin(
        node,
        'for i in $(seq 2000); do echo $i > /etc/pve/all-$(hostname)-$i || break; echo $i; done; exit 0',
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    for (const node of ['pve1', 'pve2', 'pve3']) nodes.begin(node, `kill -9 $(${PMXCFS})`);
    const ended = await Promise.all(writers.map(({ ended: end }) => end));
    for (const node of ['pve1', 'pve2', 'pve3']) await until(`${node} serves`, 40_000, () => serves(node));
    for (const [at, { out }] of ended.entries()) {
      const acknowledged = out.trim().split('\n').length;
      assert.ok(acknowledged > 3, `pve${at + 1} wrote ${acknowledged}`);
      for (const node of ['pve1', 'pve2', 'pve3']) {
        const found = Number(nodes.run(node, `ls /etc/pve | grep -c "all-pve${at + 1}-"`));
        assert.ok(found >= acknowledged, `${node} has ${found} of ${acknowledged} files of pve${at + 1}`);
      }
    }
  });
});
