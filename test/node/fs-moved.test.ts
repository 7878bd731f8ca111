/**
 * Renames on a real mount whose kernel has not heard yet of what another node has moved: the moment between two words,
 * held open for as long as the test wants.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { mountFuse, whyNoMount, type FuseDevice } from '../../agent/mount/fuse/device.ts';
import { reply } from '../../agent/mount/fuse/device-writes.ts';
import type { FromServing, ServingData, ToServing } from '../../agent/mount/fuse/messages.ts';
import { answer, failure } from '../../agent/mount/fuse/protocol.ts';
import { Waiting } from '../../agent/mount/fuse/waiting.ts';
import { startThread } from '../../agent/mount/start-thread.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Change, Errno, Operation } from '../../agent/tree/types.ts';

/** A mount with its serving thread. The test is the rest of the node: the kernel is told nothing unasked. */
class Mount {
  readonly at: string;
  readonly tree = new Tree();
  readonly #waiting = new Waiting();
  readonly #device: FuseDevice;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #index = 0;

  static async open(): Promise<Mount> {
    const at = mkdtempSync(join(tmpdir(), 'ringmaster-moved-'));
    return new Mount(at, await mountFuse(at));
  }

  private constructor(at: string, device: FuseDevice) {
    this.at = at;
    this.#device = device;
    const { fd } = device;
    const waiting = this.#waiting.memory;
    const data: ServingData = { ringmasterThread: 'fuse', fd, hostname: 'pve1', startTimeS: 1, waiting };
    this.#worker = startThread(data, {});
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('message', (message: FromServing) => {
      if (message.kind === 'operation') this.#submit(message);
    });
    this.#tell({ kind: 'writable', writable: true });
  }

  async close(): Promise<void> {
    await this.#device.unmount();
    await this.#ended;
    rmdirSync(this.at);
  }

