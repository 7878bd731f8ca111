/** The kernel's requests, byte by byte, as the serving thread answers them; no kernel takes part. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Handles } from '../../agent/mount/fuse/handles.ts';
import { initOut } from '../../agent/mount/fuse/init.ts';
import type { LateAnswer } from '../../agent/mount/fuse/messages.ts';
import { Moved } from '../../agent/mount/fuse/moved.ts';
import { decodeRequest, ERRNO, O, OPCODE } from '../../agent/mount/fuse/protocol.ts';
import { Serving } from '../../agent/mount/fuse/serving.ts';
import { TreeView } from '../../agent/mount/fuse/view.ts';
import { INTERRUPTED_MS, OPERATION_MS, Waiting } from '../../agent/mount/fuse/waiting.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';

const PID = 4711;

/** A mount whose operations are applied when the test says so. */
class Mount {
  readonly tree = new Tree();
  readonly handles = new Handles();
  readonly view = new TreeView(this.tree, {
    hostname: 'pve1',
    virtual: (name) => (name === '.version' || name === '.debug' ? Buffer.from('0\n') : null),
    orphan: (inode) => this.handles.orphan(inode),
  });
  readonly replies: Buffer[] = [];
  readonly operations: { operation: Operation; answer: LateAnswer }[] = [];
  readonly interrupted: bigint[] = [];
  readonly serving = new Serving(
    this.view,
    this.handles,
    new Moved(
      () => 0,
      () => false,
    ),
    {
      reply: (bytes) => void this.replies.push(Buffer.from(bytes)),
      submit: (_unique, operation, answer) => void this.operations.push({ operation, answer }),
      interrupt: (unique) => void this.interrupted.push(unique),
      debug: () => undefined,
    },
    () => undefined,
  );
  #unique = 2n;

  constructor() {
    this.view.writable = true;
  }

  put(path: string, data: string): number {
    this.apply({ kind: 'write', target: path, data: Buffer.from(data), create: true });
    const found = this.tree.find(path);
    assert.ok(found.ok);
    return found.value.inode;
  }
  apply(operation: Operation): void {
    const stamp = { inode: this.tree.nextInode, mtimeS: 1, writer: 1, version: { epoch: 1, index: 1 } };
    assert.ok(applyOperation(this.tree, operation, stamp).ok);
  }

  /** The errno (0: none) and what follows it; null when nothing was answered. */
  ask(opcode: number, node: number, body: Uint8Array, pid = PID): { errno: number; body: Buffer } | null {
    const bytes = Buffer.alloc(40 + body.length);
    bytes.writeUInt32LE(bytes.length, 0);
    bytes.writeUInt32LE(opcode, 4);
    bytes.writeBigUInt64LE((this.#unique += 2n), 8);
    bytes.writeBigUInt64LE(BigInt(node), 16);
    bytes.writeUInt32LE(pid, 32);
    bytes.set(body, 40);
    const before = this.replies.length;
    this.serving.take(decodeRequest(bytes));
    const reply = this.replies[before];
    assert.ok(this.replies.length <= before + 1, 'a request is answered once');
    return reply === undefined ? null : { errno: Math.abs(reply.readInt32LE(4)), body: reply.subarray(16) };
  }

  open(node: number, flags: number, pid = PID): number {
    const body = Buffer.alloc(8);
    body.writeUInt32LE(flags, 0);
    const answer = this.ask(OPCODE.open, node, body, pid);
    assert.equal(answer?.errno, 0);
    return Number(answer?.body.readBigUInt64LE(0));
  }
  cutOff(node: number, pid = PID): number | null {
    const body = Buffer.alloc(88);
    body.writeUInt32LE(8 + 512, 0);
    return this.ask(OPCODE.setattr, node, body, pid)?.errno ?? null;
  }
  write(node: number, handle: number, data: string, at = 0, flags = 0): number | null {
    const body = Buffer.alloc(40 + data.length);
    body.writeBigUInt64LE(BigInt(handle), 0);
    body.writeBigUInt64LE(BigInt(at), 8);
    body.writeUInt32LE(data.length, 16);
    body.writeBigUInt64LE(99n, 24);
    body.writeUInt32LE(flags, 32);
    body.write(data, 40, 'latin1');
    return this.ask(OPCODE.write, node, body)?.errno ?? null;
  }
  flush(node: number, handle: number, owner = 99n): number | null {
    const body = Buffer.alloc(24);
    body.writeBigUInt64LE(BigInt(handle), 0);
    body.writeBigUInt64LE(owner, 16);
    return this.ask(OPCODE.flush, node, body)?.errno ?? null;
  }
  read(node: number, handle: number, offset = 0, size = 4096): string {
    const body = Buffer.alloc(40);
    body.writeBigUInt64LE(BigInt(handle), 0);
    body.writeBigUInt64LE(BigInt(offset), 8);
    body.writeUInt32LE(size, 16);
    return this.ask(OPCODE.read, node, body)?.body.toString('latin1') ?? '';
  }
}

describe('write', () => {
  test('what goes to another thread is what was written, and not the whole buffer that requests are read into', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'x');
    mount.write(inode, mount.open(inode, 1), 'abc');
    mount.write(inode, mount.open(inode, 1), 'de', 0, O.append);
    const sizes = mount.operations.map(({ operation }) => 'data' in operation && operation.data.buffer.byteLength);
    assert.deepEqual(sizes, [3, 2]);
    assert.deepEqual(
      mount.operations.map(({ operation }) => operation.kind),
      ['patch', 'append'],
    );
  });
});

