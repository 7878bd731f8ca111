/** The process that does once more what was done elsewhere: it alone is told that it is done, and nothing is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Handles } from '../../agent/mount/fuse/handles.ts';
import { Moved } from '../../agent/mount/fuse/moved.ts';
import { decodeRequest, ERRNO, OPCODE } from '../../agent/mount/fuse/protocol.ts';
import { eventsOf, type RemoteEvent } from '../../agent/mount/fuse/remote-events.ts';
import { REPLAY_GROUP } from '../../agent/mount/fuse/replaying.ts';
import { Serving } from '../../agent/mount/fuse/serving.ts';
import { TreeView } from '../../agent/mount/fuse/view.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import { ROOT_INODE, type Operation } from '../../agent/tree/types.ts';

const PID = 77;
const ROOT_GROUP = 0;

class Mount {
  readonly tree = new Tree();
  readonly handles = new Handles();
  readonly operations: Operation[] = [];
  #reply = Buffer.alloc(0);
  #index = 0;
  readonly serving = new Serving(
    new TreeView(this.tree, { hostname: 'pve1', virtual: () => null, orphan: (inode) => this.handles.orphan(inode) }),
    this.handles,
    new Moved(
      () => 0,
      () => false,
    ),
    {
      reply: (bytes) => (this.#reply = Buffer.from(bytes)),
      submit: (_unique, operation) => void this.operations.push(operation),
      interrupt: () => undefined,
      debug: () => undefined,
    },
    () => undefined,
  );

  constructor() {
    for (const path of ['d', 'd/sub']) this.apply({ kind: 'mkdir', path });
    this.apply({ kind: 'write', target: 'd/f', data: Buffer.from('one'), create: true });
  }

  /** Done elsewhere. Gives what watchers are told. */
  apply(operation: Operation): RemoteEvent {
    const before = new Tree(this.tree.nextInode);
    for (const node of this.tree.all()) before.put(node);
    this.#index += 1;
    const stamp = { inode: this.tree.nextInode, mtimeS: 1, writer: 2, version: { epoch: 1, index: this.#index } };
    const done = applyOperation(this.tree, operation, stamp);
    assert.ok(done.ok);
    const [event] = eventsOf(before, done.value.put, done.value.removed);
    assert.ok(event !== undefined);
    return event;
  }
  inode(path: string): number {
    const found = this.tree.find(path);
    assert.ok(found.ok);
    return found.value.inode;
  }

  /** `head`: bytes before the names. The errno's word, or `inode` of an entry, or 'done'. */
  ask(
    opcode: number,
    node: number,
    head: number,
    names: string,
    who = { gid: REPLAY_GROUP, pid: PID },
  ): string | number {
    const body = Buffer.concat([Buffer.alloc(head), Buffer.from(`${names}\0`)]);
    if (opcode === OPCODE.rename) body.writeBigUInt64LE(BigInt(this.inode('d')), 0);
    const bytes = Buffer.alloc(40 + body.length);
    bytes.writeUInt32LE(bytes.length, 0);
    bytes.writeUInt32LE(opcode, 4);
    bytes.writeBigUInt64LE(8n, 8);
    bytes.writeBigUInt64LE(BigInt(node), 16);
    bytes.writeUInt32LE(who.gid, 28);
    bytes.writeUInt32LE(who.pid, 32);
    bytes.set(body, 40);
    this.#reply = Buffer.alloc(0);
    this.serving.take(decodeRequest(bytes));
    if (this.#reply.length === 0) return 'submitted';
    const errno = -this.#reply.readInt32LE(4);
    if (errno !== 0) return Object.entries(ERRNO).find(([, number]) => number === errno)?.[0] ?? errno;
    const givesEntry = opcode === OPCODE.lookup || opcode === OPCODE.create || opcode === OPCODE.mkdir;
    return givesEntry ? Number(this.#reply.readBigUInt64LE(16)) : 'done';
  }
  /** How long the kernel may keep the name and the attributes of the last entry, in seconds. */
  get keeps(): number {
    return Number(this.#reply.readBigUInt64LE(16 + 16) + this.#reply.readBigUInt64LE(16 + 24));
  }
}
const somebody = { gid: ROOT_GROUP, pid: 5 };

describe('the process that tells watchers', () => {
  test('a file that is there is made once more, and nobody else misses it meanwhile', () => {
    const mount = new Mount();
    const [event, d] = [mount.apply({ kind: 'create', path: 'd/n', exclusive: true }), mount.inode('d')];
    mount.serving.replay(PID, event);
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'n'), 'ENOENT');
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'n', somebody), mount.inode('d/n'));
    assert.equal(mount.ask(OPCODE.create, d, 16, 'n'), mount.inode('d/n'));
    assert.equal(mount.keeps, 0);
    assert.deepEqual(mount.operations, []);
  });

  test('a directory is made once more as a directory only', () => {
    const mount = new Mount();
    mount.serving.replay(PID, mount.apply({ kind: 'mkdir', path: 'd/n' }));
    assert.equal(mount.ask(OPCODE.create, mount.inode('d'), 16, 'n'), 'ESTALE');
    assert.equal(mount.ask(OPCODE.mkdir, mount.inode('d'), 8, 'n'), mount.inode('d/n'));
  });

  test('what is gone is taken away once more, after the kernel was led to it, and nobody else sees it', () => {
    const mount = new Mount();
    const [d, f] = [mount.inode('d'), mount.inode('d/f')];
    const event = mount.apply({ kind: 'unlink', path: 'd/f' });
    mount.serving.expect([event], 0);
    mount.serving.replay(PID, event);
    assert.equal(mount.ask(OPCODE.unlink, d, 0, 'f'), 'ESTALE', 'the kernel may mean another one');
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'f'), f);
    assert.equal(mount.keeps, 0);
    // Without an entry that the kernel could keep for ten seconds: it would not ask for what it knows not to be there.
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'f', somebody), 'ENOENT');
    assert.equal(mount.ask(OPCODE.unlink, d, 0, 'f'), 'done');
    assert.deepEqual(mount.operations, []);
  });

  test('a name that another file has by now is not taken away', () => {
    const mount = new Mount();
    const d = mount.inode('d');
    mount.serving.replay(PID, mount.apply({ kind: 'unlink', path: 'd/f' }));
    mount.ask(OPCODE.lookup, d, 0, 'f');
    mount.apply({ kind: 'create', path: 'd/f', exclusive: true });
    assert.equal(mount.ask(OPCODE.unlink, d, 0, 'f'), 'ESTALE');
  });

  test('the way to what is gone leads through directories that are gone', () => {
    const mount = new Mount();
    const [d, sub] = [mount.inode('d'), mount.inode('d/sub')];
    mount.apply({ kind: 'create', path: 'd/sub/x', exclusive: true });
    const x = mount.inode('d/sub/x');
    const event = mount.apply({ kind: 'unlink', path: 'd/sub/x' });
    mount.apply({ kind: 'rmdir', path: 'd/sub' });
    mount.serving.replay(PID, event);
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'sub'), sub);
    assert.equal(mount.ask(OPCODE.lookup, sub, 0, 'x'), x);
    assert.equal(mount.ask(OPCODE.unlink, sub, 0, 'x'), 'done');
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'sub', somebody), 0, 'for everybody else there is none');
  });

  test('a rename over another file is done once more from what was to what was', () => {
    const mount = new Mount();
    mount.apply({ kind: 'create', path: 'd/n', exclusive: true });
    const [d, n, f] = [mount.inode('d'), mount.inode('d/n'), mount.inode('d/f')];
    mount.serving.replay(PID, mount.apply({ kind: 'rename', from: 'd/n', to: 'd/f', noReplace: false }));
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'n'), n);
    assert.equal(mount.ask(OPCODE.rename, d, 8, 'n\0f'), 'ESTALE', 'where it goes was not asked for');
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'f'), f);
    assert.equal(mount.ask(OPCODE.rename, d, 8, 'n\0f'), 'done');
    assert.equal(mount.ask(OPCODE.lookup, d, 0, 'f', somebody), n);
    assert.deepEqual(mount.operations, []);
  });

  test('a file that was changed is opened, cut off and closed without a change', () => {
    const mount = new Mount();
    const f = mount.inode('d/f');
    mount.serving.replay(PID, mount.apply({ kind: 'append', target: 'd/f', data: Buffer.from('two') }));
    assert.equal(mount.ask(OPCODE.open, f, 8, ''), 'done');
    assert.equal(mount.ask(OPCODE.setattr, f, 88, ''), 'done');
    assert.equal(mount.ask(OPCODE.open, mount.inode('d/sub'), 8, ''), 'ESTALE');
    assert.equal(mount.ask(OPCODE.write, f, 48, 'x'), 'EACCES');
    assert.deepEqual(mount.operations, []);
  });

  test('whoever else has its group, or its number, is never told that something was done', () => {
    const mount = new Mount();
    const d = mount.inode('d');
    const event = mount.apply({ kind: 'create', path: 'd/n', exclusive: true });
    for (const who of [
      { gid: REPLAY_GROUP, pid: PID + 1 },
      { gid: REPLAY_GROUP, pid: PID },
    ]) {
      mount.serving.replay(PID, who.pid === PID ? null : event);
      for (const [opcode, head] of [
        [OPCODE.create, 16],
        [OPCODE.mkdir, 8],
        [OPCODE.unlink, 0],
        [OPCODE.rmdir, 0],
        [OPCODE.open, 8],
        [OPCODE.setattr, 88],
        [OPCODE.write, 48],
      ] as const)
        assert.equal(mount.ask(opcode, d, head, 'n', who), 'EACCES');
      assert.equal(mount.ask(OPCODE.lookup, ROOT_INODE, 0, '.nothing', who), 'ENOENT');
    }
    assert.deepEqual(mount.operations, []);
    mount.serving.replay(PID, event);
    // Read-only without quorum, as for everybody: its own group makes the difference.
    assert.equal(mount.ask(OPCODE.create, d, 16, 'n', { gid: ROOT_GROUP, pid: PID }), 'EACCES');
  });
});
