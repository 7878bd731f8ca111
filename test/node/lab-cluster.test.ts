/**
 * A lab of three real nodes and a free host: namespaces, sshd, the agent over SSH, the ring over UDP,
 * the mount. Each test leaves the cluster whole for the next.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LabNodes } from './lab-nodes.ts';
import { treeSuite } from './tree-suite.ts';

const command = join(import.meta.dirname, '../../electron/lab/command.ts');
const asRoot = process.platform === 'linux' && process.getuid?.() === 0;
const skip = asRoot ? false : 'a lab of namespaces needs root on Linux';

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `npm run lab -- ARGS` on a directory. */
function lab(directory: string, ...args: string[]): Outcome {
  const dashes = args.indexOf('--');
  const own = dashes < 0 ? args : args.slice(0, dashes);
  const rest = dashes < 0 ? [] : args.slice(dashes);
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...own, '--dir', directory, ...rest], {
    encoding: 'utf8',
    timeout: 180_000,
  });
  return { code: status, out: stdout, err: stderr };
}

function good(outcome: Outcome): string {
  assert.equal(outcome.code, 0, `${outcome.out}${outcome.err}`);
  return outcome.out;
}

async function until(what: string, holds: () => boolean, withinMs = 20_000): Promise<void> {
  for (const end = Date.now() + withinMs; !holds();) {
    if (Date.now() > end) assert.fail(`waited ${withinMs / 1000} s for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** Processes whose root or arguments lie in this directory. */
function processesOf(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return line.includes(directory) || readlinkSync(`/proc/${pid}/cwd`).startsWith(directory);
      } catch {
        return false;
      }
    });
}

const namespaces = (id: string): string[] =>
  spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.startsWith(`rml${id}`));

describe('a lab of three nodes', { skip }, () => {
  const nodes = new LabNodes();
  const { directory } = nodes;
  const members = ['pve1', 'pve2', 'pve3'];
  const on = (node: string, script: string): Outcome => lab(directory, 'exec', node, '--', 'sh', '-c', script);
  const run = (node: string, script: string): string => good(on(node, script));
  const quorate = (node: string, total: number): boolean => {
    const { code, out } = on(node, 'pvecm status --json');
    if (code !== 0) return false;
    const { quorum } = JSON.parse(out) as { quorum: { quorate: boolean; totalVotes: number } };
    return quorum.quorate && quorum.totalVotes === total;
  };

  before(() => {
    const status = JSON.parse(good(lab(directory, 'up', '--json'))) as { nodes: { name: string; member: boolean }[] };
    assert.deepEqual(
      status.nodes.map(({ name, member }) => `${name} ${member}`),
      ['pve1 true', 'pve2 true', 'pve3 true', 'spare1 false'],
    );
  });
  after(() => nodes.remove());

  test('bringing it up twice is harmless', () => {
    const text = run('pve1', 'cat /etc/corosync/corosync.conf');
    good(lab(directory, 'up'));
    assert.equal(run('pve1', 'cat /etc/corosync/corosync.conf'), text);
  });

  test('pvecm status and nodes print what the chapter shows, from every node', () => {
    for (const [index, name] of members.entries()) {
      const status = run(name, 'pvecm status');
      assert.match(status, /^Quorum information\n~+\n/);
      assert.match(status, /^Nodes: {12}3$/m);
      assert.match(status, new RegExp(`^Node ID: {10}0x0000000${index + 1}$`, 'm'));
      assert.match(status, /^Quorate: {10}Yes$/m);
      assert.match(status, /^Total votes: {6}3$/m);
      assert.match(status, /^0x00000002 {10}1 \d+\.\d+\.\d+\.\d+/m);
      const nodes = run(name, 'pvecm nodes');
      assert.match(nodes, /Nodeid {6}Votes Name/);
      assert.match(nodes, new RegExp(`^ +${index + 1} +1 ${name} \\(local\\)$`, 'm'));
      const list = JSON.parse(run(name, 'pvecm nodes --json')) as { name: string }[];
      assert.deepEqual(
        list.map((entry) => entry.name),
        members,
      );
    }
  });

  test('every entry belongs to root and www-data; priv is for root alone', () => {
    run('pve1', 'mkdir -p /etc/pve/priv && echo s > /etc/pve/priv/secret && echo o > /etc/pve/open');
    assert.equal(
      run('pve2', 'stat -c "%a %u %g" /etc/pve/priv/secret /etc/pve/priv /etc/pve/open'),
      '600 0 33\n700 0 33\n640 0 33\n',
    );
    run('pve3', 'rm -r /etc/pve/priv /etc/pve/open');
  });

  treeSuite(nodes);

  test('a higher config_version in the tree reaches every engine; a broken one reaches none', async () => {
    const version = Number(/config_version: (\d+)/.exec(run('pve1', 'cat /etc/pve/corosync.conf'))?.[1]);
    run(
      'pve1',
      `cd /etc/pve && sed "s/config_version: .*/config_version: ${version + 1}/" corosync.conf > c.new && mv c.new corosync.conf`,
    );
    for (const name of members) {
      await until(`${name} has version ${version + 1}`, () =>
        run(name, 'cat /etc/corosync/corosync.conf').includes(`config_version: ${version + 1}`),
      );
    }
    const broken = on(
      'pve1',
      `cd /etc/pve && sed "s/config_version: .*/config_version: ${version + 9}/; s/^}//" corosync.conf > c.new && mv c.new corosync.conf`,
    );
    assert.match(broken.err, /Operation not permitted/);
    await until('the refusal is in the log of the cluster', () =>
      /corosync\.conf in the tree is refused: line \d+/.test(run('pve2', 'cat /etc/pve/.clusterlog')),
    );
    assert.ok(run('pve2', 'cat /etc/corosync/corosync.conf').includes(`config_version: ${version + 1}`));
    run('pve1', 'rm /etc/pve/c.new');
  });

  test('pvecm add on the free host makes it a member', async () => {
    const address = /ring0_addr: (\S+)/.exec(run('pve1', 'cat /etc/corosync/corosync.conf'))?.[1] ?? '';
    const added = on('spare1', `pvecm add ${address}`);
    assert.equal(added.code, 0, `${added.out}${added.err}`);
    await until('four votes', () => quorate('pve2', 4));
    assert.ok(run('spare1', 'cat /etc/pve/corosync.conf').includes('name: spare1'));
  });
});

describe('labs', { skip }, () => {
  test('two lie side by side, and taking one down leaves nothing of it and all of the other', () => {
    const [first, second] = [1, 2].map(() => mkdtempSync(join(tmpdir(), 'ringmaster-two-'))) as [string, string];
    try {
      for (const directory of [first, second]) good(lab(directory, 'up', '--bare', '--nodes', '1', '--free', '0'));
      const { id } = JSON.parse(readFileSync(join(first, 'lab.json'), 'utf8')) as { id: string };
      good(lab(first, 'down'));
      assert.deepEqual(namespaces(id), []);
      assert.deepEqual(processesOf(first), []);
      assert.equal(existsSync(first), false);
      assert.match(good(lab(second, 'exec', 'pve1', '--', 'hostname')), /^pve1/);
    } finally {
      for (const directory of [first, second]) {
        lab(directory, 'down');
        rmSync(directory, { recursive: true, force: true });
      }
    }
  });

  test('one whose making was killed is taken down like any other', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ringmaster-crash-'));
    try {
      const child = spawn(process.execPath, [command, 'up', '--dir', directory], { stdio: 'ignore' });
      await until('its nodes are being made', () => existsSync(join(directory, 'lab.json')));
      const { id } = JSON.parse(readFileSync(join(directory, 'lab.json'), 'utf8')) as { id: string };
      await until('a namespace is there', () => namespaces(id).length > 1);
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      good(lab(directory, 'down'));
      assert.deepEqual(namespaces(id), []);
      assert.deepEqual(processesOf(directory), []);
    } finally {
      lab(directory, 'down');
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
