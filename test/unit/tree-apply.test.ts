import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applyOperation } from '../../agent/tree/apply.ts';
import { LOCK_LIFETIME_MS, LockWatch } from '../../agent/tree/locks.ts';
import { followLinks, list, present } from '../../agent/tree/presentation.ts';
import { Tree } from '../../agent/tree/tree.ts';
import { LIMITS, type Errno, type Operation } from '../../agent/tree/types.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (tree: Tree, path: string): string => {
  const node = tree.find(path);
  assert.ok(node.ok, `${path} is missing`);
  return new TextDecoder().decode(node.value.data);
};

let clock = 1_700_000_000;
/** Applies and gives the errno, or null. */
function run(tree: Tree, operation: Operation, writer = 1): Errno | null {
  clock += 1;
  const stamp = { inode: tree.nextInode, mtimeS: clock, writer, version: { epoch: 1, index: clock } };
  const outcome = applyOperation(tree, operation, stamp);
  return outcome.ok ? null : outcome.error;
}
const mkdir = (path: string): Operation => ({ kind: 'mkdir', path });
const put = (path: string, data = ''): Operation => ({ kind: 'write', target: path, data: bytes(data), create: true });
const move = (from: string, to: string): Operation => ({ kind: 'rename', from, to, noReplace: false });
const unlink = (path: string): Operation => ({ kind: 'unlink', path });
const rmdir = (path: string): Operation => ({ kind: 'rmdir', path });
const utime = (target: string, mtimeS: number): Operation => ({ kind: 'setTime', target, mtimeS });
const patch = (target: string | number, offset: number, data: string, size: number | null = null): Operation => ({
  ...{ kind: 'patch', target, offset },
  ...{ data: bytes(data), size },
});

function built(...operations: Operation[]): Tree {
  const tree = new Tree();
  for (const operation of operations) assert.equal(run(tree, operation), null, JSON.stringify(operation));
  return tree;
}

describe('operations answer as pmxcfs does', () => {
  const tree = (): Tree => built(mkdir('d'), mkdir('d/sub'), mkdir('empty'), put('f', 'one'), put('g', 'two'));
  const cases: [string, Operation, Errno | null][] = [
    ['mkdir of what exists', mkdir('d'), 'EEXIST'],
    ['mkdir with no parent', mkdir('x/y'), 'ENOENT'],
    ['mkdir below a file', mkdir('f/y'), 'ENOTDIR'],
    ['mkdir below something below a file', mkdir('f/x/y'), 'ENOTDIR'],
    ['exclusive create of what exists', { kind: 'create', path: 'f', exclusive: true }, 'EEXIST'],
    ['create of what exists', { kind: 'create', path: 'f', exclusive: false }, null],
    ['rmdir that is not empty', rmdir('d'), 'ENOTEMPTY'],
    ['rmdir of a file', rmdir('f'), 'ENOTDIR'],
    ['unlink of a directory', unlink('d'), 'EISDIR'],
    ['unlink of nothing', unlink('nothing'), 'ENOENT'],
    ['file over file', move('f', 'g'), null],
    ['file onto itself', move('f', 'f'), null],
    ['file across directories', move('f', 'd/sub/f'), null],
    ['file over directory', move('f', 'empty'), 'EISDIR'],
    ['directory over file', move('empty', 'f'), 'ENOTDIR'],
    ['directory over a full one', move('empty', 'd'), 'ENOTEMPTY'],
    ['a full directory', move('d', 'e'), 'ENOTEMPTY'],
    ['an empty directory over an empty one', move('empty', 'd/sub'), null],
    ['a directory into itself', move('d', 'd/sub/x'), 'EINVAL'],
    ['rename that may not replace', { kind: 'rename', from: 'f', to: 'g', noReplace: true }, 'EEXIST'],
    ['rename of nothing', move('nothing', 'f'), 'ENOENT'],
    ['rename over .version', move('f', '.version'), 'EACCES'],
    ['rename of local', move('local', 'f2'), 'EACCES'],
    ['unlink of local', unlink('local'), 'EACCES'],
    ['unlink of .members', unlink('.members'), 'EACCES'],
    ['write of .version', put('.version'), 'EACCES'],
    ['time of the root', utime('', 5), 'EACCES'],
    ['time of .version', utime('.version', 5), 'EACCES'],
    ['a name of 256 bytes', put('é'.repeat(128)), 'ENAMETOOLONG'],
    ['a name of 254 bytes', put('é'.repeat(127)), null],
    ['a name with NUL', put('a\0b'), 'EINVAL'],
    ['a file of the limit', { kind: 'write', target: 'f', data: new Uint8Array(LIMITS.file), create: false }, null],
    ['one byte more', { kind: 'write', target: 'f', data: new Uint8Array(LIMITS.file + 1), create: false }, 'EFBIG'],
    ['growing past the limit', patch('f', 0, '', LIMITS.file + 1), 'EFBIG'],
    ['writing past the limit', patch('f', LIMITS.file, 'x'), 'EFBIG'],
    ['writing a directory', put('d', 'x'), 'EISDIR'],
    ['writing what must exist', { kind: 'write', target: 'no', data: bytes('x'), create: false }, 'ENOENT'],
    ['an open file that is gone', patch(4711, 0, 'x'), 'ENOENT'],
  ];
  for (const [name, operation, expected] of cases)
    test(`${name}: ${expected ?? 'fine'}`, () => assert.equal(run(tree(), operation), expected));

  test('an operation that fails changes nothing', () => {
    for (const [, operation, expected] of cases) {
      if (expected === null) continue;
      const subject = tree();
      const before = [...subject.all()];
      run(subject, operation);
      assert.deepEqual([...subject.all()], before);
    }
  });
});

