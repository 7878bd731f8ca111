/**
 * A power cut as the disk sees it: of what was written and not yet synced any part may be there. What opens is a prefix
 * of the history, and at least as new as the last commit that returned.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { DiskRefuses, Store } from '../../agent/mount/store.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';
import { changed, encodeTree, treeBytes } from './mount-store-changes.ts';

const base = mkdtempSync(join(tmpdir(), 'ringmaster-power-'));
after(() => rmSync(base, { recursive: true, force: true }));
let directories = 0;
const fresh = (): string => join(base, String((directories += 1)));

const COMMITS = 12;
/** Of SQLite's file format: the log's head, and the head of each page in it. */
const [LOG_HEAD, FRAME_HEAD, PAGE] = [32, 24, 4096];

const write = (name: string, bytes: number, fill: number): Operation => ({
  ...{ kind: 'write', target: name, data: new Uint8Array(bytes).fill(fill), create: true },
});

interface Written {
  readonly file: Buffer;
  readonly log: Buffer;
  /** Bytes of the log when commit `at` had returned. */
  readonly ends: readonly number[];
  /** The tree after so many operations. */
  readonly trees: readonly Uint8Array[];
}

/** Commits of three operations each, small and large ones. */
function written(): Written {
  const directory = fresh();
  const store = Store.open(directory);
  const tree = new Tree();
  const trees = [encodeTree(tree)];
  const ends: number[] = [];
  for (let commit = 0; commit < COMMITS; commit += 1) {
    const records = [0, 1, 2].flatMap((number) => {
      const index = commit * 3 + number + 1;
      const record = changed(tree, [write(`f${index % 5}`, index % 4 === 0 ? 9_000 : 300, index)], index);
      trees.push(encodeTree(tree));
      return record;
    });
    store.commit(records);
    ends.push(readFileSync(join(directory, 'config.db-wal')).length);
  }
  const [file, log] = ['config.db', 'config.db-wal'].map((name) => readFileSync(join(directory, name)));
  store.close();
  assert.ok(file !== undefined && log !== undefined);
  return { file, log, ends, trees };
}

/** Opens what a disk holds, as the next start does. */
function opened(file: Buffer, log: Buffer): { readonly index: number; readonly bytes: Uint8Array } {
  const directory = fresh();
  mkdirSync(directory);
  writeFileSync(join(directory, 'config.db'), file);
  writeFileSync(join(directory, 'config.db-wal'), log);
  const store = Store.open(directory);
  const image = store.load();
  store.close();
  rmSync(directory, { recursive: true });
  return { index: image.version.index, bytes: treeBytes(image) };
}

describe('a power cut', () => {
  const { file, log, ends, trees } = written();
  const frames = (log.length - LOG_HEAD) / (FRAME_HEAD + PAGE);
  const cuts = Array.from({ length: frames + 1 }, (_, frame) => LOG_HEAD + frame * (FRAME_HEAD + PAGE)).flatMap(
    (at) => [at, at + 11, at + FRAME_HEAD, at + 2_000],
  );

  const holds = (from: Buffer, what: Buffer, cut: number): void => {
    const { index, bytes } = opened(from, what);
    const acknowledged = 3 * ends.filter((end) => end <= cut).length;
    assert.ok(index >= acknowledged, `cut at ${cut}: ${index} of ${acknowledged} acknowledged operations`);
    assert.equal(index % 3, 0, 'half a commit');
    assert.deepEqual(bytes, trees[index], `cut at ${cut}: another tree than that of operation ${index}`);
  };

  test('the log is cut at any frame and within any', () => {
    assert.ok(frames > 30, 'too short a log to cut');
    for (const cut of [0, 7, ...cuts]) if (cut <= log.length) holds(file, log.subarray(0, cut), cut);
  });

  test('the end of the log has its length and not its bytes', () => {
    for (const cut of cuts) {
      if (cut > log.length) continue;
      const garbled = Buffer.from(log);
      garbled.fill(0, cut);
      holds(file, garbled, cut);
    }
  });

  test('while the log is written back into the file, any of its pages are there', () => {
    const directory = fresh();
    mkdirSync(directory);
    writeFileSync(join(directory, 'config.db'), file);
    writeFileSync(join(directory, 'config.db-wal'), log);
    Store.open(directory).close();
    const after = readFileSync(join(directory, 'config.db'));
    for (let torn = 0; torn < 40; torn += 1) {
      const mixed = Buffer.alloc(after.length);
      file.copy(mixed);
      for (let page = 0; page * PAGE < after.length; page += 1)
        if ((page * 7 + torn * 13) % 5 < 2 + (torn % 3)) after.copy(mixed, page * PAGE, page * PAGE, (page + 1) * PAGE);
      // Half a page, too.
      const half = (torn % (after.length / PAGE)) * PAGE;
      after.copy(mixed, half, half, half + PAGE / 2);
      holds(mixed, log, log.length);
    }
  });

  test('what was read at a start is in the file itself, not only in a log that nobody may have synced', () => {
    const directory = fresh();
    mkdirSync(directory);
    writeFileSync(join(directory, 'config.db'), file);
    writeFileSync(join(directory, 'config.db-wal'), log);
    const store = Store.open(directory);
    const { index } = opened(readFileSync(join(directory, 'config.db')), Buffer.alloc(0));
    assert.equal(index, store.load().version.index);
    assert.equal(index, 3 * COMMITS);
    store.close();
  });
});

