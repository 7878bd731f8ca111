/** A lab without root: processes on loopback with an embedded SSH server, no mount. Runs as root too, by --rootless. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const command = join(import.meta.dirname, '../../electron/lab/command.ts');
const skip = process.platform === 'linux' ? false : 'the lab runs on Linux';

describe('a lab without root', { skip }, () => {
  // Short: Unix sockets lie below it (107 bytes).
  const directory = mkdtempSync(join(tmpdir(), 'rml-'));
  const lab = (...args: string[]): string => {
    const [verb = '', ...rest] = args;
    const { status, stdout, stderr } = spawnSync(process.execPath, [command, verb, '--dir', directory, ...rest], {
      encoding: 'utf8',
      timeout: 180_000,
    });
    assert.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };

  before(() => lab('up', '--rootless'));
  after(() => {
    lab('down');
    assert.equal(existsSync(directory), false, 'nothing is left behind');
    rmSync(directory, { recursive: true, force: true });
  });

  test('has three members and a free host, each at an address of its own', () => {
    const { nodes, kind } = JSON.parse(lab('status', '--json')) as {
      kind: string;
      nodes: { name: string; address: string; state: string; member: boolean }[];
    };
    assert.equal(kind, 'processes');
    assert.deepEqual(
      nodes.map(({ name, state, member }) => `${name} ${state} ${member}`),
      ['pve1 running true', 'pve2 running true', 'pve3 running true', 'spare1 running false'],
    );
    assert.equal(new Set(nodes.map(({ address }) => address)).size, 4);
  });

  test('is quorate, and a killed node costs its vote', () => {
    assert.match(lab('exec', 'pve2', '--', 'pvecm', 'status'), /^Quorate: +Yes$/m);
    lab('kill', 'pve3');
    const votes = (): number =>
      (JSON.parse(lab('exec', 'pve1', '--', 'pvecm', 'status', '--json')) as { quorum: { totalVotes: number } }).quorum
        .totalVotes;
    for (const end = Date.now() + 15_000; votes() !== 2;) assert.ok(Date.now() < end, 'the vote is still counted');
    lab('start', 'pve3');
    for (const end = Date.now() + 20_000; votes() !== 3;) assert.ok(Date.now() < end, 'the node does not come back');
  });

  test('says why its nodes cannot be cut off', () => {
    const cut = spawnSync(process.execPath, [command, 'cut', 'pve1', '--dir', directory], { encoding: 'utf8' });
    assert.notEqual(cut.status, 0);
    assert.match(cut.stderr, /loopback/);
  });
});