describe('contents', () => {
  test('a hole reads as zeros; cutting and growing', () => {
    const tree = built(put('f', 'abc'), patch('f', 5, 'x'));
    assert.equal(text(tree, 'f'), 'abc\0\0x');
    run(tree, patch('f', 0, '', 2));
    assert.equal(text(tree, 'f'), 'ab');
    run(tree, patch('f', 0, '', 4));
    assert.equal(text(tree, 'f'), 'ab\0\0');
    assert.equal(tree.bytes, 4);
  });
  test('an open file is followed through a rename by its inode', () => {
    const tree = built(mkdir('d'), put('f', 'abc'));
    const file = tree.find('f');
    assert.ok(file.ok);
    run(tree, move('f', 'd/g'));
    assert.equal(run(tree, { kind: 'append', target: file.value.inode, data: bytes('!') }), null);
    assert.equal(text(tree, 'd/g'), 'abc!');
  });
  test('128 MiB is the end: ENOSPC, and what is there stays', () => {
    const tree = new Tree();
    const data = new Uint8Array(LIMITS.file);
    for (let file = 0; file < 128; file += 1)
      assert.equal(run(tree, { kind: 'write', target: `f${file}`, data, create: true }), null);
    assert.equal(run(tree, put('more', 'x')), 'ENOSPC');
    assert.equal(run(tree, put('empty')), null);
    assert.equal(run(tree, patch('empty', 0, 'x')), 'ENOSPC');
    assert.equal(tree.bytes, LIMITS.bytes);
  });
});

describe('guests', () => {
  const folders = ['nodes', 'nodes/a', 'nodes/a/lxc', 'nodes/a/qemu-server', 'nodes/b', 'nodes/b/qemu-server'];
  const guests = (): Tree => built(...folders.map(mkdir), put('nodes/a/qemu-server/100.conf', 'x'));
  test('a VMID has one configuration in the cluster', () => {
    const tree = guests();
    assert.equal(run(tree, put('nodes/a/lxc/100.conf')), 'EEXIST');
    assert.equal(run(tree, put('nodes/b/qemu-server/100.conf')), 'EEXIST');
    assert.equal(run(tree, put('nodes/b/qemu-server/100.conf.tmp', 'new')), null);
    assert.equal(run(tree, move('nodes/b/qemu-server/100.conf.tmp', 'nodes/b/qemu-server/100.conf')), 'EEXIST');
  });
  test('a guest moves by rename, and its old place is free', () => {
    const tree = guests();
    assert.equal(run(tree, move('nodes/a/qemu-server/100.conf', 'nodes/b/qemu-server/101.conf')), null);
    assert.deepEqual(
      tree.guests().map(({ vmid, node, type }) => [vmid, node, type]),
      [[101, 'b', 'qemu']],
    );
    assert.equal(run(tree, put('nodes/a/lxc/100.conf')), null);
    assert.equal(run(tree, unlink('nodes/a/lxc/100.conf')), null);
    assert.equal(tree.guest(100), undefined);
  });
  test('0102.conf and 4294967296.conf are ordinary files', () => {
    const tree = guests();
    for (const name of ['0102.conf', '4294967296.conf'])
      assert.equal(run(tree, put(`nodes/a/lxc/${name}`)) ?? run(tree, put(`nodes/b/qemu-server/${name}`)), null);
    assert.equal(tree.guests().length, 1);
  });
});

