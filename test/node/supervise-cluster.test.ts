/**
 * Three nodes of this machine, each below a directory of its own and on a loopback address of its own: the
 * supervisor, `pvecm create`, a join by ticket over rpc, a join by `pvecm add`, status, a death, an end.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createBirpc } from 'birpc';
import { connectSocket } from '../../agent/cluster/socket-client.ts';
import type { SupervisorControl } from '../../agent/cluster/supervisor-control.ts';
import type { EngineStatus, MemberStatus } from '../../agent/engine/engine.ts';
import { jsonLines } from '../../agent/json-lines.ts';
import { nodeLayout } from '../../agent/node-layout.ts';
import type { AgentApi, JoinTicket, NodeReport } from '../../agent/rpc/api.ts';

const main = join(import.meta.dirname, '../../agent/cli/main.ts');
const base = mkdtempSync(join(tmpdir(), 'ringmaster-sup-'));
/** Another process' test may use 127.77 too: its own third part keeps them apart. */
const network = `127.77.${1 + (process.pid % 250)}`;

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

const envOf = (name: string): NodeJS.ProcessEnv => ({
  ...process.env,
  RINGMASTER_ROOT: join(base, name),
  RINGMASTER_HOSTNAME: name,
});

function agent(name: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env: { ...envOf(name), ...env } }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, stdout, stderr });
    });
  });
}

async function good(name: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const ran = await agent(name, args, env);
  assert.equal(ran.code, 0, `${args.join(' ')} on ${name}: ${ran.stderr}`);
  return ran.stdout;
}

