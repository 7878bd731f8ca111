/**
 * A node whose database is gone, or was replaced by an older one, on three real nodes: with a node that was away it is a
 * majority, and would make what it acknowledged undone. It does not vote for what it has forgotten.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const PMXCFS = 'pgrep -f "agent.mjs pmxcf[s]"';
const SUPERVISOR = 'pgrep -f "agent.mjs supervis[e]"';

describe('a node that has forgotten', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const serves = (node: string): boolean =>
    nodes.on(node, 'grep -q " /etc/pve " /proc/mounts && timeout 5 sh -c "echo x > /etc/pve/probe"').code === 0;
  const events = (node: string): string => nodes.run(node, 'cat /var/log/ringmaster/events.jsonl');
  const stop = (node: string): void => {
    const wait = `for i in $(seq 100); do ${PMXCFS} > /dev/null || break; sleep 0.1; done`;
    nodes.run(
      node,
      `kill -STOP $(${SUPERVISOR}); kill -9 $(${PMXCFS}); ${wait}; umount -l /etc/pve || true; sleep 0.5`,
    );
  };
  const start = (node: string): void => void nodes.run(node, `kill -CONT $(${SUPERVISOR})`);

  before(() => void nodes.good('up', '--free', '0'));
  after(() => nodes.remove());

  for (const [what, script, said] of [
    ['is gone', 'rm -r /var/lib/pve-cluster', /the database in \S+ is gone: this node takes the tree from the others/],
    [
      'is an old backup',
      'pmxcfs restore /root/old.db | grep "count for the tree"',
      /the database was replaced by \S+old\.db/,
    ],
  ] as const) {
    test(`the database ${what}: nothing is written before those who know are there, and nothing acknowledged is lost`, async () => {
      const name = what.replaceAll(' ', '-');
      await until('all serve', 30_000, () => ['pve1', 'pve2', 'pve3'].every(serves));
      for (const node of ['pve1', 'pve3']) nodes.run(node, ': > /var/log/ringmaster/events.jsonl');
      nodes.run('pve1', 'cp $(ls /var/lib/pve-cluster/backup/* | head -n 1) /root/old.db');
      stop('pve3');
      // pve1 and pve2 are the majority that acknowledges this.
      nodes.run('pve1', `timeout 20 sh -c "echo acknowledged > /etc/pve/${name}"`);
      stop('pve2');
      stop('pve1');
      nodes.run('pve1', script);
      for (const node of ['pve1', 'pve3']) start(node);
      await until('pve3 says why', 30_000, () => /Node 1 may have forgotten what was written/.test(events('pve3')));
      assert.match(events('pve1'), said);
      for (const node of ['pve1', 'pve3']) {
        await until(`${node} is mounted`, 20_000, () => nodes.on(node, 'grep -q " /etc/pve " /proc/mounts').code === 0);
        const { code, err } = nodes.on(node, 'timeout 10 sh -c "echo no > /etc/pve/refused"');
        assert.notEqual(code, 0, `${node} writes on what it may have forgotten`);
        assert.match(err, /Permission denied/);
      }
      start('pve2');
      await until('all serve again', 30_000, () => ['pve1', 'pve2', 'pve3'].every(serves));
      for (const node of ['pve1', 'pve2', 'pve3'])
        assert.equal(nodes.run(node, `cat /etc/pve/${name}`), 'acknowledged\n', node);
      // It knows again: with one of the others it is a majority like any other.
      stop('pve2');
      await until('pve1 and pve3 go on', 20_000, () => serves('pve1') && serves('pve3'));
      start('pve2');
    });
  }
});