describe('fsync', () => {
  const fsync = (mount: Mount, opcode: number, node: number, handle: number): number | null => {
    const body = Buffer.alloc(16);
    body.writeBigUInt64LE(BigInt(handle), 0);
    return mount.ask(opcode, node, body)?.errno ?? null;
  };

  test('of a file open for reading, and of a directory, takes a place in the order and is answered then', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'x');
    assert.equal(fsync(mount, OPCODE.fsync, inode, mount.open(inode, 0)), null);
    assert.equal(fsync(mount, OPCODE.fsyncdir, 1, 7), null);
    assert.deepEqual(mount.operations, [
      { operation: { kind: 'sync' }, answer: { kind: 'fresh' } },
      { operation: { kind: 'sync' }, answer: { kind: 'fresh' } },
    ]);
  });

  test('of a file open for writing has nothing to wait for when nothing was gathered', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'x');
    assert.equal(fsync(mount, OPCODE.fsync, inode, mount.open(inode, 1)), 0);
    assert.equal(mount.operations.length, 0);
  });
});

test('a file that went while its name was still known is looked up by its path again', () => {
  const mount = new Mount();
  const inode = mount.put('f', 'x');
  mount.apply({ kind: 'unlink', path: 'f' });
  assert.equal(mount.ask(OPCODE.open, inode, Buffer.alloc(8))?.errno, ERRNO.ESTALE);
  assert.equal(mount.ask(OPCODE.getattr, inode, Buffer.alloc(16))?.errno, ERRNO.ESTALE);
});

test('a file that went while the asking process holds it open is gone, whatever its name leads to', () => {
  const mount = new Mount();
  const inode = mount.put('f', 'x');
  mount.open(inode, 0, process.pid);
  mount.apply({ kind: 'unlink', path: 'f' });
  assert.equal(mount.ask(OPCODE.getattr, inode, Buffer.alloc(16), process.pid)?.errno, ERRNO.ENOENT);
  assert.equal(mount.ask(OPCODE.getattr, inode, Buffer.alloc(16), process.ppid)?.errno, ERRNO.ESTALE);
});

describe('a reader', () => {
  test('sees one version in one pass, however often the file is written meanwhile', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'first one');
    const handle = mount.open(inode, 0);
    assert.equal(mount.read(inode, handle, 0, 5), 'first');
    mount.put('f', 'and a longer one');
    assert.equal(mount.read(inode, handle, 5, 99), ' one');
    assert.equal(mount.read(inode, handle, 9, 99), '');
    assert.equal(mount.read(inode, mount.open(inode, 0), 4, 2), 'a ');
  });

  test('who goes on after the end, or begins anew, sees what is there now', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'log');
    const handle = mount.open(inode, 0);
    assert.equal(mount.read(inode, handle), 'log');
    assert.equal(mount.read(inode, handle, 3), '');
    mount.put('f', 'log and more');
    assert.equal(mount.read(inode, handle, 3), ' and more');
    mount.put('f', 'other');
    assert.equal(mount.read(inode, handle), 'other');
  });

  test('finishes its pass over a file that went meanwhile, and begins no other', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'gone');
    const handle = mount.open(inode, 0);
    assert.equal(mount.read(inode, handle, 0, 2), 'go');
    mount.apply({ kind: 'unlink', path: 'f' });
    assert.equal(mount.read(inode, handle, 2), 'ne');
    const body = Buffer.alloc(40);
    body.writeBigUInt64LE(BigInt(handle), 0);
    assert.equal(mount.ask(OPCODE.read, inode, body)?.errno, ERRNO.ENOENT);
  });
});

describe('a file opened with O_TRUNC', () => {
  test('is whole and old for every other reader until it is flushed, and then is written in one piece', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'old');
    const handle = mount.open(inode, 1);
    assert.equal(mount.cutOff(inode), 0);
    mount.write(inode, handle, 'ne');
    mount.write(inode, handle, 'w', 2);
    const other = mount.open(inode, 0, PID + 1);
    assert.equal(mount.read(inode, other), 'old');
    assert.equal(mount.read(inode, handle), 'new');
    assert.equal(mount.operations.length, 0);
    assert.equal(mount.flush(inode, handle), null);
    const [only] = mount.operations;
    assert.deepEqual(only?.operation, {
      kind: 'write',
      target: inode,
      data: new Uint8Array(Buffer.from('new')),
      create: false,
    });
  });

  test('is not written when another process than the writer closes what it inherited', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'old');
    const handle = mount.open(inode, 1);
    mount.cutOff(inode);
    mount.write(inode, handle, 'new');
    assert.equal(mount.flush(inode, handle, 7n), 0);
    assert.equal(mount.operations.length, 0);
  });

  test('is told from truncate(2), which another thread or a later moment makes it', () => {
    const mount = new Mount();
    const inode = mount.put('f', 'old');
    mount.open(inode, 1);
    assert.equal(mount.cutOff(inode, PID + 1), null);
    assert.equal(mount.operations.length, 1);
    mount.open(inode, 1);
    mount.ask(OPCODE.getattr, inode, Buffer.alloc(16));
    assert.equal(mount.cutOff(inode), null);
    assert.equal(mount.operations.length, 2);
  });
});