describe('locks', () => {
  const lock = 'priv/lock/storage';
  const locked = (): Tree => built(mkdir('priv'), mkdir('priv/lock'), mkdir(lock));
  const version = (tree: Tree): { epoch: number; index: number } => {
    const found = tree.find(lock);
    assert.ok(found.ok);
    return found.value.version;
  };
  test('only the owner renews; the time 0 is refused', () => {
    const tree = locked();
    assert.equal(run(tree, utime(lock, 7), 2), 'EACCES');
    assert.equal(run(tree, utime(lock, 0), 1), 'EACCES');
    assert.equal(run(tree, utime(lock, 7), 1), null);
  });
  test('a lock that is asked for goes 120 s after it was last seen renewed', () => {
    const tree = locked();
    const watch = new LockWatch();
    assert.equal(watch.ask(lock, version(tree), 0), null);
    assert.equal(watch.ask(lock, version(tree), LOCK_LIFETIME_MS - 1), null);
    run(tree, utime(lock, 7));
    assert.equal(watch.ask(lock, version(tree), LOCK_LIFETIME_MS), null);
    const expire = watch.ask(lock, version(tree), 2 * LOCK_LIFETIME_MS);
    assert.ok(expire);
    assert.equal(run(tree, expire), null);
    assert.equal(tree.find(lock).ok, false);
  });
  test('a lock renewed while its end was on the way stays', () => {
    const tree = locked();
    const late: Operation = { kind: 'expireLock', path: lock, version: version(tree) };
    run(tree, utime(lock, 7));
    assert.equal(run(tree, late), 'EACCES');
  });
});

describe('the looks of a path', () => {
  const viewer = { hostname: 'pve1', writable: true };
  const tree = built(mkdir('priv'), put('priv/key', 'x'), put('f', 'xyz'), mkdir('nodes'), mkdir('nodes/pve1'));
  run(tree, mkdir('nodes/pve1/priv'));
  const mode = (path: string, writable = true): string => {
    const found = present(tree, path, { ...viewer, writable });
    assert.ok(found.ok, path);
    return found.value.mode.toString(8);
  };
  test('priv is for root alone, also below a node', () => {
    assert.deepEqual(
      ['priv', 'priv/key', 'nodes/pve1/priv', 'f', 'nodes', '', '.members', '.debug'].map((path) => mode(path)),
      ['700', '600', '700', '640', '755', '755', '440', '640'],
    );
  });
  test('without quorum the write bits are gone', () => {
    assert.deepEqual(
      ['priv', 'f', 'nodes'].map((path) => mode(path, false)),
      ['500', '440', '555'],
    );
  });
  test('the links lead to the own node', () => {
    const target = (path: string): string | null => {
      const found = present(tree, path, viewer);
      return found.ok ? found.value.target : 'missing';
    };
    assert.deepEqual(['local', 'qemu-server', 'lxc', 'openvz'].map(target), [
      'nodes/pve1',
      'nodes/pve1/qemu-server',
      'nodes/pve1/lxc',
      'nodes/pve1/openvz',
    ]);
    assert.equal(followLinks('local/priv/x', 'pve1'), 'nodes/pve1/priv/x');
    assert.equal(followLinks('f', 'pve1'), 'f');
  });
  test('the root lists links, virtual files and entries', () => {
    const found = list(tree, '', viewer);
    assert.ok(found.ok);
    const names = found.value.map((entry) => entry.name).sort();
    const virtual = ['.clusterlog', '.debug', '.members', '.rrd', '.version', '.vmlist'];
    assert.deepEqual(names, [...virtual, 'f', 'local', 'lxc', 'nodes', 'openvz', 'priv', 'qemu-server']);
    assert.deepEqual(list(tree, 'f', viewer), { ok: false, error: 'ENOTDIR' });
  });
});
