/**
 * Nobody hangs on the mount for good: a stopped engine, a killed or stopped pmxcfs, an unmount while writers wait.
 * One node of three is mistreated; the others go on.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

const ENGINE = '$(pgrep -f "agent.mjs engin[e]")';

describe('the mount under mistreatment', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const pidOrNone = (node: string): number | null => {
    const found = nodes.on(node, 'pgrep -f "agent.mjs pmxcf[s]"').out.trim();
    return /^\d+$/.test(found) ? Number(found) : null;
  };
  /** Throws when it does not run: a signal to "no process" would go to the process group of the test. */
  const pidOf = (node: string): number => {
    const pid = pidOrNone(node);
    assert.ok(pid !== null, `pmxcfs does not run on ${node}`);
    return pid;
  };
  const mounts = (node: string): string => nodes.on(node, 'grep -c " /etc/pve " /proc/mounts').out.trim();
  /** Asked of a mount only: without one the write would go to the directory below it. */
  const serves = (node: string): boolean => nodes.on(node, 'timeout 5 sh -c "echo x > /etc/pve/probe"').code === 0;
  /** Another process serves than before, at one mount. */
  const isBack = (node: string, before: number): boolean => {
    const now = pidOrNone(node);
    return now !== null && now !== before && mounts(node) === '1' && serves(node);
  };

  before(() => void nodes.good('up', '--free', '0'));
  after(() => nodes.remove());

  test('while the engine is stopped reads go on, a signal ends a write, and the rest of the writers get EIO in time', async () => {
    nodes.run('pve1', 'echo there > /etc/pve/there');
    try {
      // In one breath: an engine that says nothing for five seconds counts as gone, and then a write fails at once.
      const write = 'timeout -k 20 -s INT 2 sh -c "echo x > /etc/pve/signal"';
      const interrupted = nodes.on('pve1', `kill -STOP ${ENGINE}; ${write}`);
      assert.match(interrupted.err, /Interrupted system call/);
      const begun = Date.now();
      const waiting = nodes.begin('pve1', 'echo x > /etc/pve/waits');
      assert.equal(nodes.run('pve1', 'timeout 5 cat /etc/pve/there'), 'there\n');
      const { code, err } = await waiting.ended;
      assert.notEqual(code, 0);
      assert.match(err, /Input\/output error|Permission denied/);
      assert.ok(Date.now() - begun < 60_000, 'the writer waited for more than 60 s');
    } finally {
      nodes.run('pve1', `kill -CONT ${ENGINE}`);
    }
    await until('pve1 can write again', 30_000, () => serves('pve1'));
    // Whatever became of them: the kernel, which was told that they failed, does not hold on to that.
    for (const name of ['signal', 'waits']) {
      const isListed = nodes.on('pve1', `ls /etc/pve | grep -qx ${name}`).code === 0;
      assert.equal(nodes.on('pve1', `test -e /etc/pve/${name}`).code === 0, isListed, name);
      assert.equal(nodes.on('pve2', `test -e /etc/pve/${name}`).code === 0, isListed, `${name} on pve2`);
    }
  });

  test('an unmount while a writer waits works, and pmxcfs mounts again', async () => {
    const pid = pidOf('pve1');
    nodes.run('pve1', `kill -STOP ${ENGINE}`);
    try {
      const waiting = nodes.begin('pve1', 'echo x > /etc/pve/waits2');
      await until('the writer waits', 10_000, () => nodes.on('pve1', 'pgrep -f waits[2]').code === 0);
      nodes.run('pve1', 'timeout -s KILL 10 umount -l /etc/pve');
      nodes.run('pve1', `kill -CONT ${ENGINE}`);
      await waiting.ended;
    } finally {
      nodes.on('pve1', `kill -CONT ${ENGINE}`);
    }
    await until('it is mounted again', 30_000, () => isBack('pve1', pid));
    assert.equal(mounts('pve1'), '1');
  });

  test('after kill -9 of pmxcfs while it is written to it is mounted cleanly, and what was acknowledged is there', async () => {
    const pid = pidOf('pve2');
    const writer = nodes.begin(
      'pve2',
      'for i in $(seq 1 500); do echo $i > /etc/pve/k$i || break; echo $i; done; exit 0',
    );
    await until('it writes', 60_000, () => nodes.on('pve2', 'test -e /etc/pve/k3').code === 0);
    nodes.run('pve2', `kill -9 ${pid}`);
    const { out, err } = await writer.ended;
    // dash says "I/O error" for whatever a write of its echo ended in.
    assert.match(err, /endpoint is not connected|connection abort|No such device|I\/O error|^$/);
    const last = out.trim().split('\n').at(-1) ?? '';
    await until('it is mounted again', 30_000, () => isBack('pve2', pid));
    assert.equal(mounts('pve2'), '1');
    assert.equal(nodes.run('pve3', `cat /etc/pve/k${last}`), `${last}\n`);
  });

  test('a stopped pmxcfs can be unmounted by force', async () => {
    const pid = pidOf('pve2');
    nodes.run('pve2', `kill -STOP ${pid}`);
    try {
      nodes.run('pve2', 'timeout -s KILL 10 umount -i -c -f -l /etc/pve');
    } finally {
      nodes.run('pve2', `kill -CONT ${pid}`);
    }
    await until('it is mounted again', 30_000, () => isBack('pve2', pid));
  });

  test('stopping the service ends the mount while a file is open, and starting it brings it back', async () => {
    nodes.run('pve3', 'echo x > /etc/pve/open');
    const holder = nodes.begin('pve3', 'exec 5< /etc/pve/open; read line');
    await until(
      'it is held',
      10_000,
      () => nodes.on('pve3', 'ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q /etc/pve/open').code === 0,
    );
    const pid = pidOf('pve3');
    nodes.run('pve3', `kill ${pid}`);
    await until('it is mounted again', 30_000, () => isBack('pve3', pid));
    assert.equal(mounts('pve3'), '1');
    holder.child.stdin?.end('\n');
    await holder.ended;
  });
});
