/**
 * The whole host against nodes of its own making: SSH servers on loopback (ssh2) that run commands
 * for real, and an agent that follows a script. Connection, installation, pictures, procedures.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ssh2 from 'ssh2';
import type { Connection } from 'ssh2';
import { newKeyPair } from '../../electron/lab/keys.ts';
import { HostApp } from '../../electron/host/app.ts';
import type { HostApi, Snapshot } from '../../electron/host/api.ts';
import type { RendererChannel } from '../../electron/host/renderers.ts';
import type { Lab, LabStatus } from '../../electron/lab/lab.ts';

const { Server } = ssh2;
const here = dirname(fileURLToPath(import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'ringmaster-app-'));
const world = join(home, 'world.json');
const bundle = join(home, 'bundle');
const conf = (version: number): string => `totem {\n  cluster_name: scripted\n  config_version: ${version}\n}\n`;

/** An SSH server on an address of 127.0.0.0/8, whose commands run with a root of their own. */
class TestNode {
  readonly name: string;
  readonly address: string;
  readonly root: string;
  readonly key = newKeyPair('test');
  port = 0;
  #server: InstanceType<typeof Server> | null = null;
  #connections = new Set<Connection>();

  constructor(name: string, number: number) {
    this.name = name;
    this.address = `127.0.77.${number}`;
    this.root = join(home, name);
    mkdirSync(this.root, { recursive: true });
  }

  get running(): boolean {
    return this.#server !== null;
  }