/** Commits one operation after the other and says so; SIGXFSZ is ignored by Node, so that a limit is an error of write(2). */
const WRITER = `
  import { writeSync } from 'node:fs';
  const [directory, store, changes, tree] = process.argv.slice(2);
  const { Store } = await import(store);
  const { changed } = await import(changes);
  const { Tree } = await import(tree);
  const mine = new Tree();
  const opened = Store.open(directory);
  for (let index = 1; ; index += 1) {
    const data = new Uint8Array(2000).fill(index);
    try {
      opened.commit(changed(mine, [{ kind: 'write', target: 'f' + (index % 9), data, create: true }], index));
    } catch (error) {
      writeSync(1, error.name + ' ' + error.full + '\\n');
      process.exit(9);
    }
    writeSync(1, index + '\\n');
  }`;
const at = (path: string): string => join(import.meta.dirname, path);
const LINE = [at('../../agent/mount/store.ts'), at('mount-store-changes.ts'), at('../../agent/tree/tree.ts')];

function isWhole(directory: string, acknowledged: number): void {
  const store = Store.open(directory);
  const image = store.load();
  store.close();
  assert.ok(acknowledged > 3, `only ${acknowledged} were acknowledged`);
  assert.ok(image.version.index >= acknowledged, `${image.version.index} of ${acknowledged} are there`);
  for (const { data, version } of image.nodes.filter(({ kind }) => kind === 'file'))
    assert.ok(data.length === 2000 && data.every((byte) => byte === (version.index & 255)), 'torn');
}

test('kill -9 at any moment: what was acknowledged is there, and nothing is torn', async () => {
  for (let round = 0; round < 6; round += 1) {
    const directory = fresh();
    const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, 'x', directory, ...LINE]);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.split('\n').length > 10 + round * 37) child.kill('SIGKILL');
    });
    await new Promise((resolve) => child.once('close', resolve));
    isWhole(directory, Number(out.trim().split('\n').at(-1)));
  }
});

test('a write that the disk refuses is an error of the disk, and what was acknowledged before is there', () => {
  const directory = fresh();
  const line = [process.execPath, '--input-type=module', '-e', WRITER, 'x', directory, ...LINE];
  // 512 KiB a file.
  const { stdout, status } = spawnSync('sh', ['-c', 'ulimit -f 1024; exec "$@"', 'sh', ...line], { encoding: 'utf8' });
  const lines = stdout.trim().split('\n');
  assert.equal(status, 9, stdout);
  assert.match(lines.at(-1) ?? '', new RegExp(`^${DiskRefuses.name} `));
  isWhole(directory, Number(lines.at(-2)));
});
