/** What a change made elsewhere is to those who watch, and what is told to the process that does it once more. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ChangedNode } from '../../agent/mount/fuse/messages.ts';
import {
  differences,
  eventsOf,
  folderOf,
  WatchedInodes,
  type Place,
  type RemoteEvent,
} from '../../agent/mount/fuse/remote-events.ts';
import { REPLAY_PROGRAMS, replayLine } from '../../agent/mount/watchers/replay-programs.ts';
import { marksOf } from '../../agent/mount/watchers/watched.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { treeOf } from '../../agent/tree/snapshot.ts';
import type { Tree } from '../../agent/tree/tree.ts';
import { ROOT_INODE, type Operation } from '../../agent/tree/types.ts';

let index = 0;
function apply(tree: Tree, operation: Operation): { put: readonly ChangedNode[]; removed: readonly number[] } {
  index += 1;
  const stamp = { inode: tree.nextInode, mtimeS: index, writer: 1, version: { epoch: 1, index } };
  const done = applyOperation(tree, operation, stamp);
  assert.ok(done.ok, `${operation.kind}: ${done.ok ? '' : done.error}`);
  return done.value;
}
const copyOf = (tree: Tree): Tree => {
  const copy = treeOf([...tree.all()], tree.nextInode);
  assert.ok(copy.ok);
  return copy.value;
};
/** d/f (file), d/sub (directory), g (file). */
function made(): Tree {
  const tree = treeOfNothing();
  apply(tree, { kind: 'mkdir', path: 'd' });
  apply(tree, { kind: 'write', target: 'd/f', data: Buffer.from('one'), create: true });
  apply(tree, { kind: 'mkdir', path: 'd/sub' });
  apply(tree, { kind: 'create', path: 'g', exclusive: true });
  return tree;
}
function treeOfNothing(): Tree {
  const tree = treeOf([], 2);
  assert.ok(tree.ok);
  return tree.value;
}
const pathOf = ({ steps }: Place): string => steps.map(({ name }) => name).join('/');
const inodeOf = (tree: Tree, path: string): number => {
  const found = tree.find(path);
  assert.ok(found.ok);
  return found.value.inode;
};
const wordsOf = (event: RemoteEvent): string => {
  const kind = `${event.kind} ${event.entry.kind} ${pathOf(event.at)}`;
  if (event.kind !== 'moved') return kind;
  return `${kind} to ${pathOf(event.to)}${event.replaced === null ? '' : ' over another'}`;
};
const happens = (operation: Operation): string[] => {
  const tree = made();
  const { put, removed } = apply(copyOf(tree), operation);
  return eventsOf(tree, put, removed).map(wordsOf);
};

describe('the events of one change', () => {
  const data = Buffer.from('two');
  for (const [what, operation, expected] of [
    ['overwriting', { kind: 'write', target: 'd/f', data, create: false }, ['modified file d/f']],
    ['appending', { kind: 'append', target: 'd/f', data }, ['modified file d/f']],
    [
      'creating a file, and not the time of its directory',
      { kind: 'create', path: 'd/n', exclusive: true },
      ['created file d/n'],
    ],
    ['creating it with contents', { kind: 'write', target: 'd/n', data, create: true }, ['created file d/n']],
    ['creating a directory', { kind: 'mkdir', path: 'd/n' }, ['created directory d/n']],
    ['removing a file', { kind: 'unlink', path: 'd/f' }, ['removed file d/f']],
    ['removing a directory', { kind: 'rmdir', path: 'd/sub' }, ['removed directory d/sub']],
    ['renaming', { kind: 'rename', from: 'g', to: 'd/sub/h', noReplace: false }, ['moved file g to d/sub/h']],
    ['renaming over', { kind: 'rename', from: 'g', to: 'd/f', noReplace: false }, ['moved file g to d/f over another']],
    ['setting the time', { kind: 'setTime', target: 'd', mtimeS: 7 }, ['attributes directory d']],
    ['nothing', { kind: 'sync' }, []],
  ] as const satisfies readonly (readonly [string, Operation, readonly string[]])[])
    test(what, () => assert.deepEqual(happens(operation), expected));
});

describe('when the tree gives way to another', () => {
  test('what differs in the directories and files that are watched is told, and nothing else', () => {
    const before = made();
    const after = copyOf(before);
    const [d, g] = [inodeOf(before, 'd'), inodeOf(before, 'g')];
    apply(after, { kind: 'write', target: 'd/f', data: Buffer.from('x'), create: false });
    apply(after, { kind: 'rmdir', path: 'd/sub' });
    apply(after, { kind: 'mkdir', path: 'd/new' });
    apply(after, { kind: 'unlink', path: 'g' });
    apply(after, { kind: 'create', path: 'unseen', exclusive: true });
    const told = differences(before, after, [d, g]).map(wordsOf).sort();
    assert.deepEqual(told, [
      'created directory d/new',
      'modified file d/f',
      'removed directory d/sub',
      'removed file g',
    ]);
    assert.deepEqual(differences(before, copyOf(before), 'all'), []);
    assert.equal(differences(before, after, 'all').length, 5);
  });
});

