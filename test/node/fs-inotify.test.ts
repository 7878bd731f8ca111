/**
 * What is changed on one node is listed on another, wakes who watches it there (inotify(7)), and disturbs nobody. Three
 * real nodes; node 2 lists, watches and reads, node 1 changes.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { labPaths } from '../../electron/lab/state.ts';
import { LabNodes, until, whyNoLab, type Outcome } from './lab-nodes.ts';

const RUNTIME = '$(ls -d /var/lib/ringmaster/runtimes/*/node | head -n 1)';
/** A watcher is noticed after some seconds, and then told at once. */
const FIRST_MS = 5_000;
const TOLD_MS = 2_000;

/** inotifywait(1) on node 2, in other words. */
class Watch {
  readonly #lines: string[] = [];
  readonly #nodes: LabNodes;
  readonly #ended: Promise<Outcome>;
  #pid = '';

  constructor(nodes: LabNodes, ...paths: readonly string[]) {
    this.#nodes = nodes;
    const { child, ended } = nodes.begin('pve2', `cd /root/inotify && exec ${RUNTIME} watch.ts ${paths.join(' ')}`);
    child.stdout?.on('data', (text: string) => this.#lines.push(...text.split('\n').filter((line) => line !== '')));
    this.#ended = ended;
  }

  /** Resolves when the kernel watches. */
  async begun(): Promise<void> {
    await until('it watches', FIRST_MS, () => this.#lines.length > 0);
    this.#pid = this.#lines.shift()?.split(' ')[0] ?? '';
  }

  /** What was told since the last call, once it ends with `last`: "DIRECTORY EVENT NAME". */
  async told(last: string, withinMs = TOLD_MS): Promise<string[]> {
    const words = (): string[] => this.#lines.map((line) => line.replace(/^\d+ /, '').trim());
    for (const end = Date.now() + withinMs; !words().includes(last);) {
      assert.ok(Date.now() < end, `after ${withinMs} ms no "${last}", but: ${words().slice(-40).join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // What belongs to it comes in the same breath.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const all = words();
    this.#lines.length = 0;
    return all;
  }
  get count(): number {
    return this.#lines.length;
  }
  async stop(): Promise<void> {
    this.#nodes.run('pve2', `kill -9 ${this.#pid}`);
    await this.#ended;
  }
}

describe('what another node changed', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const replayer = (node: string): number | null => {
    const { code, out } = nodes.on(node, 'pgrep -x pmxcfs-watchers || pgrep -f "^pmxcfs-watcher[s]"');
    return code === 0 ? Number(out.trim().split('\n')[0]) : null;
  };
  /** A watch on node 2 that is told of what node 1 does, from now on. */
  const watching = async (...paths: readonly string[]): Promise<Watch> => {
    const watch = new Watch(nodes, ...paths);
    await watch.begun();
    const begun = Date.now();
    await until('it is noticed', FIRST_MS, () => replayer('pve2') !== null);
    assert.ok(Date.now() - begun < FIRST_MS);
    return watch;
  };

  before(() => {
    nodes.good('up', '--free', '0');
    const home = join(labPaths(nodes.directory).node('pve2'), 'root/inotify');
    mkdirSync(home, { recursive: true });
    cpSync(join(import.meta.dirname, 'fs-inotify'), home, { recursive: true });
  });
  after(() => nodes.remove());

  test('whatever node 1 does in a directory is told to who watches it on node 2', async () => {
    nodes.run('pve1', 'mkdir -p /etc/pve/d/sub && echo one > /etc/pve/d/f && echo one > /etc/pve/d/g');
    assert.equal(replayer('pve2'), null, 'nobody watches, and it runs');
    const watch = await watching('/etc/pve/d', '/etc/pve/d/g', '/etc/pve/d/sub');
    const does = async (script: string, ...events: readonly string[]): Promise<void> => {
      nodes.run('pve1', `cd /etc/pve/d && ${script}`);
      const told = await watch.told(events.at(-1) ?? '');
      assert.deepEqual(
        [...new Set(events)].filter((event) => !told.includes(event)),
        [],
        `${script}: ${told.join('; ')}`,
      );
      const isOfIt = (line: string): boolean =>
        events.includes(line) || / (MODIFY|CLOSE_WRITE|ATTRIB|IGNORED)/.test(line);
      assert.deepEqual(
        told.filter((line) => !isOfIt(line)),
        [],
        `${script} is told of as something else too`,
      );
    };
    await does('echo two > f', 'd MODIFY f', 'd CLOSE_WRITE f');
    await does('echo three >> f', 'd MODIFY f', 'd CLOSE_WRITE f');
    await does('echo two > g', 'd MODIFY g', 'g MODIFY', 'g CLOSE_WRITE', 'd CLOSE_WRITE g');
    await does('touch f', 'd ATTRIB f');
    await does('echo new > h', 'd CREATE h', 'd CLOSE_WRITE h', 'd MODIFY h');
    await does('mv h i', 'd MOVED_FROM h', 'd MOVED_TO i');
    await does('mv i sub/i', 'd MOVED_FROM i', 'sub MOVED_TO i');
    await does('rm sub/i', 'sub DELETE i');
    await does('mkdir k', 'd CREATE,DIR k');
    await does('rmdir k', 'd DELETE,DIR k');
    await does('mv g g2', 'd MOVED_FROM g', 'd MOVED_TO g2', 'g MOVE_SELF');
    await does('echo x > t && mv t g2', 'd CREATE t', 'd MOVED_FROM t', 'd MOVED_TO g2', 'g DELETE_SELF');
    await does('rm -r sub f', 'd DELETE,DIR sub', 'sub DELETE_SELF', 'd DELETE f');
    assert.equal(nodes.run('pve2', 'ls /etc/pve/d'), 'g2\n');
    assert.equal(nodes.run('pve2', 'cat /etc/pve/d/g2'), 'x\n');

    nodes.run('pve2', 'echo mine > /etc/pve/d/mine');
    const mine = await watch.told('d CLOSE_WRITE mine');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(mine.filter((line) => line === 'd CREATE mine').length, 1, 'what node 2 does itself is told once');
    assert.equal(watch.count, 0);
    await watch.stop();
    await until('nobody watches, and it ends', 15_000, () => replayer('pve2') === null);
  });

  test('a listing on node 2 that asks for what is new has what node 1 did, each time', () => {
    nodes.run('pve1', 'mkdir /etc/pve/l');
    const listed = (): string =>
      nodes.run('pve2', 'sync /etc/pve/.version && ls /etc/pve/l && ls /etc/pve/l > /dev/null');
    for (let number = 1; number <= 20; number += 1) {
      nodes.run('pve1', `cd /etc/pve/l && echo x > n && mv n n${number} && rm -f n${number - 1}`);
      assert.equal(listed(), `n${number}\n`);
    }
  });

  test('a watcher that is killed or stops is no harm: what tells it is started anew, and the mount can go', async () => {
    nodes.run('pve1', 'mkdir /etc/pve/h');
    const watch = await watching('/etc/pve/h');
    const first = replayer('pve2');
    nodes.run('pve2', `kill -9 ${first}`);
    await until('another one runs', FIRST_MS, () => ![null, first].includes(replayer('pve2')));
    nodes.run('pve1', 'echo x > /etc/pve/h/a');
    await watch.told('h CREATE a');

    const second = replayer('pve2');
    nodes.run('pve2', `kill -STOP ${second}`);
    const begun = Date.now();
    nodes.run('pve1', 'for i in $(seq 50); do echo x > /etc/pve/h/b$i; done');
    nodes.run('pve2', 'cat /etc/pve/h/b50; echo y > /etc/pve/h/mine');
    assert.ok(Date.now() - begun < 10_000, 'readers and writers waited for it');
    await until('a third one runs', 10_000, () => ![null, first, second].includes(replayer('pve2')));
    nodes.run('pve1', 'echo x > /etc/pve/h/c');
    await watch.told('h CREATE c');
    assert.match(nodes.run('pve2', 'cat /var/log/ringmaster/events.jsonl'), /has not answered for 2000 ms/);

    const third = replayer('pve2');
    const pmxcfs = nodes.run('pve2', 'pgrep -f "agent.mjs pmxcf[s]"').trim();
    nodes.run('pve2', 'timeout 5 umount /etc/pve');
    await until('it is mounted again', 30_000, () => nodes.on('pve2', 'test -e /etc/pve/h/c').code === 0);
    assert.notEqual(nodes.run('pve2', 'pgrep -f "agent.mjs pmxcf[s]"').trim(), pmxcfs);
    assert.notEqual(replayer('pve2'), third);
    await watch.stop();

    const again = await watching('/etc/pve/h');
    const fourth = replayer('pve2');
    nodes.run('pve2', 'kill -9 $(pgrep -f "agent.mjs pmxcf[s]")');
    await until('it has ended with its pmxcfs', 2_000, () => nodes.on('pve2', `kill -0 ${fourth}`).code !== 0);
    await again.stop();
    await until('it is mounted again', 30_000, () => nodes.on('pve2', 'test -e /etc/pve/h/c').code === 0);
  });

  test('while watchers are told, no reader sees a file empty, torn, missing, or back from the dead', async () => {
    nodes.run('pve1', 'mkdir /etc/pve/r && cd /etc/pve/r && printf "0 %0300d\\n" 0 | tr 0 y | sed "s/^y/0/" > steady');
    await until(
      'node 2 is with the others again',
      30_000,
      () => nodes.on('pve2', 'test -s /etc/pve/r/steady').code === 0,
    );
    const watch = await watching('/etc/pve/r', '/etc/pve/r/steady');
    const reading = ['a', 'b'].map(() =>
      nodes.begin('pve2', `cd /root/inotify && exec ${RUNTIME} read.ts /etc/pve/r 12000`),
    );
    const changing = nodes.begin(
      'pve1',
      `cd /etc/pve/r; ys=$(printf %0300d 0 | tr 0 y)
       for i in $(seq 0 39); do
         echo "$((i * 3 + 1)) $ys" > steady; echo x > e$i
         echo "$((i * 3 + 2)) $ys" > next; mv next steady
         echo "$((i * 3 + 3)) $ys" > steady; rm e$i
       done`,
    );
    assert.equal((await changing.ended).code, 0);
    for (const { ended } of reading) {
      const { code, out, err } = await ended;
      assert.equal(code, 0, err);
      const seen = JSON.parse(out) as { rounds: number; last: number; seen: number; faults: string[] };
      assert.deepEqual(seen.faults, []);
      assert.equal(seen.last, 120);
      assert.ok(seen.rounds > 20 && seen.seen > 5, out);
    }
    const told = await watch.told('r DELETE e39');
    for (const event of ['CREATE', 'DELETE'])
      assert.equal(told.filter((line) => line.startsWith(`r ${event} e`)).length, 40, `${event}: ${told.join('; ')}`);
    assert.equal(nodes.run('pve2', 'ls /etc/pve/r'), 'steady\n');
    await watch.stop();
  });
});
