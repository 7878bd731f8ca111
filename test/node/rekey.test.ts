/**
 * A new cluster key on three nodes of this machine (engine and pmxcfs on loopback, no root needed): under writes,
 * with a node that dies in between, given up, and what a node with the old key is worth then.
 */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lastRekey } from '../../agent/cluster/key/rekey-store.ts';
import { TreeLink } from '../../agent/cluster/tree-link.ts';
import { newConf } from '../../agent/conf/index.ts';
import type { Engine } from '../../agent/engine/engine.ts';
import { openEngine } from '../../agent/engine/open.ts';
import { readEvents } from '../../agent/event-log.ts';
import { acceptedKeyFile, nodeLayout, type NodeLayout } from '../../agent/node-layout.ts';

const main = join(import.meta.dirname, '../../agent/cli/main.ts');
const base = mkdtempSync(join(tmpdir(), 'ringmaster-rekey-'));
/** Another process' test may use 127.88 too: its own third part keeps them apart. */
const network = `127.88.${1 + (process.pid % 250)}`;
const FIRST_KEY = randomBytes(256);

const conf = newConf({
  ...{ clusterName: 'rekey', transport: 'udpu', secauth: 'on' },
  nodes: [1, 2, 3].map((id) => ({
    ...{ nodeId: id, name: `n${id}`, votes: 1 },
    addresses: [{ link: 0, address: `${network}.${id}` }],
  })),
});

class Node {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly layout: NodeLayout;
  readonly tree: TreeLink;
  readonly engine: Engine;
  readonly processes = new Map<'engine' | 'pmxcfs', ChildProcess>();

  constructor(id: number) {
    this.name = `n${id}`;
    this.env = { ...process.env, RINGMASTER_ROOT: join(base, this.name), RINGMASTER_HOSTNAME: this.name };
    this.layout = nodeLayout(this.env);
    mkdirSync(dirname(this.layout.corosyncConf), { recursive: true });
    writeFileSync(this.layout.corosyncConf, conf);
    this.putKey(FIRST_KEY);
    this.tree = new TreeLink(this.layout);
    this.engine = openEngine('totem', this.layout);
  }
  get key(): Buffer {
    return readFileSync(this.layout.authkey);
  }
  putKey(key: Uint8Array): void {
    rmSync(this.layout.authkey, { force: true });
    writeFileSync(this.layout.authkey, key, { mode: 0o400 });
  }
  start(what: 'engine' | 'pmxcfs'): void {
    const args = what === 'engine' ? ['engine'] : ['pmxcfs', '-f'];
    this.processes.set(what, spawn(process.execPath, [main, ...args], { env: this.env, stdio: 'ignore' }));
  }
  signal(what: 'engine' | 'pmxcfs', signal: NodeJS.Signals): void {
    this.processes.get(what)?.kill(signal);
  }
  async kill(what: 'engine' | 'pmxcfs'): Promise<void> {
    const child = this.processes.get(what);
    this.processes.delete(what);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await exited;
  }
  /** Files beside corosync.conf whose names begin as the key's does. */
  keyFiles(): string[] {
    return readdirSync(dirname(this.layout.authkey))
      .filter((name) => name.startsWith('authkey'))
      .sort();
  }
  async writable(): Promise<boolean> {
    const status = await this.tree.status();
    return status?.mode === 'cluster' && status.synced && status.writability.kind === 'writable';
  }
  members(): number {
    return this.engine.status().members.filter(({ state }) => state === 'member').length;
  }
}

async function until(what: string, look: () => Promise<boolean> | boolean, seconds = 60): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`not within ${seconds} s: ${what}`);
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A pvecm command on a node; `child` can be signalled. */
function pvecm(
  node: Pick<Node, 'env'>,
  ...args: string[]
): { readonly child: ChildProcess; readonly ran: Promise<Ran> } {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const child = execFile(process.execPath, [main, 'pvecm', ...args], { env: node.env }, (error, stdout, stderr) => {
    resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
  });
  return { child, ran: promise };
}

