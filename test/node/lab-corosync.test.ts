/** The same lab on the distribution's Corosync: knet, encrypted, driven through its own libraries. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const command = join(import.meta.dirname, '../../electron/lab/command.ts');
const skip =
  process.platform !== 'linux' || process.getuid?.() !== 0
    ? 'a lab of namespaces needs root on Linux'
    : existsSync('/usr/sbin/corosync')
      ? false
      : "Debian's package corosync is not installed";

describe('a lab on Corosync', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-corosync-'));
  const lab = (...args: string[]) => {
    const [verb = '', ...rest] = args;
    const { status, stdout, stderr } = spawnSync(process.execPath, [command, verb, '--dir', directory, ...rest], {
      encoding: 'utf8',
      timeout: 180_000,
    });
    return { status, stdout, stderr };
  };
  const on = (node: string, script: string) => lab('exec', node, '--', 'sh', '-c', script);
  const run = (node: string, script: string): string => {
    const { status, stdout, stderr } = on(node, script);
    assert.equal(status, 0, `${script} on ${node}: ${stdout}${stderr}`);
    return stdout;
  };
  const until = async (what: string, withinMs: number, holds: () => boolean): Promise<void> => {
    for (const end = Date.now() + withinMs; !holds(); await new Promise((resolve) => setTimeout(resolve, 250)))
      assert.ok(Date.now() < end, `waited ${withinMs / 1000} s for: ${what}`);
  };

  before(() => {
    const { status, stdout, stderr } = lab('up', '--engine', 'corosync', '--free', '0');
    assert.equal(status, 0, stdout + stderr);
  });
  after(() => {
    lab('down');
    rmSync(directory, { recursive: true, force: true });
  });

  test('is Corosync’s own ring, as its own tools see it', () => {
    assert.match(run('pve1', 'corosync-quorumtool -s'), /Quorate: +Yes[\s\S]*Total votes: +3/);
    assert.match(run('pve2', 'corosync-cmapctl totem.transport'), /knet/);
  });

  test('pvecm says of it what corosync-quorumtool says', () => {
    const ring = (text: string): string => /Ring ID: +(\S+)/.exec(text)?.[1] ?? 'none';
    assert.equal(ring(run('pve3', 'pvecm status')), ring(run('pve3', 'corosync-quorumtool -s')));
    assert.match(run('pve3', 'pvecm status'), /^Quorate: +Yes$/m);
  });

  test('the tree is replicated over it', () => {
    run('pve1', 'echo over-corosync > /etc/pve/note');
    assert.equal(run('pve3', 'cat /etc/pve/note'), 'over-corosync\n');
  });

  test('without quorum the tree is read-only, and with the nodes back it has everything and takes more', async () => {
    for (const name of ['pve2', 'pve3']) assert.equal(lab('kill', name).status, 0);
    await until('pve1 is not quorate', 30_000, () =>
      /Quorate: +No[\s\S]*Total votes: +1$/m.test(on('pve1', 'pvecm status').stdout),
    );
    assert.match(on('pve1', 'echo no > /etc/pve/no').stderr, /Permission denied/);
    assert.equal(run('pve1', 'cat /etc/pve/note'), 'over-corosync\n');
    for (const name of ['pve2', 'pve3']) assert.equal(lab('start', name).status, 0);
    await until('pve2 writes', 40_000, () => on('pve2', 'echo again > /etc/pve/note').status === 0);
    await until('pve1 has it', 10_000, () => on('pve1', 'cat /etc/pve/note').stdout === 'again\n');
  });

  test('a new config_version in the tree reaches every Corosync', async () => {
    const version = Number(/config_version: (\d+)/.exec(run('pve1', 'cat /etc/pve/corosync.conf'))?.[1]);
    run(
      'pve2',
      `cd /etc/pve && sed "s/config_version: .*/config_version: ${version + 1}/; s/debug: off/debug: on/" corosync.conf > c.new && mv c.new corosync.conf`,
    );
    for (const name of ['pve1', 'pve2', 'pve3']) {
      await until(`${name} runs version ${version + 1}`, 15_000, () =>
        on(name, 'corosync-cmapctl totem.config_version').stdout.includes(`= ${version + 1}`),
      );
    }
  });
});