  /** Done by another node, and told to the serving thread. */
  elsewhere(operation: Operation): void {
    const change = this.#apply(operation);
    assert.ok(typeof change !== 'string', String(change));
    this.#tellChange(change, false);
  }
  /** Done by another node while this one did not hear it: it gets the whole tree. */
  missed(operation: Operation): void {
    assert.ok(typeof this.#apply(operation) !== 'string');
    this.#tell({ kind: 'all', nodes: [...this.tree.all()], nextInode: this.tree.nextInode });
  }
  inode(path: string): number | null {
    const found = this.tree.find(path);
    return found.ok ? found.value.inode : null;
  }

  #submit({ operation, waiting }: Extract<FromServing, { kind: 'operation' }>): void {
    const change = this.#apply(operation);
    if (typeof change !== 'string') this.#tellChange(change, true);
    if (waiting === null || !this.#waiting.claim(waiting.place, waiting.unique)) return;
    const { unique } = waiting;
    reply(this.#device.fd, typeof change === 'string' ? failure(unique, change) : answer(unique));
  }
  #apply(operation: Operation): Change | Errno {
    this.#index += 1;
    const stamp = { inode: this.tree.nextInode, mtimeS: 1, writer: 2, version: { epoch: 1, index: this.#index } };
    const outcome = applyOperation(this.tree, operation, stamp);
    return outcome.ok ? outcome.value : outcome.error;
  }
  #tellChange({ put, removed, paths }: Change, own: boolean): void {
    this.#tell({ kind: 'change', put, removed, paths, own });
  }
  #tell(message: ToServing): void {
    this.#worker.postMessage(message);
  }
}

/**
 * A process that has looked at the paths `known`, and so has the kernel; `rename` then lets it rename, and gives OK or the
 * word of the error. A process of its own: this one must not wait for the mount that it serves.
 */
async function renamer(known: readonly string[]): Promise<(from: string, to: string) => Promise<string>> {
  const program = `
    const { renameSync, statSync } = require('node:fs');
    for (const path of ${JSON.stringify(known)}) statSync(path);
    console.log('ready');
    process.stdin.once('data', (line) => {
      const [from, to] = JSON.parse(String(line));
      try { renameSync(from, to); console.log('OK'); } catch ({ code }) { console.log(code); }
      process.exit();
    });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  const line = (): Promise<string> =>
    new Promise((resolve) => child.stdout.once('data', (text: string) => resolve(text.trim())));
  assert.equal(await line(), 'ready');
  return (from, to) => {
    const said = line();
    child.stdin.write(`${JSON.stringify([from, to])}\n`);
    return said;
  };
}

/** By a process of its own. */
const run = async (program: string, ...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(program, args)).stdout.trim();

const create = (path: string, text = ''): Operation => ({
  kind: 'write',
  target: path,
  data: Buffer.from(text),
  create: true,
});
const mkdir = (path: string): Operation => ({ kind: 'mkdir', path });
const rename = (from: string, to: string): Operation => ({ kind: 'rename', from, to, noReplace: false });

const reason = whyNoMount('');

describe(
  'a move that another node has done, asked for here before the kernel has heard of it',
  {
    skip: reason ?? false,
  },
  () => {
    let mount: Mount;
    before(async () => (mount = await Mount.open()));
    after(() => mount.close());

    /** Everything `before` is there; the kernel knows `old`, and `known`; then the move, and the same move by this node. */
    async function movedTwice(old: string, to: string, begin: readonly Operation[], known: readonly string[] = []) {
      for (const operation of begin) mount.elsewhere(operation);
      const rename2 = await renamer([old, ...known].map((path) => join(mount.at, path)));
      mount.elsewhere(rename(old, to));
      return rename2(join(mount.at, old), join(mount.at, to));
    }

    test('is no success', async () => {
      assert.equal(await movedTwice('a1', 'b1', [create('a1')]), 'ENOENT');
    });

    test('is no success where the kernel knew another file by the new name', async () => {
      assert.equal(await movedTwice('a2', 'b2', [create('a2'), create('b2')], ['b2']), 'ENOENT');
    });

    test('is no success from one directory to another, as guests are moved', async () => {
      const begin = [mkdir('d3'), mkdir('e3'), create('d3/a')];
      assert.equal(await movedTwice('d3/a', 'e3/a', begin), 'ENOENT');
    });

    test('is no success for a directory', async () => {
      assert.equal(await movedTwice('a4', 'b4', [mkdir('a4')]), 'ENOENT');
    });

    test('is no success where another process has looked at the new name since', async () => {
      mount.elsewhere(create('a5'));
      const again = await renamer([join(mount.at, 'a5')]);
      mount.elsewhere(rename('a5', 'b5'));
      await run('stat', join(mount.at, 'b5'));
      assert.equal(await again(join(mount.at, 'a5'), join(mount.at, 'b5')), 'ENOENT');
    });

    test('is no success where the file was moved on, by way of another name', async () => {
      mount.elsewhere(create('a6'));
      const again = await renamer([join(mount.at, 'a6')]);
      mount.elsewhere(rename('a6', 'b6'));
      mount.elsewhere(rename('b6', 'c6'));
      assert.equal(await again(join(mount.at, 'a6'), join(mount.at, 'c6')), 'ENOENT');
    });

    test('is no success where this node got the whole tree anew', async () => {
      mount.elsewhere(create('a7'));
      const again = await renamer([join(mount.at, 'a7')]);
      mount.missed(rename('a7', 'b7'));
      assert.equal(await again(join(mount.at, 'a7'), join(mount.at, 'b7')), 'ENOENT');
    });

    test('leaves what was moved as it was for everybody, whoever asked', async () => {
      assert.equal(await movedTwice('a8', 'b8', [create('a8', 'text')]), 'ENOENT');
      const path = join(mount.at, 'b8');
      assert.equal(await run('stat', '-c', '%i', path), String(mount.inode('b8')));
      assert.equal(await run('cat', path), 'text');
    });
  },
);

describe('a file that another node has just moved here', { skip: reason ?? false }, () => {
  let mount: Mount;
  before(async () => (mount = await Mount.open()));
  after(() => mount.close());

  test('is replaced by a rename as any other', async () => {
    for (const operation of [create('a1', 'old'), create('tmp1', 'new'), rename('a1', 'b1')])
      mount.elsewhere(operation);
    const [from, to] = ['tmp1', 'b1'].map((name) => join(mount.at, name));
    assert.ok(from !== undefined && to !== undefined);
    assert.equal(await (await renamer([from, to]))(from, to), 'OK');
    assert.equal(await run('cat', to), 'new');
    assert.equal(mount.inode('tmp1'), null);
  });

  test('is moved on by a rename as any other', async () => {
    for (const operation of [create('a2', 'text'), rename('a2', 'b2')]) mount.elsewhere(operation);
    const [from, to] = ['b2', 'c2'].map((name) => join(mount.at, name));
    assert.ok(from !== undefined && to !== undefined);
    assert.equal(await (await renamer([]))(from, to), 'OK');
    assert.equal(await run('cat', to), 'text');
    assert.equal(await run('stat', '-c', '%i', to), String(mount.inode('c2')));
  });
});
