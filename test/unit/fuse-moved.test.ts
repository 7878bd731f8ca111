/** Where names lead that another node has moved, byte by byte; a kernel takes part in ../node/fs-moved.test.ts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Handles } from '../../agent/mount/fuse/handles.ts';
import { Moved, treeInode } from '../../agent/mount/fuse/moved.ts';
import { decodeRequest, ERRNO, OPCODE } from '../../agent/mount/fuse/protocol.ts';
import { mayRename } from '../../agent/mount/fuse/rename-callers.ts';
import { Serving } from '../../agent/mount/fuse/serving.ts';
import { TreeView } from '../../agent/mount/fuse/view.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import { ROOT_INODE, type Operation } from '../../agent/tree/types.ts';

const RENAMER = 11;
const READER = 12;
/** The longest that a name is gone by, and a second. */
const KEPT_MS = 11_000;

/** A file or directory that was at `old` and that another node has moved to `new`. */
class Mount {
  now = 0;
  readonly tree = new Tree();
  readonly moved = new Moved(
    () => this.now,
    (pid) => pid === RENAMER,
  );
  readonly operations: Operation[] = [];
  readonly inode: number;
  readonly serving: Serving;
  #reply = Buffer.alloc(0);

  constructor(kind: 'file' | 'directory' = 'file') {
    const handles = new Handles();
    const view = new TreeView(this.tree, { hostname: 'pve1', virtual: () => null, orphan: () => undefined });
    view.writable = true;
    const out = {
      reply: (bytes: Uint8Array) => (this.#reply = Buffer.from(bytes)),
      submit: (_unique: bigint, operation: Operation) => void this.operations.push(operation),
      interrupt: () => undefined,
      debug: () => undefined,
    };
    this.serving = new Serving(view, handles, this.moved, out, () => undefined);
    this.apply(kind === 'file' ? { kind: 'create', path: 'old', exclusive: true } : { kind: 'mkdir', path: 'old' });
    this.apply({ kind: 'rename', from: 'old', to: 'new', noReplace: false });
    const found = this.tree.find('new');
    assert.ok(found.ok);
    this.inode = found.value.inode;
    this.moved.note(this.inode);
  }

  apply(operation: Operation): void {
    const stamp = { inode: this.tree.nextInode, mtimeS: 1, writer: 2, version: { epoch: 1, index: 1 } };
    assert.ok(applyOperation(this.tree, operation, stamp).ok);
  }
  wait(milliseconds: number): void {
    this.now += milliseconds;
    this.moved.requested();
  }
  ask(opcode: number, node: number, body: Uint8Array, pid: number): { errno: number; body: Buffer } {
    const bytes = Buffer.alloc(40 + body.length);
    bytes.writeUInt32LE(bytes.length, 0);
    bytes.writeUInt32LE(opcode, 4);
    bytes.writeBigUInt64LE(2n, 8);
    bytes.writeBigUInt64LE(BigInt(node), 16);
    bytes.writeUInt32LE(pid, 32);
    bytes.set(body, 40);
    this.serving.take(decodeRequest(bytes));
    return { errno: Math.abs(this.#reply.readInt32LE(4)), body: this.#reply.subarray(16) };
  }
  /** Of a lookup of `new`: the kernel's inode, the number that stat(2) shows, and for how long the name holds. */
  leads(pid: number): { node: number; shown: number; validS: number } {
    const { errno, body } = this.ask(OPCODE.lookup, ROOT_INODE, Buffer.from('new\0'), pid);
    assert.equal(errno, 0);
    const [node, validS, shown] = [0, 16, 40].map((at) => Number(body.readBigUInt64LE(at)));
    assert.ok(node !== undefined && validS !== undefined && shown !== undefined);
    return { node, shown, validS };
  }
  isSecond(pid: number): boolean {
    return this.leads(pid).node !== this.inode;
  }
}

describe('the name that another node has moved a file to', () => {
  test('leads whoever renames to a second inode, of which stat(2) shows nothing and which holds for this once', () => {
    const mount = new Mount();
    const { node, shown, validS } = mount.leads(RENAMER);
    assert.notEqual(node, mount.inode);
    assert.equal(shown, mount.inode);
    assert.equal(validS, 0);
  });

  test('leads everybody else to the inode that they know', () => {
    const mount = new Mount();
    assert.equal(mount.leads(READER).node, mount.inode);
  });

  test('does so each time: the kernel may ask twice for one rename', () => {
    const mount = new Mount();
    assert.deepEqual(mount.leads(RENAMER), mount.leads(RENAMER));
  });

  test('does so for as long as the kernel may go by the old name', () => {
    const mount = new Mount();
    for (let passed = 0; passed < KEPT_MS; passed += 500) mount.wait(500);
    assert.equal(mount.isSecond(RENAMER), true);
    mount.wait(1);
    assert.equal(mount.isSecond(RENAMER), false);
  });

  test('does so after a pause too: what is read then may have been asked before it', () => {
    const mount = new Mount();
    mount.wait(10 * KEPT_MS);
    assert.equal(mount.isSecond(RENAMER), true);
    mount.wait(1_000);
    assert.equal(mount.isSecond(RENAMER), true);
    mount.wait(1);
    assert.equal(mount.isSecond(RENAMER), false);
  });

  test('leads to an inode of its own after each move: a rename may have looked at the old name before, at the new one after', () => {
    const mount = new Mount();
    const seen = [mount.inode];
    for (let moves = 0; moves < 5; moves += 1) {
      seen.push(mount.leads(RENAMER).node);
      mount.wait(moves === 2 ? KEPT_MS + 500 : 5);
      mount.moved.note(mount.inode);
    }
    assert.equal(new Set(seen).size, 6);
    for (const node of seen) assert.equal(treeInode(node), mount.inode);
  });

  test('does so anew when the file is moved once more', () => {
    const mount = new Mount();
    mount.wait(1_000);
    mount.moved.note(mount.inode);
    for (let passed = 0; passed < KEPT_MS; passed += 500) mount.wait(500);
    assert.equal(mount.isSecond(RENAMER), true);
  });

  test('leads to the inode that it leads all to where nothing was moved', () => {
    const mount = new Mount();
    mount.apply({ kind: 'rename', from: 'new', to: 'other', noReplace: false });
    mount.apply({ kind: 'create', path: 'new', exclusive: true });
    assert.equal(mount.leads(RENAMER).node, mount.leads(READER).node);
  });
});

describe('the second inode', () => {
  test('is the same file to whoever asks for its attributes or opens it', () => {
    const mount = new Mount();
    const { node } = mount.leads(RENAMER);
    const { errno, body } = mount.ask(OPCODE.getattr, node, Buffer.alloc(16), READER);
    assert.equal(errno, 0);
    assert.equal(Number(body.readBigUInt64LE(16)), mount.inode);
    assert.equal(mount.ask(OPCODE.open, node, Buffer.alloc(8), READER).errno, 0);
  });

  test('is gone when the file is', () => {
    const mount = new Mount();
    const { node } = mount.leads(RENAMER);
    mount.apply({ kind: 'unlink', path: 'new' });
    assert.equal(mount.ask(OPCODE.getattr, node, Buffer.alloc(16), READER).errno, ERRNO.ESTALE);
  });

  test('of a directory is the same directory on both sides of a rename', () => {
    const mount = new Mount('directory');
    const { node } = mount.leads(RENAMER);
    mount.apply({ kind: 'create', path: 'new/a', exclusive: true });
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(node), 0);
    mount.ask(OPCODE.rename, node, Buffer.concat([head, Buffer.from('a\0b\0')]), RENAMER);
    assert.deepEqual(mount.operations, [{ kind: 'rename', from: 'new/a', to: 'new/b', noReplace: false }]);
  });
});

describe('a caller', () => {
  test('who waits in a call that is no rename is told from one who may rename', async (context) => {
    const child = spawn('cat', [], { stdio: 'pipe' });
    context.after(() => child.kill());
    const { pid } = child;
    assert.ok(pid !== undefined);
    child.stdin.write('begun');
    await once(child.stdout, 'data');
    while (!readFileSync(`/proc/${pid}/stat`, 'latin1').includes(' (cat) S '))
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(mayRename(pid), false);
  });

  test('of whom nothing can be seen may rename', () => {
    assert.equal(mayRename(0), true);
    assert.equal(mayRename(2 ** 30), true);
  });
});
