/** What is asked for through the mount and refused there: a corosync.conf that no node would install. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { whyNotInTree } from '../../agent/cluster/push-conf.ts';
import { newConf, setConfigVersion } from '../../agent/conf/index.ts';
import { Gate } from '../../agent/mount/gate.ts';
import { applyOperation } from '../../agent/tree/apply.ts';
import { Tree } from '../../agent/tree/tree.ts';
import type { Operation } from '../../agent/tree/types.ts';

const CONF = setConfigVersion(
  newConf({
    clusterName: 'prod',
    transport: 'udpu',
    secauth: 'off',
    nodes: [{ nodeId: 1, name: 'pve1', votes: 1, addresses: [{ link: 0, address: '10.0.0.1' }] }],
  }),
  5,
);
const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

/** Asks on a tree with CONF and, under `new`, another text; gives the outcome and the reason. */
function ask(operation: (inode: number) => Operation, text = ''): { outcome: string; reason: string } {
  const tree = new Tree();
  const apply = (one: Operation): string => {
    const stamp = { inode: tree.nextInode, mtimeS: 1, writer: 1, version: { epoch: 1, index: 1 } };
    const done = applyOperation(tree, one, stamp);
    return done.ok ? 'ok' : done.error;
  };
  apply({ kind: 'write', target: 'corosync.conf', data: bytes(CONF), create: true });
  apply({ kind: 'write', target: 'new', data: bytes(text), create: true });
  let reason = '';
  let outcome = '';
  const gate = new Gate({
    tree: () => tree,
    submit: (one, done) => {
      const errno = apply(one);
      done(errno === 'ok' ? null : 'EIO');
      return () => undefined;
    },
    refusesConf: (next, present) => whyNotInTree(next, present, 'totem'),
    confRefused: (words) => void (reason = words),
    now: () => 0,
  });
  const found = tree.find('corosync.conf');
  assert.ok(found.ok);
  gate.submit(operation(found.value.inode), (errno) => void (outcome = errno ?? 'ok'));
  return { outcome, reason };
}
const move = (): Operation => ({ kind: 'rename', from: 'new', to: 'corosync.conf', noReplace: false });

describe('a corosync.conf that is put in place of the present one', () => {
  test('of a higher version is taken', () => {
    assert.deepEqual(ask(move, setConfigVersion(CONF, 6)), { outcome: 'ok', reason: '' });
  });
  test('of the same contents is taken', () => assert.equal(ask(move, CONF).outcome, 'ok'));
  test('of a lower version is refused with both versions', () => {
    const { outcome, reason } = ask(move, setConfigVersion(CONF, 4));
    assert.equal(outcome, 'EPERM');
    assert.match(reason, /config_version 4 is lower than the present one \(5\)/);
  });
  test('of the same version with other contents is refused with the way out', () => {
    const { outcome, reason } = ask(move, `${CONF}# more\n`);
    assert.equal(outcome, 'EPERM');
    assert.match(reason, /raise config_version to 6/);
  });
  test('that is invalid is refused with its line, however it is written', () => {
    const broken = setConfigVersion(CONF, 6).replace(/^\}$/m, '');
    const writes: ((inode: number) => Operation)[] = [
      move,
      (target) => ({ kind: 'write', target, data: bytes(broken), create: false }),
      (target) => ({ kind: 'append', target, data: bytes('totem {\n') }),
      (target) => ({ kind: 'patch', target, offset: 0, data: bytes('x'), size: 1 }),
    ];
    for (const write of writes) {
      const { outcome, reason } = ask(write, broken);
      assert.equal(outcome, 'EPERM');
      assert.match(reason, /^line \d+: /);
    }
  });
  test('is no matter of any other file', () => {
    assert.equal(ask(() => ({ kind: 'rename', from: 'new', to: 'other', noReplace: false }), 'x').outcome, 'ok');
    assert.equal(ask(() => ({ kind: 'append', target: 'new', data: bytes('x') })).outcome, 'ok');
  });
});
