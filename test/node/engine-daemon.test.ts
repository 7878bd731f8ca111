/** The bundled engine as real processes on loopback: ring, votes, groups, crash, pause, reload. No root needed. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newConf, setConfigVersion } from '../../agent/conf/index.ts';
import type { Engine, EngineStatus, Group, View } from '../../agent/engine/engine.ts';
import { openEngine } from '../../agent/engine/open.ts';
import { nodeLayout, type NodeLayout } from '../../agent/node-layout.ts';

const entry = join(import.meta.dirname, '../../agent/cli/main.ts');
const addressOf = (id: number): string => `127.83.7.${id}`;

const confOf = (count: number, version: number, extraTotem: Record<string, string> = {}): string =>
  setConfigVersion(
    newConf({
      clusterName: 'loop',
      transport: 'udpu',
      secauth: 'off',
      nodes: Array.from({ length: count }, (_, index) => ({
        ...{ nodeId: index + 1, name: `n${index + 1}`, votes: 1 },
        addresses: [{ link: 0, address: addressOf(index + 1) }],
      })),
      extraTotem,
    }),
    version,
  );

class Node {
  readonly env: NodeJS.ProcessEnv;
  readonly layout: NodeLayout;
  process: ChildProcess | null = null;
  engine: Engine | null = null;

  constructor(directory: string, id: number) {
    const root = join(directory, `n${id}`);
    this.env = { ...process.env, RINGMASTER_ROOT: root, RINGMASTER_HOSTNAME: `n${id}` };
    this.layout = nodeLayout(this.env);
  }
  writeConf(text: string): void {
    mkdirSync(dirname(this.layout.corosyncConf), { recursive: true });
    writeFileSync(this.layout.corosyncConf, text);
  }
  start(): void {
    this.process = spawn(process.execPath, [entry, 'engine'], { env: this.env, stdio: 'ignore' });
  }
  client(): Engine {
    this.engine ??= openEngine('totem', this.layout);
    return this.engine;
  }
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null) return child?.exitCode ?? null;
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill('SIGCONT');
    child.kill(signal);
    return exited;
  }
}

async function until(engine: Engine, what: string, holds: (status: EngineStatus) => boolean): Promise<EngineStatus> {
  const end = Date.now() + 20_000;
  while (!holds(engine.status())) {
    if (Date.now() > end) assert.fail(`waited for ${what}, and have ${JSON.stringify(engine.status())}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return engine.status();
}

const membersOf = (status: EngineStatus): number[] =>
  status.members.filter((member) => member.state === 'member').map((member) => member.nodeId);

/** Everything a group told, in order. */
class Ear {
  readonly views: View[] = [];
  readonly heard: string[] = [];
  constructor(group: Group) {
    group.onView((view) => this.views.push(view));
    group.onDeliver(({ sender, payload }) => this.heard.push(`${sender}:${new TextDecoder().decode(payload)}`));
  }
  async hears(count: number): Promise<void> {
    const end = Date.now() + 20_000;
    while (this.heard.length < count) {
      assert.ok(Date.now() < end, `heard ${this.heard.length} of ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe('the bundled engine on loopback', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-engine-'));
  const nodes = [1, 2, 3].map((id) => new Node(directory, id));
  const [one, two, three] = nodes as [Node, Node, Node];
  const ears: Ear[] = [];
  const groups: Group[] = [];

  before(() => {
    for (const node of nodes) {
      node.writeConf(confOf(3, 1));
      node.start();
    }
  });
  after(async () => {
    for (const node of nodes) {
      await node.engine?.close();
      await node.end('SIGKILL');
    }
    rmSync(directory, { recursive: true, force: true });
  });

  test('three nodes form one ring, quorate, with one ring id', async () => {
    const seen = await Promise.all(
      nodes.map((node) => until(node.client(), 'three members', (status) => membersOf(status).length === 3)),
    );
    for (const status of seen) {
      assert.equal(status.quorum.quorate, true);
      assert.deepEqual(status.ringId, seen[0]?.ringId);
      assert.equal(status.quorum.totalVotes, 3);
    }
  });

  test('links to the peers are measured', async () => {
    const status = await until(
      one.client(),
      'links',
      ({ links }) => links.length === 2 && links.every((l) => l.connected),
    );
    for (const link of status.links) assert.ok(link.latencyUs !== null && link.latencyUs > 0);
  });

  test('five hundred messages of each node are heard by all in one order, large ones too', async () => {
    for (const node of nodes) {
      const group = await node.client().group('talk');
      groups.push(group);
      ears.push(new Ear(group));
    }
    const end = Date.now() + 10_000;
    while (!ears.every((ear) => ear.views.at(-1)?.members.length === 3)) {
      assert.ok(Date.now() < end, 'the group has not three members');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await Promise.all(
      groups.map(async (group) => {
        for (let count = 0; count < 500; count += 1)
          await group.multicast(new TextEncoder().encode(`${count}${'.'.repeat(count === 250 ? 1_000_000 : 0)}`));
      }),
    );
    for (const ear of ears) await ear.hears(1500);
    assert.deepEqual(ears[1]?.heard, ears[0]?.heard);
    assert.deepEqual(ears[2]?.heard, ears[0]?.heard);
  });

  test('a process of the same node cannot enter a group that another holds', async () => {
    const second = openEngine('totem', one.layout);
    await until(second, 'a connection', (status) => status.state.kind === 'operational');
    await assert.rejects(second.group('talk'), /another process of this node/);
    await second.close();
  });

  test('a killed node is gone from the view, and is back after its start', async () => {
    await three.end('SIGKILL');
    await until(one.client(), 'two members', (status) => membersOf(status).length === 2);
    assert.equal(one.client().status().quorum.quorate, true);
    assert.equal(three.client().status().state.kind, 'down');
    three.start();
    await until(one.client(), 'three members', (status) => membersOf(status).length === 3);
    await until(three.client(), 'three members', (status) => membersOf(status).length === 3);
    const end = Date.now() + 10_000;
    // The group is entered again by the client itself.
    while (ears[0]?.views.at(-1)?.members.length !== 3) {
      assert.ok(Date.now() < end, 'the group is not whole again');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  test('a node that hangs longer than the token timeout is dropped and taken back', async () => {
    two.process?.kill('SIGSTOP');
    await until(one.client(), 'two members', (status) => membersOf(status).length === 2);
    two.process?.kill('SIGCONT');
    await until(one.client(), 'three members', (status) => membersOf(status).length === 3);
    await until(two.client(), 'three members', (status) => membersOf(status).length === 3);
  });

  test('a node without the others has no quorum', async () => {
    assert.equal(await two.end(), 0, 'a clean leave');
    assert.equal(await three.end(), 0);
    const status = await until(one.client(), 'one member', (seen) => membersOf(seen).length === 1);
    assert.equal(status.quorum.quorate, false);
    assert.equal(status.quorum.totalVotes, 1);
  });

  test('a reload takes a new node and a new token timeout live, and refuses a broken file', async () => {
    one.writeConf(confOf(4, 2, { token: '1500' }));
    const report = await one.client().reload();
    assert.equal(report.configVersion, 2);
    assert.match(report.live.join('\n'), /n4 is in the nodelist[\s\S]*token timeout/);
    assert.equal(one.client().status().quorum.expectedVotes, 4);
    one.writeConf('totem {\n');
    await assert.rejects(one.client().reload(), /refused/);
    assert.equal(one.client().status().configVersion, 2);
  });

  test('an invalid file ends the engine with 8, an address of another machine with 15', async () => {
    const stranger = new Node(directory, 9);
    stranger.writeConf('totem {\n');
    stranger.start();
    const exited = (child: ChildProcess | null) => new Promise((resolve) => child?.once('exit', resolve));
    assert.equal(await exited(stranger.process), 8);
    stranger.writeConf(confOf(3, 1).replaceAll(addressOf(1), '192.0.2.1').replaceAll('n1', 'n9'));
    stranger.start();
    assert.equal(await exited(stranger.process), 15);
  });
});