  async start(): Promise<void> {
    const env = {
      ...process.env,
      RINGMASTER_ROOT: this.root,
      RINGMASTER_HOSTNAME: this.name,
      RINGMASTER_TEST_WORLD: world,
      RINGMASTER_TEST_ADDRESS: this.address,
    };
    const server = new Server({ hostKeys: [this.key.private] }, (connection) => {
      this.#connections.add(connection);
      connection.on('close', () => this.#connections.delete(connection));
      connection.on('error', () => undefined);
      connection.on('authentication', (context) => {
        if (context.method === 'publickey') context.accept();
        else context.reject(['publickey']);
      });
      connection.on('session', (accept) => {
        accept().on('exec', (accepted, _rejected, { command }) => {
          const channel = accepted();
          const child = spawn('sh', ['-c', command], { env });
          child.stdin.on('error', () => undefined);
          channel.on('error', () => undefined);
          channel.pipe(child.stdin);
          child.stdout.pipe(channel, { end: false });
          child.stderr.pipe(channel.stderr, { end: false });
          child.on('close', (code) => {
            channel.exit(code ?? 1);
            channel.end();
          });
          channel.on('close', () => child.kill());
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(this.port, this.address, resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  stop(): void {
    this.#server?.close();
    this.#server = null;
    for (const connection of this.#connections) connection.end();
  }
}

function archive(
  name: string,
  files: Readonly<Record<string, string>>,
): { file: string; sha256: string; bytes: number } {
  const folder = join(home, `pack-${name}`);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) {
    writeFileSync(join(folder, file), text);
    chmodSync(join(folder, file), 0o755);
  }
  const file = `${name}.tar.gz`;
  execFileSync('tar', ['-czf', join(bundle, file), '-C', folder, '.']);
  const data = readFileSync(join(bundle, file));
  return { file, sha256: createHash('sha256').update(data).digest('hex'), bytes: data.length };
}

function writeBundle(): void {
  mkdirSync(bundle, { recursive: true });
  const wrapper =
    '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\nexec "$here/../../runtimes/test/node" "$here/agent.mjs" "$@"\n';
  copyFileSync(join(here, '..', 'fixtures', 'scripted-agent.mjs'), join(home, 'agent.mjs'));
  const program = archive('program', {
    'agent.mjs': readFileSync(join(home, 'agent.mjs'), 'utf8'),
    'ringmaster-agent': wrapper,
  });
  const runtime = { id: 'test', ...archive('runtime', { node: `#!/bin/sh\nexec '${process.execPath}' "$@"\n` }) };
  const manifest = { version: '0.0.0-test', program, runtimes: { x64: runtime, arm64: runtime } };
  writeFileSync(join(bundle, 'manifest.json'), JSON.stringify(manifest));
}

const change = (more: object): void => {
  // Whole at every moment: agents read it all the time.
  writeFileSync(`${world}.new`, JSON.stringify({ ...(JSON.parse(readFileSync(world, 'utf8')) as object), ...more }));
  renameSync(`${world}.new`, world);
};

/** A page: calls by name, and the newest snapshot it was pushed. */
class Page implements RendererChannel {
  snapshot: Snapshot | null = null;
  #receive: (line: string) => void = () => undefined;
  #answers = new Map<string, (message: { r?: unknown; e?: { message: string } }) => void>();
  #next = 0;

  post(line: string): void {
    const message = JSON.parse(line) as { t: string; i?: string; m?: string; a?: unknown[]; e?: { message: string } };
    if (message.t === 's') this.#answers.get(message.i ?? '')?.(message);
    else if (message.m === 'snapshot') this.snapshot = message.a?.[0] as Snapshot;
  }
  on(receive: (line: string) => void): void {
    this.#receive = receive;
  }
  raw(line: string): void {
    this.#receive(line);
  }
  call<Name extends keyof HostApi>(name: Name, ...args: unknown[]): Promise<Awaited<ReturnType<HostApi[Name]>>> {
    const i = String((this.#next += 1));
    return new Promise((resolve, reject) => {
      this.#answers.set(i, ({ r, e }) => {
        if (e === undefined) resolve(r as Awaited<ReturnType<HostApi[Name]>>);
        else reject(new Error(e.message));
      });
      this.#receive(JSON.stringify({ t: 'q', i, m: name, a: args }));
    });
  }
  async until<T>(what: string, look: (snapshot: Snapshot) => T | undefined | false | null): Promise<T> {
    for (const deadline = Date.now() + 15_000; Date.now() < deadline;) {
      const found = this.snapshot === null ? null : look(this.snapshot);
      if (found !== undefined && found !== false && found !== null) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${what} never came: ${JSON.stringify(this.snapshot, null, 1)}`);
  }
  operation(id: string): Promise<Snapshot['operations'][number]> {
    return this.until(`the end of ${id}`, ({ operations }) =>
      operations.find((one) => one.id === id && one.state !== 'running'),
    );
  }
}

describe('the host, with nodes that it reaches over SSH', () => {
  const nodes = ['pve1', 'pve2', 'spare1'].map((name, index) => new TestNode(name, index + 1));
  const node = (name: string): TestNode => {
    const found = nodes.find((one) => one.name === name);
    assert.ok(found !== undefined);
    return found;
  };
  const lab: Lab = {
    status: async (): Promise<LabStatus> => ({
      directory: home,
      kind: 'processes',
      engine: 'totem',
      user: 'root',
      identityFile: join(home, 'id'),
      knownHostsFile: join(home, 'lab_known_hosts'),
      nodes: nodes
        .filter(({ port }) => port !== 0)
        .map((one) => ({
          name: one.name,
          address: one.address,
          port: one.port,
          state: one.running ? 'running' : 'stopped',
          member: one.name.startsWith('pve'),
          cut: false,
        })),
    }),
    kill: async (name) => node(name).stop(),
    start: (name) => node(name).start(),
    cut: () => Promise.reject(new Error('There are no namespaces.')),
    heal: async () => undefined,
  };
  const page = new Page();
  let app: HostApp;
  let disconnect: () => void = () => undefined;

  before(async () => {
    writeBundle();
    const members = ['pve1', 'pve2'].map((name, index) => ({
      name,
      nodeId: index + 1,
      address: `127.0.77.${index + 1}`,
      joined: true,
    }));
    writeFileSync(world, JSON.stringify({ nodes: members, conf: conf(3) }));
    writeFileSync(join(home, 'id'), newKeyPair('test').private, { mode: 0o600 });
    for (const one of nodes) await one.start();
    writeFileSync(
      join(home, 'lab_known_hosts'),
      nodes
        .map(({ address, port, key }) => `[${address}]:${port} ${key.public.split(' ').slice(0, 2).join(' ')}\n`)
        .join(''),
    );
    app = new HostApp({
      settingsDirectory: join(home, 'settings'),
      knownHostsFile: join(home, 'settings', 'known_hosts'),
      lab,
      bundleDirectory: bundle,
      shell: 'browser',
    });
    disconnect = app.connectRenderer(page);
    page.snapshot = await page.call('watch');
  });
  after(() => {
    disconnect();
    app.close();
    for (const one of nodes) one.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const install = async (name: string): Promise<void> => {
    await page.until(`${name} without agent`, ({ hosts }) =>
      hosts.some(
        (one) => one.id === `lab-${name}` && one.connection.kind === 'connected' && one.agent.kind === 'absent',
      ),
    );
    const { operation } = await page.call('installAgent', `lab-${name}`);
    const done = await page.operation(operation);
    assert.equal(done.state, 'done', done.error ?? '');
  };

  test('hosts of the lab appear, and the agent is installed on those that ask for it', async () => {
    await Promise.all([install('pve1'), install('pve2')]);
    assert.ok(existsSync(join(node('pve1').root, 'var/lib/ringmaster/agents/0.0.0-test/agent.mjs')));
    assert.deepEqual(readdirSync(join(node('pve1').root, 'var/lib/ringmaster/incoming')), []);
    const cluster = await page.until('the cluster', ({ clusters }) => clusters[0]);
    assert.equal(cluster.summary, 'Quorate: 2 of 2 votes, 2 needed.');
    assert.deepEqual(
      cluster.members.map(({ name, hostId }) => [name, hostId]),
      [
        ['pve1', 'lab-pve1'],
        ['pve2', 'lab-pve2'],
      ],
    );
  });

  test('an apply waits for its confirmation, seen by every page, and is kept or taken back', async () => {
    const opened = await page.call('openConf', 'lab:scripted');
    assert.equal(opened.file.configVersion, 3);
    assert.deepEqual(
      opened.nodes.map(({ nodeName, runningVersion, local }) => [nodeName, runningVersion, local?.configVersion]),
      [
        ['pve1', 3, 3],
        ['pve2', 3, 3],
      ],
    );
    const order = (version: number, baseDigest: string) =>
      ({ text: conf(version), baseDigest, method: 'reload', confirmWithinMs: 60_000 }) as const;
    const plan = await page.call('planConf', 'lab:scripted', conf(4), opened.file.digest);
    assert.equal(plan.version, 4);
    const { operation } = await page.call('applyConf', 'lab:scripted', order(4, plan.baseDigest));
    const done = await page.operation(operation);
    assert.equal(done.state, 'done', done.error ?? '');
    const waiting = await page.until('it waits', ({ clusters }) => clusters.find(({ apply }) => apply !== null)?.apply);
    assert.equal(waiting.version, 4);
    assert.equal(waiting.phase, 'confirm');
    const left = waiting.remainingMs ?? 0;
    assert.ok(left > 50_000 && left <= 60_000, String(left));

    const stale = await page.call('applyConf', 'lab:scripted', order(5, opened.file.digest));
    const refused = await page.operation(stale.operation);
    assert.equal(refused.state, 'failed');
    assert.equal(refused.error, 'It was changed meanwhile.');

    assert.match(await page.call('confirmConf', 'lab:scripted'), /@.* keeps it/);
    await page.until('nothing waits', ({ clusters }) => clusters.find(({ apply }) => apply === null));
  });

  test('a host without agent is checked, and a join that fails leaves the cluster as it was', async () => {
    const found = await page.call('preflightJoin', 'lab:scripted', 'lab-spare1');
    assert.equal(found.nodeId, 3);
    assert.equal(found.ring0Addr, '127.0.77.3');
    assert.deepEqual(
      found.checks.map(({ id, state }) => [id, state]),
      [
        ['agent', 'pass'],
        ['route', 'pass'],
      ],
    );
    change({ joinFails: true });
    const { operation } = await page.call('join', 'lab:scripted', 'lab-spare1');
    await assert.rejects(page.call('join', 'lab:scripted', 'lab-spare1'), /still running/);
    const failed = await page.operation(operation);
    assert.equal(failed.state, 'failed');
    assert.match(failed.error ?? '', /^The ring did not form\. spare1 was taken out of corosync\.conf again/);
    assert.ok(failed.steps.some(({ id }) => id === 'undo-write'));
    const cluster = await page.until('two members', ({ clusters }) => clusters.find((one) => one.members.length === 2));
    assert.equal(cluster.members.length, 2);
  });

  test('a join installs, checks, adds, joins and verifies, in this order, and the ring shows three', async () => {
    change({ joinFails: false });
    const { operation } = await page.call('join', 'lab:scripted', 'lab-spare1');
    const done = await page.operation(operation);
    assert.equal(done.state, 'done', done.error ?? '');
    assert.deepEqual(
      done.steps.map(({ id, where, state }) => [id, where, state]),
      [
        ['preflight', 'spare1', 'done'],
        ['write', 'pve1', 'done'],
        ['engine', 'spare1', 'done'],
        ['verify', 'pve1', 'done'],
      ],
    );
    const cluster = await page.until('three members', ({ clusters }) =>
      clusters.find((one) => one.members.filter(({ state }) => state === 'member').length === 3),
    );
    assert.equal(cluster.summary, 'Quorate: 3 of 3 votes, 2 needed.');
    await assert.rejects(page.call('uninstallAgent', 'lab-spare1'), /is a node of the cluster scripted/);
  });

  test('a killed node is unreachable at once and the picture comes from another; it comes back by itself', async () => {
    const { nodes: before } = JSON.parse(readFileSync(world, 'utf8')) as { nodes: { name: string }[] };
    change({ nodes: before.map((one) => ({ ...one, dead: one.name === 'pve1' })) });
    await page.call('labKill', 'pve1');
    const cluster = await page.until('the view of another', ({ clusters, hosts }) =>
      hosts.some(({ id, connection }) => id === 'lab-pve1' && connection.kind === 'unreachable')
        ? clusters.find(({ seenFrom, members }) => seenFrom === 'lab-pve2' && members[0]?.state === 'absent')
        : null,
    );
    assert.equal(cluster.summary, 'Quorate: 2 of 3 votes, 2 needed.');
    assert.equal(cluster.members[0]?.runningVersion, null);
    change({ nodes: before });
    await page.call('labStart', 'pve1');
    await page.until('pve1 again', ({ clusters, hosts }) =>
      hosts.some(({ id, agent }) => id === 'lab-pve1' && agent.kind === 'running')
        ? clusters[0]?.members[0]?.state === 'member'
        : null,
    );
    const log = await page.call('eventLog');
    assert.ok(log.some(({ hostName, message }) => hostName === 'pve1' && message.startsWith('The connection is lost')));
    assert.ok(log.some(({ hostName, message }) => hostName === 'pve1' && message === 'The connection is up again.'));
    assert.equal(log.filter(({ message }) => message === 'pve1 started').length, 1);
  });

  test('a host of the user’s waits for its key to be approved, then is kept in the settings', async () => {
    const { address, port } = node('pve2');
    const asked = { name: '', address, port, user: 'admin', identityFile: join(home, 'id') };
    const { id } = await page.call('addHost', asked);
    const shown = await page.until('an unknown key', ({ hosts }) => {
      const state = hosts.find((one) => one.id === id)?.connection;
      return state?.kind === 'unknown-key' ? state : null;
    });
    await assert.rejects(page.call('approveKey', id, `SHA256:${'A'.repeat(43)}`), /another key/);
    await page.call('approveKey', id, shown.fingerprint);
    await page.until('a connection', ({ hosts }) =>
      hosts.some((one) => one.id === id && one.connection.kind === 'connected' && one.agent.kind === 'running'),
    );
    const saved = readFileSync(join(home, 'settings', 'hosts.json'), 'utf8');
    assert.match(saved, new RegExp(address));
    assert.doesNotMatch(saved, /lab-/);
    await page.call('removeHost', id);
    assert.doesNotMatch(readFileSync(join(home, 'settings', 'hosts.json'), 'utf8'), new RegExp(address));
    await assert.rejects(page.call('removeHost', 'lab-pve1'), /belongs to the lab/);
  });

  test('what is no message, no call or no input does no harm', async () => {
    for (const line of ['', 'null', '[]', '{"t":"q","m":"watch"}', '{"t":"q","m":"constructor","a":[]}', '{"t":"s"}']) {
      page.raw(line);
    }
    await assert.rejects(page.call('toString' as 'watch'), /not found/);
    await assert.rejects(page.call('removeHost', 7), /string/i);
    await assert.rejects(page.call('removeHost', 'nobody'), /no such host/);
    assert.equal((await page.call('watch')).shell, 'browser');
  });

  test('a damaged upload is not installed', async () => {
    const manifest = JSON.parse(readFileSync(join(bundle, 'manifest.json'), 'utf8')) as {
      version: string;
      program: object;
    };
    const damaged = { ...manifest, version: '0.0.1-test', program: { ...manifest.program, sha256: '0'.repeat(64) } };
    writeFileSync(join(bundle, 'manifest.json'), JSON.stringify(damaged));
    const { operation } = await page.call('installAgent', 'lab-pve1');
    const failed = await page.operation(operation);
    assert.match(failed.error ?? '', /arrived damaged/);
    assert.ok(!existsSync(join(node('pve1').root, 'var/lib/ringmaster/agents/0.0.1-test')));
    writeFileSync(join(bundle, 'manifest.json'), JSON.stringify(manifest));
  });
});
