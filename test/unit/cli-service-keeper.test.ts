import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ServiceKeeper } from '../../agent/cli/service-keeper.ts';
import type { KeeperTimes, Plan } from '../../agent/cli/service-keeper.ts';

const times: KeeperTimes = { firstDelayMs: 20, longestDelayMs: 80, healthyAfterMs: 60_000, killAfterMs: 200 };
const script = (text: string): Plan => ({ kind: 'run', command: ['/bin/sh', '-c', text] });

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`not within 4 s: ${what}`);
}

describe('a kept service', () => {
  test('runs until it is stopped, and then stays stopped', async () => {
    const keeper = new ServiceKeeper(
      'engine',
      () => script('exec sleep 60'),
      () => undefined,
      times,
    );
    keeper.start();
    const { pid, state } = keeper.state();
    assert.equal(state, 'running');
    keeper.start();
    assert.equal(keeper.state().pid, pid, 'a second start changes nothing');
    await keeper.stop();
    assert.deepEqual(keeper.state(), {
      name: 'engine',
      state: 'stopped',
      pid: null,
      restarts: 0,
      reason: 'stopped on request',
    });
  });

  test('is started anew when it dies, and its last words are recorded', async () => {
    const events: string[] = [];
    const keeper = new ServiceKeeper(
      'pmxcfs',
      () => script('echo the disk is full >&2; exit 3'),
      (_, text) => events.push(text),
      times,
    );
    keeper.start();
    await until('two restarts', () => keeper.state().restarts >= 2);
    await keeper.stop();
    assert.match(events[0] ?? '', /^pmxcfs ended with exit code 3: the disk is full; it is started again in 0\.02 s$/);
    assert.match(events[1] ?? '', /again in 0\.04 s$/, 'the delay doubles');
    const after = keeper.state().restarts;
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(keeper.state().restarts, after, 'no restart after stop');
  });

  test('is killed when it ignores SIGTERM', async () => {
    const events: string[] = [];
    const keeper = new ServiceKeeper(
      'engine',
      () => script('trap "" TERM; echo up >&2; while :; do sleep 1; done'),
      (_, text) => events.push(text),
      times,
    );
    keeper.start();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await keeper.stop();
    assert.deepEqual(events, ['engine did not end within 0.2 s and was killed']);
  });

  test('is idle with its reason while there is nothing to run, and starts once there is', async () => {
    let plan: Plan = { kind: 'idle', reason: 'there is no corosync.conf' };
    const keeper = new ServiceKeeper(
      'engine',
      () => plan,
      () => undefined,
      times,
    );
    keeper.start();
    assert.deepEqual(keeper.state(), {
      name: 'engine',
      state: 'stopped',
      pid: null,
      restarts: 0,
      reason: 'there is no corosync.conf',
    });
    plan = script('exec sleep 60');
    keeper.start();
    assert.equal(keeper.state().state, 'running');
    await keeper.stop();
  });

  test('a program that cannot be started is a failure with a reason, not a crash', async () => {
    const keeper = new ServiceKeeper(
      'engine',
      () => ({ kind: 'run', command: ['/nonexistent/engine'] }),
      () => undefined,
      times,
    );
    keeper.start();
    await until('failed', () => keeper.state().state === 'failed');
    assert.match(keeper.state().reason ?? '', /could not be started: .*ENOENT/);
    await keeper.stop();
  });
});
