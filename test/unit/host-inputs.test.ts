import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { HostApi } from '../../electron/host/api.ts';
import { eventRing } from '../../electron/host/event-ring.ts';
import { checkedApi, checkedArguments, inputs } from '../../electron/host/inputs.ts';
import { Operations } from '../../electron/host/operations.ts';
import { loadSettings, saveSettings } from '../../electron/host/settings.ts';

const host = { name: 'pve1', address: '10.0.0.1', port: 22, user: 'root', identityFile: null };

describe('what a page may ask', () => {
  test('a good host passes, trimmed', () => {
    assert.deepEqual(checkedArguments('addHost', [{ ...host, address: ' 10.0.0.1 ' }]), [host]);
  });
  for (const [what, wrong, words] of [
    ['an address with a space', { address: 'a b' }, /without spaces/],
    ['an address that ssh would take for an option', { address: '-oProxyCommand=x' }, /dash/],
    ['no address', { address: '' }, /missing/],
    ['port 0', { port: 0 }, /at least 1/],
    ['a port in words', { port: '22' }, /number/],
    ['a user name with a semicolon', { user: 'root;reboot' }, /user name/],
  ] as const) {
    test(`${what} is refused in words`, () => {
      assert.throws(() => checkedArguments('addHost', [{ ...host, ...wrong }]), words);
    });
  }
  test('a path cannot leave the tree', () => {
    for (const path of ['../etc/shadow', '/etc/shadow', 'a/../../b', 'a\0b']) {
      assert.throws(() => checkedArguments('readFile', ['h', path]), /path/i);
    }
    assert.deepEqual(checkedArguments('readFile', ['h', 'nodes/pve1/..x']), ['h', 'nodes/pve1/..x']);
  });
  test('lab nodes are named as nodes are', () => {
    assert.throws(() => checkedArguments('labKill', ['--all']), /name of a node/);
    assert.throws(() => checkedArguments('labCut', [[]]), /at least one/);
  });
  test('no input of any kind reaches the app unchecked, and none throws anything but an Error', async () => {
    let reached = 0;
    const api = new Proxy({} as HostApi, { get: () => () => Promise.resolve((reached += 1)) });
    const checked = checkedApi(api);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...(Object.keys(inputs) as (keyof HostApi)[])),
        fc.array(fc.anything()),
        async (name, given) => {
          const before = reached;
          const fits = inputs[name].safeParse(given).success;
          const call = checked[name] as (...args: unknown[]) => Promise<unknown>;
          await call(...given).catch((error: unknown) => assert.ok(error instanceof Error));
          assert.equal(reached - before, fits ? 1 : 0);
        },
      ),
    );
  });
  test('the API inherits nothing that could be called', () => {
    const checked = checkedApi({} as HostApi) as unknown as Record<string, unknown>;
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      assert.equal(checked[name], undefined);
    }
  });
});

describe('the settings', () => {
  const within = (work: (directory: string) => void): void => {
    const directory = mkdtempSync(join(tmpdir(), 'ringmaster-settings-'));
    try {
      work(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  test('what is saved is loaded, and only its owner can read it', () => {
    within((directory) => {
      saveSettings(join(directory, 'new'), [{ id: 'a', host }]);
      assert.deepEqual(loadSettings(join(directory, 'new')), { hosts: [{ id: 'a', host }], warning: null });
      assert.equal(statSync(join(directory, 'new', 'hosts.json')).mode & 0o777, 0o600);
      assert.deepEqual(readdirSync(join(directory, 'new')), ['hosts.json']);
    });
  });
  test('no file means no hosts', () => {
    within((directory) => assert.deepEqual(loadSettings(directory), { hosts: [], warning: null }));
  });
  test('a damaged file is set aside with a message', () => {
    within((directory) => {
      for (const text of ['{', '{"version":1,"hosts":[{"id":"a"}]}', '']) {
        writeFileSync(join(directory, 'hosts.json'), text);
        const { hosts, warning } = loadSettings(directory);
        assert.deepEqual(hosts, []);
        assert.match(warning ?? '', /damaged/);
        assert.ok(!readdirSync(directory).includes('hosts.json'));
      }
      assert.ok(readdirSync(directory).length >= 1);
    });
  });
});

describe('the event log', () => {
  const entry = (timeMs: number, message = 'm') => ({
    timeMs,
    message,
    severity: 'info' as const,
    source: 'engine' as const,
  });
  test('keeps the newest 1000, in order of time, each with a growing id', () => {
    const ring = eventRing();
    for (let time = 1; time <= 2500; time += 1) ring.add('h', 'pve1', entry(time));
    const all = ring.all();
    assert.equal(all.length, 1000);
    assert.equal(all[0]?.timeMs, 1501);
    assert.equal(all.at(-1)?.id, 2500);
  });
  test('an event told again after a reconnect is not shown again', () => {
    const ring = eventRing();
    assert.notEqual(ring.add('h', 'pve1', entry(1)), null);
    assert.equal(ring.add('h', 'pve1', entry(1)), null);
    assert.notEqual(ring.add('other', 'pve2', entry(1)), null);
    assert.equal(ring.all().length, 2);
  });
});

describe('operations', () => {
  const plan = { kind: 'join' as const, title: 'Join', cancellable: true, holds: ['c', 'h'] };
  const step = { id: 's', title: 'S', command: null, output: [], state: 'running' as const };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  test('steps of agents are shown where they run, and the end settles them', async () => {
    const operations = new Operations(() => undefined);
    let finish: () => void = () => undefined;
    const id = operations.start(plan, () => new Promise((resolve) => (finish = resolve)));
    operations.stepOfAgent(id, 'pve1', step);
    operations.stepOfAgent(id, 'pve4', step);
    operations.stepOfAgent(id, 'pve1', { ...step, output: ['x'] });
    operations.stepOfAgent(`${id}.undo`, 'pve1', { ...step, state: 'waiting' });
    operations.stepOfAgent('someone-elses', 'pve1', step);
    finish();
    await settled();
    const [view] = operations.views();
    assert.equal(view?.state, 'done');
    assert.deepEqual(
      view?.steps.map(({ id: name, where, state, output }) => [name, where, state, output]),
      [
        ['s', 'pve1', 'done', ['x']],
        ['s', 'pve4', 'done', []],
        ['undo-s', 'pve1', 'skipped', []],
      ],
    );
  });
  test('two operations on one cluster do not run at once', async () => {
    const operations = new Operations(() => undefined);
    operations.start(plan, () => new Promise(() => undefined));
    assert.throws(() => operations.start({ ...plan, holds: ['c'] }, () => Promise.resolve()), /still running/);
    operations.start({ ...plan, holds: ['x'] }, () => Promise.resolve());
  });
  test('a cancelled operation is told, and ends as cancelled', async () => {
    const operations = new Operations(() => undefined);
    const id = operations.start(
      plan,
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('Cancelled.')))),
    );
    assert.throws(() => operations.dismiss(id), /running/);
    operations.cancel(id);
    await settled();
    assert.equal(operations.views()[0]?.state, 'cancelled');
    operations.dismiss(id);
    assert.deepEqual(operations.views(), []);
  });
});