/** An agent reached as the desktop reaches it. */
function desktop(name: string): { api: AgentApiClient; close(): Promise<void> } {
  const child = spawn(process.execPath, [main, 'rpc'], { env: envOf(name), stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const silent = {
    report: () => undefined,
    event: () => undefined,
    step: () => undefined,
    treeChanged: () => undefined,
  };
  const api = createBirpc<AgentApi>(silent, {
    ...jsonLines(child.stdout, child.stdin, () => undefined),
    timeout: 120_000,
  });
  return {
    api,
    close: () => {
      child.stdin.end();
      return ended;
    },
  };
}
type AgentApiClient = Pick<
  ReturnType<typeof createBirpc<AgentApi>>,
  'joinCluster' | 'watch' | 'addNode' | 'readConf' | 'applyConf' | 'confirmConf'
>;

async function until(what: string, seconds: number, look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.fail(`not within ${seconds} s: ${what}`);
}

const status = async (name: string): Promise<EngineStatus> =>
  JSON.parse(await good(name, ['pvecm', 'status', '--json'])) as EngineStatus;
const present = (list: readonly MemberStatus[]): (string | null)[] =>
  list.filter((member) => member.state === 'member').map((member) => member.name);

describe('three supervised nodes', () => {
  before(async () => {
    for (const name of ['pve1', 'pve2', 'pve3']) await good(name, ['supervise', '--detach']);
  });

  after(async () => {
    for (const name of ['pve3', 'pve2', 'pve1']) {
      const layout = nodeLayout(envOf(name));
      if (!existsSync(layout.supervisorSocket)) continue;
      const client = await connectSocket<SupervisorControl>(layout.supervisorSocket);
      await client.remote.shutdown().catch(() => undefined);
      client.close();
    }
    rmSync(base, { recursive: true, force: true });
  });

  test('a second supervisor does not start beside the first', async () => {
    assert.equal((await agent('pve1', ['supervise', '--detach'])).code, 0);
    const again = await agent('pve1', ['supervise']);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /already running/);
  });

  test('before there is a cluster, status says so and ends with 2', async () => {
    const ran = await agent('pve1', ['pvecm', 'status']);
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /belongs to no cluster/);
  });

  test('pvecm create makes a quorate cluster of one', async () => {
    await good('pve1', ['pvecm', 'create', 'lab', '-ring0_addr', `${network}.1`]);
    const text = await good('pve1', ['pvecm', 'status']);
    assert.match(text, /^Quorate: {10}Yes$/m);
    assert.match(text, new RegExp(`^0x00000001          1 ${network}\\.1 \\(local\\)$`, 'm'));
  });

  test('a second node joins with a ticket over rpc', async () => {
    const member = desktop('pve1');
    const newcomer = desktop('pve2');
    try {
      const request = { name: 'pve2', ring0Addr: `${network}.2`, nodeId: null, votes: 1 };
      const ticket = (await member.api.addNode('join', request)) as JoinTicket;
      await newcomer.api.joinCluster('join', ticket);
      const report = (await newcomer.api.watch()) as NodeReport;
      assert.deepEqual(present(report.engine?.members ?? []), ['pve1', 'pve2']);
      assert.equal(report.fileSystem?.synced, true);
      assert.equal(report.localConfigVersion, report.engine?.configVersion);
    } finally {
      await Promise.all([member.close(), newcomer.close()]);
    }
  });

  test('a third node joins by pvecm add, with the system’s ssh', async () => {
    // In the place of ssh stands a script that runs the command as on the member.
    const bin = join(base, 'bin');
    mkdirSync(bin);
    const script = (name: string, text: string): void => {
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(bin, name), 0o755);
    };
    const env = envOf('pve1');
    script(
      'ssh',
      `while [ "$1" != -- ]; do shift; done; shift 2
       RINGMASTER_ROOT='${env['RINGMASTER_ROOT']}' RINGMASTER_HOSTNAME=pve1 exec sh -c "$1"`,
    );
    script('pvecm', `exec '${process.execPath}' '${main}' pvecm "$@"`);
    const PATH = `${bin}:${process.env['PATH'] ?? ''}`;
    await good('pve3', ['pvecm', 'add', `${network}.1`, '--ring0_addr', `${network}.3`], { PATH });
    const nodes = await good('pve3', ['pvecm', 'nodes']);
    assert.match(nodes, /^ {9}1 {10}1 pve1\n {9}2 {10}1 pve2\n {9}3 {10}1 pve3 \(local\)$/m);
    await until('all see three', 10, async () => {
      const seen = await Promise.all(['pve1', 'pve2', 'pve3'].map(status));
      return seen.every((one) => present(one.members).length === 3 && one.configVersion === 3);
    });
  });

  test('an applied corosync.conf reaches every node', async () => {
    const member = desktop('pve2');
    try {
      const { tree } = await member.api.readConf();
      assert.ok(tree !== null);
      const text = tree.text.replace(/( *)config_version: \d+/, '$1config_version: 7\n$1join: 60');
      const order = { text, baseDigest: tree.digest, method: 'reload', confirmWithinMs: 60_000 } as const;
      await member.api.applyConf('apply', { ...order, author: 'root@test' });
      await assert.rejects(
        async () => member.api.applyConf('late', { ...order, author: 'other@test' }),
        /root@test is applying corosync\.conf version 7/,
      );
      assert.match(await member.api.confirmConf('root@test'), /Version 7 stays/);
      await assert.rejects(
        async () => member.api.applyConf('same', { ...order, author: 'root@test' }),
        /changes nothing/,
      );
    } finally {
      await member.close();
    }
    await until('version 7 on all', 10, async () => {
      const files = ['pve1', 'pve2', 'pve3'].map((name) => readFileSync(nodeLayout(envOf(name)).corosyncConf, 'utf8'));
      return files.every((file) => file.includes('config_version: 7'));
    });
  });

  test('a killed engine is started again, and the death is in the events', async () => {
    const layout = nodeLayout(envOf('pve3'));
    const client = await connectSocket<SupervisorControl>(layout.supervisorSocket);
    const [engine] = await client.remote.services();
    // 0 would be this test's own process group.
    assert.ok(engine?.pid !== undefined && engine.pid !== null && engine.pid > 1, 'the engine runs');
    process.kill(engine.pid, 'SIGKILL');
    await until('a restart', 10, async () => (await client.remote.services())[0]?.restarts === 1);
    client.close();
    assert.match(readFileSync(join(layout.log, 'events.jsonl'), 'utf8'), /engine was ended by SIGKILL/);
    await until('three members again', 30, async () => present((await status('pve1')).members).length === 3);
  });
});