describe('requests', () => {
  test('that are not supported say so, and unknown ones too', () => {
    const mount = new Mount();
    for (const opcode of [OPCODE.symlink, OPCODE.getxattr, OPCODE.setxattr, 39, 40, 46, 47, 50, 51, 52, 999])
      assert.equal(mount.ask(opcode, 1, Buffer.alloc(64))?.errno, ERRNO.ENOSYS, String(opcode));
    assert.equal(mount.ask(OPCODE.link, 1, Buffer.alloc(64))?.errno, ERRNO.EPERM);
  });

  test('that want no answer get none', () => {
    const mount = new Mount();
    for (const opcode of [OPCODE.forget, OPCODE.batchForget, OPCODE.notifyReply, OPCODE.interrupt])
      assert.equal(mount.ask(opcode, 1, Buffer.alloc(64)), null, String(opcode));
    assert.deepEqual(mount.interrupted, [0n]);
  });

  test('of any number with any bytes never throw, and are answered at most once', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            opcode: fc.oneof(fc.constantFrom(...Object.values(OPCODE)), fc.integer({ min: 0, max: 80 })),
            node: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom(2 ** 48, 2 ** 48 + 5)),
            body: fc.uint8Array({ maxLength: 120 }),
          }),
          { maxLength: 20 },
        ),
        (requests) => {
          const mount = new Mount();
          mount.put('f', 'x');
          for (const { opcode, node, body } of requests) mount.ask(opcode, node, body);
        },
      ),
    );
  });

  test('a name that is not there may be remembered; a virtual file that is not there yet may not', () => {
    const mount = new Mount();
    const absent = mount.ask(OPCODE.lookup, 1, Buffer.from('absent\0'));
    assert.equal(absent?.errno, 0);
    assert.equal(absent?.body.readBigUInt64LE(0), 0n);
    assert.equal(mount.ask(OPCODE.lookup, 1, Buffer.from('.members\0'))?.errno, ERRNO.ENOENT);
  });
});

describe('the kernel’s offer', () => {
  const offer = (minor: number, low: number, high: number): Buffer => {
    const body = Buffer.alloc(64);
    body.writeUInt32LE(7, 0);
    body.writeUInt32LE(minor, 4);
    body.writeUInt32LE(low >>> 0, 12);
    body.writeUInt32LE(high, 16);
    return body;
  };
  test('is taken as far as it goes; never O_TRUNC by the kernel itself', () => {
    const out = initOut(offer(45, 0xffffffff, 0xffffffff));
    assert.ok(out !== null);
    assert.deepEqual(out.features, { epochs: true });
    assert.equal(out.bytes.readUInt32LE(12) & (1 << 3), 0);
    assert.equal(out.bytes.readUInt16LE(40), 90);
  });
  test('of an old kernel has no second word of flags', () => {
    const out = initOut(offer(31, 0x3fffffff, 0xffffffff));
    assert.deepEqual(out?.features, { epochs: false });
    assert.equal(out?.bytes.readUInt32LE(32), 0);
  });
  test('of another major version is declined', () => assert.equal(initOut(Buffer.alloc(64)), null));
});

describe('whoever waits for an operation', () => {
  test('is answered once: by the first who takes it out', () => {
    const serving = new Waiting();
    const other = new Waiting(serving.memory);
    const place = serving.begin(8n, 0);
    assert.ok(place !== null);
    assert.equal(other.claim(place, 8n), true);
    assert.equal(serving.claim(place, 8n), false);
    assert.equal(serving.isEmpty(), true);
  });
  test('gets EIO when its time is over, and EINTR a moment after a signal', () => {
    const waiting = new Waiting();
    waiting.begin(2n, 0);
    waiting.begin(4n, 0);
    waiting.interrupt(4n, 5_000);
    assert.deepEqual(waiting.overdue(5_000 + INTERRUPTED_MS - 1), []);
    assert.deepEqual(waiting.overdue(5_000 + INTERRUPTED_MS), [{ unique: 4n, errno: 'EINTR' }]);
    assert.deepEqual(waiting.overdue(OPERATION_MS), [{ unique: 2n, errno: 'EIO' }]);
    assert.deepEqual(waiting.overdue(2 * OPERATION_MS), []);
  });
  test('is one of 4096 at most', () => {
    const waiting = new Waiting();
    for (let index = 1n; index <= 4096n; index += 1n) assert.notEqual(waiting.begin(index, 0), null);
    assert.equal(waiting.begin(5000n, 0), null);
    assert.equal(waiting.overdue(OPERATION_MS).length, 4096);
  });
});
