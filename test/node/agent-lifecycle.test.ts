/** The agent on a bare machine over real SSH: uploaded once, verified, upgraded in place, removed without trace. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import { bootstrapAgent, removeAgent } from '../../electron/host/agent/bootstrap.ts';
import { openConnection, type SshConnection } from '../../electron/host/ssh/connection.ts';
import type { LabStatus } from '../../electron/lab/lab.ts';

const command = join(import.meta.dirname, '../../electron/lab/command.ts');
const skip =
  process.platform === 'linux' && process.getuid?.() === 0 ? false : 'a node with a mount needs root on Linux';

interface Manifest {
  version: string;
  program: { file: string; sha256: string; bytes: number };
}

describe('the agent on a bare machine', { skip }, () => {
  const lab = mkdtempSync(join(tmpdir(), 'ringmaster-agent-'));
  const work = mkdtempSync(join(tmpdir(), 'ringmaster-bundle-'));
  let bundle = '';
  let connection: SshConnection;
  let bare = '';

  const on = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await connection.exec(script);
    assert.equal(code, 0, `${script}: ${stdout}${stderr}`);
    return stdout;
  };
  /** Every file that an agent could have left, but for what SSH itself writes. */
  const files = (): Promise<string> =>
    on(
      'find /etc /var /usr/local /root /run -xdev ! -path "/var/log/sshd.log" ! -path "/run/sshd*" ! -path "*/.cache*" | sort',
    );
  const processes = (): Promise<string> => on('ps -eo args | grep -E "lib/ringmaster|agent.mjs" | grep -v grep; true');
  const pidOfPmxcfs = async (): Promise<string> => (await on('pgrep -f "agent.mjs pmxcfs" | head -1')).trim();
  const bootstrap = async (
    directory: string,
  ): Promise<{ outcome: Awaited<ReturnType<typeof bootstrapAgent>>; did: Set<string> }> => {
    const did = new Set<string>();
    const outcome = await bootstrapAgent(connection, directory, (doing) => did.add(doing));
    return { outcome, did };
  };

  before(async () => {
    bundle = await buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']);
    const up = spawnSync(
      process.execPath,
      [command, 'up', '--bare', '--nodes', '1', '--free', '0', '--json', '--dir', lab],
      { encoding: 'utf8' },
    );
    assert.equal(up.status, 0, up.stderr);
    const { nodes, user, identityFile, knownHostsFile } = JSON.parse(up.stdout) as LabStatus;
    const [node] = nodes;
    assert.ok(node);
    const opened = await openConnection(
      { address: node.address, port: node.port, user, identityFile },
      { knownHostsFiles: [knownHostsFile], timeoutMs: 10_000, userConfig: '', agent: null },
    );
    assert.ok(opened.ok, JSON.stringify(opened));
    connection = opened.value;
    bare = await files();
  });
  after(() => {
    connection?.close();
    spawnSync(process.execPath, [command, 'down', '--dir', lab]);
    for (const directory of [lab, work]) rmSync(directory, { recursive: true, force: true });
  });

  test('is uploaded, verified and started, and mounts its tree', async () => {
    const { outcome, did } = await bootstrap(bundle);
    assert.ok(outcome.ok && outcome.value.fresh, JSON.stringify(outcome));
    assert.ok(did.has('Uploading the runtime') && did.has('Uploading the agent'));
    await on('for i in $(seq 50); do mountpoint -q /etc/pve && break; sleep 0.1; done; echo kept > /etc/pve/kept');
    assert.match(await on('pvecm status 2>&1; true'), /no cluster|not.*cluster/i);
  });

  test('is not uploaded a second time', async () => {
    const { outcome, did } = await bootstrap(bundle);
    assert.ok(outcome.ok && !outcome.value.fresh);
    assert.ok(![...did].some((doing) => doing.startsWith('Uploading')), [...did].join());
  });

  test('of which a bit is wrong is refused, and the one that runs goes on', async () => {
    const damaged = join(work, 'damaged');
    cpSync(bundle, damaged, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(damaged, 'manifest.json'), 'utf8')) as Manifest;
    const file = join(damaged, manifest.program.file);
    const bytes = readFileSync(file);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    writeFileSync(join(damaged, 'manifest.json'), JSON.stringify({ ...manifest, version: '0.1.0-damaged0' }));
    const before = await pidOfPmxcfs();
    const { outcome } = await bootstrap(damaged);
    assert.ok(!outcome.ok && /damaged|hash|checksum|sha256/i.test(outcome.error), JSON.stringify(outcome));
    assert.equal(await pidOfPmxcfs(), before);
    assert.doesNotMatch(
      await on('ls /var/lib/ringmaster/agents; ls -A /var/lib/ringmaster/incoming'),
      /damaged0|\w{16}/,
    );
  });

  test('of a new version takes the place of the old one, and keeps the tree', async () => {
    const newer = join(work, 'newer');
    cpSync(bundle, newer, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(newer, 'manifest.json'), 'utf8')) as Manifest;
    const file = join(newer, manifest.program.file);
    const unpacked = mkdtempSync(join(work, 'program-'));
    execFileSync('tar', ['-xzf', file, '-C', unpacked]);
    appendFileSync(join(unpacked, 'agent.mjs'), '// one line more\n');
    const inner = join(unpacked, 'manifest.json');
    const version = '0.1.0-0123abcd';
    writeFileSync(inner, JSON.stringify({ ...(JSON.parse(readFileSync(inner, 'utf8')) as object), version }));
    execFileSync('tar', ['-czf', file, '-C', unpacked, '.']);
    const bytes = readFileSync(file);
    const program = {
      ...manifest.program,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
    writeFileSync(join(newer, 'manifest.json'), JSON.stringify({ ...manifest, version, program }));
    const before = await pidOfPmxcfs();
    const { outcome, did } = await bootstrap(newer);
    assert.ok(outcome.ok && outcome.value.version === version && !outcome.value.fresh, JSON.stringify(outcome));
    assert.ok(!did.has('Uploading the runtime'), 'the runtime is there already');
    assert.match(await on('readlink /var/lib/ringmaster/current'), /0123abcd/);
    await on('for i in $(seq 100); do mountpoint -q /etc/pve && break; sleep 0.1; done');
    assert.equal(await on('cat /etc/pve/kept'), 'kept\n');
    assert.notEqual(await pidOfPmxcfs(), before);
  });

  test('goes without leaving a file, a process or a mount', async () => {
    await removeAgent(connection, false);
    assert.equal(await processes(), '');
    assert.notEqual((await connection.exec('mountpoint -q /etc/pve')).code, 0);
    const [had, has] = [bare, await files()].map((list) => new Set(list.split('\n')));
    const added = [...(has ?? [])].filter((file) => had?.has(file) !== true);
    // A node of the lab has the empty mount point from its making.
    const gone = [...(had ?? [])].filter((file) => has?.has(file) !== true && file !== '/etc/pve');
    assert.deepEqual({ added, gone }, { added: [], gone: [] });
  });
});