describe('a new key on a running cluster', () => {
  const nodes = [1, 2, 3].map((id) => new Node(id));
  const [one, two, three] = nodes as [Node, Node, Node];
  const whole = (): Promise<void> =>
    until('three writable members', async () => {
      for (const node of nodes) if (node.members() !== 3 || !(await node.writable())) return false;
      return true;
    });
  const oneKeyEach = (): void => {
    for (const node of nodes) {
      assert.deepEqual(node.keyFiles(), ['authkey'], node.name);
      assert.ok(node.key.equals(one.key), `${node.name} has the key of n1`);
      assert.equal(statSync(node.layout.authkey).mode & 0o777, 0o400);
    }
  };

  before(async () => {
    for (const node of nodes) node.start('engine');
    for (const node of nodes) node.start('pmxcfs');
    await whole();
    await one.tree.write('corosync.conf', Buffer.from(conf).toString('base64'));
  });
  after(async () => {
    for (const node of nodes) {
      node.tree.close();
      await node.engine.close();
      await node.kill('pmxcfs');
      await node.kill('engine');
    }
    rmSync(base, { recursive: true, force: true });
  });

  test('goes in under a stream of writes: no write fails, no view changes, quorum holds', async (context) => {
    const rings = new Set([JSON.stringify(one.engine.status().ringId)]);
    let lostQuorum = 0;
    const watch = nodes.map((node) =>
      node.engine.onStatus((status) => {
        if (status.ringId !== null) rings.add(JSON.stringify(status.ringId));
        if (!status.quorum.quorate) lostQuorum += 1;
      }),
    );
    let writing = true;
    let writes = 0;
    let slowest = 0;
    const stream = (async () => {
      await one.tree.makeDirectory('stream');
      while (writing) {
        const start = performance.now();
        await one.tree.write(`stream/${writes % 20}`, Buffer.from(String(writes)).toString('base64'));
        slowest = Math.max(slowest, performance.now() - start);
        writes += 1;
      }
    })();
    const ran = await pvecm(two, 'rekey', '--json').ran;
    writing = false;
    await stream;
    for (const off of watch) off();
    assert.equal(ran.code, 0, ran.stderr);
    const told = JSON.parse(ran.stdout) as { outcome: string; fingerprint: string };
    assert.equal(told.outcome, 'replaced');
    context.diagnostic(`${writes} writes meanwhile, the slowest ${slowest.toFixed(0)} ms`);
    assert.equal(rings.size, 1, [...rings].join(' '));
    assert.equal(lostQuorum, 0);
    assert.ok(writes > 10);
    assert.equal(one.key.equals(FIRST_KEY), false);
    oneKeyEach();
  });

  test('leaves no key in the tree, in a log or in an event', async () => {
    const rekey = await lastRekey(one.tree);
    assert.equal(rekey?.key, null);
    const [text, hex] = [one.key.toString('base64'), one.key.toString('hex')];
    for (const node of nodes) {
      const events = readEvents(node.layout, 1000).map(({ message }) => message);
      assert.ok(events.some((message) => message.includes('seals from now on')));
      for (const message of events)
        assert.ok(!message.includes(text.slice(0, 24)) && !message.includes(hex.slice(0, 24)));
    }
  });

  test('a node with the old key is not let in, and the others say why', async () => {
    const present = three.key;
    await three.kill('engine');
    three.putKey(FIRST_KEY);
    await until('two members', () => one.members() === 2);
    three.start('engine');
    const words = /node n3 seals with a key that this node does not have/;
    await until('the reason in the events', () =>
      readEvents(one.layout, 200).some(({ message }) => words.test(message)),
    );
    assert.equal(one.members(), 2);
    await three.kill('engine');
    three.putKey(present);
    three.start('engine');
    await whole();
  });

  test('is refused while a node is away, with what to do', async () => {
    await three.kill('engine');
    await until('two members', () => one.members() === 2);
    const ran = await pvecm(one, 'rekey').ran;
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /n3 cannot take a new key now: not in the ring\. Start it first, or say --without n3/);
    three.start('engine');
    await whole();
    oneKeyEach();
  });

  test('given up before anyone seals with it leaves the old one', async () => {
    const present = one.key;
    three.signal('pmxcfs', 'SIGSTOP');
    const command = pvecm(one, 'rekey');
    await until('n1 accepts it', () => existsSync(acceptedKeyFile(one.layout)));
    command.child.kill('SIGINT');
    const ran = await command.ran;
    three.signal('pmxcfs', 'SIGCONT');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /cancelled: the old key stays/);
    await until('the end', async () => (await lastRekey(one.tree))?.phase === 'ended');
    await until('one key file each', () => nodes.every((node) => node.keyFiles().length === 1));
    assert.ok(one.key.equals(present));
    oneKeyEach();
  });

  test('comes to its end although a node and the command that began it are killed in the middle', async () => {
    const present = one.key;
    await whole();
    three.signal('pmxcfs', 'SIGSTOP');
    const command = pvecm(two, 'rekey');
    await until('n1 and n2 accept it', () => [one, two].every((node) => existsSync(acceptedKeyFile(node.layout))));
    command.child.kill('SIGKILL');
    await three.kill('pmxcfs');
    await three.kill('engine');
    await until('two members', () => one.members() === 2);
    assert.ok(one.key.equals(present), 'nobody seals with a key that n3 does not have');
    three.start('engine');
    three.start('pmxcfs');
    await until('the end', async () => (await lastRekey(one.tree))?.phase === 'ended');
    await until('one key file each', () => nodes.every((node) => node.keyFiles().length === 1));
    assert.equal((await lastRekey(one.tree))?.outcome, 'replaced');
    assert.equal(one.key.equals(present), false);
    oneKeyEach();
    await whole();
  });
});

describe('pvecm keygen', () => {
  test('writes 2048 bits that only root reads, and overwrites nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringmaster-keygen-'));
    const env = { ...process.env, RINGMASTER_ROOT: folder };
    const node = { env };
    try {
      const file = join(folder, 'etc/corosync/authkey');
      assert.equal((await pvecm(node, 'keygen').ran).code, 0);
      assert.equal(readFileSync(file).length, 256);
      assert.equal(statSync(file).mode & 0o777, 0o400);
      const again = await pvecm(node, 'keygen', file).ran;
      assert.equal(again.code, 1);
      assert.match(again.stderr, /is there already and stays as it is/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
