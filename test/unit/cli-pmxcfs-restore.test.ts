/** `pmxcfs restore --from-cluster`: what it says of the other nodes, which it cannot ask, and of the way back. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { after, describe, test } from 'node:test';
import { Store } from '../../agent/mount/store.ts';
import { nodeLayout, type NodeLayout } from '../../agent/node-layout.ts';
import { Tree } from '../../agent/tree/tree.ts';
import { changed } from './mount-store-changes.ts';

const entry = join(import.meta.dirname, '../../agent/cli/main.ts');
const base = mkdtempSync(join(tmpdir(), 'ringmaster-pmxcfs-restore-'));
after(() => rmSync(base, { recursive: true, force: true }));
let nodes = 0;

/** A node of a cluster whose pmxcfs is stopped, with one file in its database. */
function stoppedNode(): NodeLayout {
  const layout = nodeLayout({ RINGMASTER_ROOT: join(base, String((nodes += 1))), RINGMASTER_HOSTNAME: 'pve1' });
  mkdirSync(dirname(layout.corosyncConf), { recursive: true });
  writeFileSync(layout.corosyncConf, '');
  const store = Store.open(layout.treeState);
  store.commit(changed(new Tree(), [{ kind: 'write', target: 'kept', data: new Uint8Array(3_000), create: true }], 1));
  store.close();
  return layout;
}
function restore(layout: NodeLayout, ...args: readonly string[]): { code: number | null; out: string } {
  const env = { ...process.env, RINGMASTER_ROOT: layout.root, RINGMASTER_HOSTNAME: layout.hostname };
  const { status, stdout } = spawnSync(process.execPath, [entry, 'pmxcfs', 'restore', ...args], {
    encoding: 'utf8',
    env,
  });
  return { code: status, out: stdout };
}
/** The word of the command that goes back. */
const backTo = (out: string): string | undefined =>
  /To go back: stop pmxcfs, run `pmxcfs restore (\S+)`/.exec(out)?.[1];
const entriesOf = (layout: NodeLayout): number => {
  const store = Store.open(layout.treeState);
  const { nodes: held } = store.load();
  store.close();
  return held.length;
};

describe('pmxcfs restore --from-cluster', () => {
  test('says that it has not seen whether another node has the tree, when this one waits, and what it must not be done on', () => {
    const { code, out } = restore(stoppedNode(), '--from-cluster');
    assert.equal(code, 0);
    const words = out.replaceAll('\n', ' ');
    assert.match(words, /Whether another node has the tree cannot be seen while pmxcfs of this node is stopped/);
    assert.match(words, /Until then it waits, nothing can be written on it/);
    assert.match(words, /Never do this on all nodes: .* the tree of the cluster is empty/);
  });

  test('the command it names for the way back puts the former database in place again', () => {
    const layout = stoppedNode();
    const before = entriesOf(layout);
    const { out } = restore(layout, '--from-cluster');
    assert.notEqual(entriesOf(layout), before);
    const aside = backTo(out);
    assert.ok(aside !== undefined && existsSync(aside), out);
    assert.equal(restore(layout, aside).code, 0);
    assert.equal(entriesOf(layout), before);
  });

  test('of a former database that is damaged it says so, and points to the backups instead', () => {
    const layout = stoppedNode();
    const file = join(layout.treeState, 'config.db');
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4096 + 8, 4096 + 900);
    writeFileSync(file, bytes);
    const { code, out } = restore(layout, '--from-cluster');
    assert.equal(code, 0);
    assert.equal(backTo(out), 'BACKUP', out);
    assert.match(out, /^The former database is damaged\. .*`pmxcfs restore --list` shows/m);
  });

  test('where there was no database it points to the backups', () => {
    const layout = stoppedNode();
    rmSync(layout.treeState, { recursive: true });
    const { out } = restore(layout, '--from-cluster');
    assert.match(out, /There was no database before/);
    assert.equal(backTo(out), 'BACKUP', out);
    assert.doesNotMatch(out, /is damaged/);
  });

  test('--help says it before anything is done', () => {
    assert.match(restore(stoppedNode(), '--help').out.replaceAll('\n', ' '), /Never do this on all nodes/);
  });
});