describe('who is told', () => {
  const tree = made();
  const event = (operation: Operation): RemoteEvent[] => {
    const { put, removed } = apply(copyOf(tree), operation);
    return eventsOf(tree, put, removed);
  };
  const isTold = (watches: string, operation: Operation): boolean => {
    const watched = new WatchedInodes();
    watched.set([watches === '' ? ROOT_INODE : inodeOf(tree, watches)]);
    return watched.concerned(event(operation), 0).length > 0;
  };

  test('whoever watches the entry or its directory, before or after a rename', () => {
    const rename = { kind: 'rename', from: 'g', to: 'd/f', noReplace: false } as const;
    for (const watches of ['', 'd', 'g', 'd/f']) assert.ok(isTold(watches, rename), watches);
    assert.ok(!isTold('d/sub', rename));
    assert.ok(isTold('d', { kind: 'unlink', path: 'd/f' }));
    assert.ok(!isTold('', { kind: 'unlink', path: 'd/f' }));
  });

  test('of a new directory in one that is watched too, until its own watchers would have been seen', () => {
    const watched = new WatchedInodes();
    watched.set([inodeOf(tree, 'd')]);
    const [before, after] = [copyOf(tree), copyOf(tree)];
    const first = apply(after, { kind: 'mkdir', path: 'd/n' });
    assert.equal(watched.concerned(eventsOf(before, first.put, first.removed), 0).length, 1);
    const between = copyOf(after);
    const second = apply(after, { kind: 'create', path: 'd/n/x', exclusive: true });
    const events = eventsOf(between, second.put, second.removed);
    assert.equal(watched.concerned(events, 1_000).length, 1);
    assert.equal(watched.concerned(events, 60_000).length, 0);
  });

  test('nobody, where nobody watches', () => assert.ok(new WatchedInodes().isEmpty));
});

describe('marks in /proc/PID/fdinfo', () => {
  const device = { major: 0, minor: 58 };
  const inotify = (inode: number, sdev: string): string =>
    `inotify wd:1 ino:${inode.toString(16)} sdev:${sdev} mask:fce ignored_mask:0 fhandle-bytes:c`;

  test('those of our mount, by inode', () => {
    const text = ['pos:\t0', inotify(11, '3a'), inotify(12, '3b'), inotify(300, '3a'), ''].join('\n');
    assert.deepEqual(marksOf(text, device), [11, 300]);
  });
  test('a whole file system, or a mount, is all of it', () => {
    assert.equal(marksOf('fanotify flags:0 event-flags:0\nfanotify sdev:3a mflags:0 mask:3b', device), 'all');
    assert.equal(marksOf('fanotify mnt_id:12 mflags:0 mask:3b ignored_mask:0', device), 'all');
    assert.deepEqual(marksOf('fanotify sdev:801 mflags:0 mask:3b', device), []);
    assert.deepEqual(marksOf('fanotify ino:b sdev:3a mflags:0 mask:3b', device), [11]);
  });
});

describe('what the replaying process is told', () => {
  const line = (operation: Operation, at: string | null = null): string[] => {
    const tree = made();
    const { put, removed } = apply(copyOf(tree), operation);
    const [event] = eventsOf(tree, put, removed);
    assert.ok(event !== undefined);
    return replayLine(event, at).toString('latin1').split('\0');
  };
  test('three fields, and the path as it is by now', () => {
    assert.deepEqual(line({ kind: 'rename', from: 'g', to: 'd/f', noReplace: false }), ['rename', 'g', 'd/f', '']);
    assert.deepEqual(line({ kind: 'append', target: 'd/f', data: Buffer.from('x') }, 'moved'), [
      'modify',
      'moved',
      '',
      '',
    ]);
    assert.deepEqual(line({ kind: 'rmdir', path: 'd/sub' }), ['rmdir', 'd/sub', '', '']);
    assert.deepEqual(line({ kind: 'create', path: 'd/\udcff', exclusive: true }), ['create', 'd/\xff', '', '']);
  });
  test('a place knows the directory it is in', () => {
    const steps = [1, 9].map((folder) => ({ folder, name: 'x' }));
    assert.equal(folderOf({ steps }), 9);
  });
});

describe('the replaying process', () => {
  const here = REPLAY_PROGRAMS.filter(({ program }) => existsSync(program));
  test('this machine has a program for it', () => assert.ok(here.length > 0));

  for (const { program, args } of here)
    test(`${program} does what it is told in the file system it is for, and in no other`, () => {
      const folder = mkdtempSync(join(tmpdir(), 'ringmaster-replay-'));
      try {
        const acts: readonly (readonly [string, string, string])[] = [
          ['look', '.nothing', ''],
          ['create', 'f', ''],
          ['create', 'f', ''],
          ['mkdir', 'd', ''],
          ['rename', 'f', 'd/g'],
          ['touch', 'd/g', ''],
          ['mkdir', 'e', ''],
          ['rmdir', 'e', ''],
          ['unlink', 'nothing', ''],
          ['create', 'h', ''],
          ['unlink', 'h', ''],
          ['modify', 'full', ''],
        ];
        const input = acts.flatMap((fields) => fields.map((field) => `${field}\0`)).join('');
        const replay = (device: number): string[] => {
          const line = [...args, folder, String(device)];
          return spawnSync(program, line, { input, encoding: 'utf8' }).stdout.split('\n');
        };
        writeFileSync(join(folder, 'full'), 'full');
        const elsewhere = replay(statSync(folder).dev + 1);
        assert.deepEqual([elsewhere.length, elsewhere.includes('done')], [acts.length + 1, false]);
        assert.deepEqual(readdirSync(folder), ['full']);
        const done = replay(statSync(folder).dev).map((word) => word === 'done');
        assert.deepEqual(done, [true, true, false, true, true, true, true, true, false, true, true, true, false]);
        assert.deepEqual(readdirSync(folder).sort(), ['d', 'full']);
        assert.deepEqual(readdirSync(join(folder, 'd')), ['g']);
        assert.equal(statSync(join(folder, 'full')).size, 0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
});
