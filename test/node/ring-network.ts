/** The bundled engine on the hosts of a test network: real processes, real datagrams, and a record of all that is heard. */
import assert from 'node:assert/strict';
import { spawnSync, type ChildProcess, type StdioOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { newConf } from '../../agent/conf/index.ts';
import type { Engine, EngineStatus } from '../../agent/engine/engine.ts';
import { openEngine } from '../../agent/engine/open.ts';
import { engineSettings } from '../../agent/engine/settings.ts';
import { eventFile } from '../../agent/event-log.ts';
import { nodeLayout, type NodeLayout } from '../../agent/node-layout.ts';
import { address4, TestNetwork, type Host, type NetworkOptions } from './namespaces.ts';
import { History } from './ring-history.ts';
import { shippedAgent } from './shipped-agent.ts';

const GROUP = 'talk';
/** A condition that does not come true within this has failed. Milliseconds. */
const PATIENCE = 20_000;

export interface RingOptions extends NetworkOptions {
  readonly transport?: 'udpu' | 'udp' | 'knet';
  /** Addresses of a node, by link number. Default: IPv4 on the first network. */
  readonly addresses?: (node: number) => readonly string[];
  readonly secauth?: 'on' | 'off';
  readonly totem?: Readonly<Record<string, string>>;
  /** Keys of `interface`, by link number. */
  readonly interfaces?: Readonly<Record<number, Readonly<Record<string, string>>>>;
}

export function confOf(options: RingOptions): string {
  const { nodes, transport = 'udpu', secauth = 'off', totem = {}, interfaces = {} } = options;
  const addresses = options.addresses ?? ((node) => [address4(node)]);
  const text = newConf({
    ...{ clusterName: 'network', transport, secauth, extraTotem: totem },
    nodes: Array.from({ length: nodes }, (_, index) => ({
      ...{ nodeId: index + 1, name: `n${index + 1}`, votes: 1 },
      addresses: addresses(index + 1).map((address, link) => ({ link, address })),
    })),
  });
  return Object.entries(interfaces).reduce((before, [link, keys]) => {
    const lines = Object.entries(keys).map(([name, value]) => `    ${name}: ${value}`);
    return before.replace(`linknumber: ${link}\n`, `linknumber: ${link}\n${lines.join('\n')}\n`);
  }, text);
}

/** False, or why the engine cannot run with this: it refuses the file. Print it as the reason of a skip. */
export function whyRefused(options: RingOptions): string | false {
  const settings = engineSettings(confOf(options));
  return settings.ok ? false : `the engine does not take this yet: ${settings.error}`;
}

export class RingNetwork {
  readonly network: TestNetwork;
  readonly nodes: readonly RingNode[];
  readonly #directory: string;

  private constructor(network: TestNetwork, nodes: readonly RingNode[], directory: string) {
    this.network = network;
    this.nodes = nodes;
    this.#directory = directory;
  }

  /** Hosts, files and engines; resolves when all are in one ring and one group. */
  static async start(options: RingOptions): Promise<RingNetwork> {
    const network = await TestNetwork.make(options);
    const directory = mkdtempSync(join(tmpdir(), 'ringmaster-network-'));
    const key = randomBytes(256);
    const nodes = network.hosts
      .slice(0, options.nodes)
      .map((host) => new RingNode(host, join(directory, `n${host.number}`), join(directory, 'agent/agent.mjs')));
    const ring = new RingNetwork(network, nodes, directory);
    try {
      await shippedAgent(directory);
      for (const node of nodes) node.write(confOf(options), key);
      for (const node of nodes) node.start();
      await ring.whole();
      for (const node of nodes) await node.enter();
      await ring.group(nodes);
      return ring;
    } catch (error) {
      await ring.remove();
      throw error;
    }
  }

  node(number: number): RingNode {
    const node = this.nodes[number - 1];
    if (node === undefined) throw new RangeError(`there is no node ${number}`);
    return node;
  }
  some(...numbers: readonly number[]): RingNode[] {
    return numbers.map((number) => this.node(number));
  }

  /** All nodes, and they alone, are in one ring with one id. */
  whole(): Promise<void> {
    return this.together(this.nodes);
  }

  /** These, and they alone, are in one ring with one id. */
  async together(nodes: readonly RingNode[]): Promise<void> {
    const wanted = nodes.map((node) => node.number).join();
    await until(
      `a ring of ${wanted}`,
      () => {
        const seen = nodes.map((node) => node.status());
        const rings = new Set(seen.map(({ ringId }) => JSON.stringify(ringId)));
        return rings.size === 1 && seen.every((status) => membersOf(status).join() === wanted);
      },
      () => nodes.map((node) => node.seen()).join('; '),
    );
  }

  /** A quorate part that has been in one ring and one group for a second. */
  async majority(): Promise<readonly RingNode[]> {
    let since = Date.now();
    let last = '';
    let part: readonly RingNode[] = [];
    await until('a majority that stays', () => {
      const quorate = this.nodes.filter((node) => node.status().quorum.quorate);
      const told = quorate.map((node) => `${node.seen()} ${node.history.members.join()}`).join();
      const wanted = quorate.map((node) => node.number).join();
      const whole = quorate.length > 0 && quorate.every((node) => node.history.members.join() === wanted);
      if (told !== last || !whole) since = Date.now();
      last = told;
      part = quorate;
      return Date.now() - since > 1000;
    });
    return part;
  }

  /** The group has these members on each of them. */
  async group(nodes: readonly RingNode[]): Promise<void> {
    const wanted = nodes.map((node) => node.number).join();
    await until(
      `a group of ${wanted}`,
      () => nodes.every((node) => node.history.members.join() === wanted),
      () => nodes.map((node) => `${node.history.members.join()} of ${node.seen()}`).join('; '),
    );
  }

  /**
   * Each of these nodes sends messages of these sizes, all at once; resolves when all have heard all of them, in one
   * order. Fails when one is missing, comes twice or is not what was sent.
   */
  async talk(nodes: readonly RingNode[], sizes: readonly number[]): Promise<void> {
    const from = nodes.map((node) => node.history.length);
    const sent = await Promise.all(nodes.map((node) => node.say(sizes)));
    const wanted = sent.flat();
    const heard = () => nodes.map((node, index) => node.history.since(from[index] ?? 0));
    await until(
      `${wanted.length} messages on ${nodes.length} nodes`,
      () => heard().every((list) => list.length >= wanted.length),
      () =>
        heard()
          .map((list) => list.length)
          .join(),
    );
    const lists = heard();
    for (const list of lists) {
      assert.deepEqual([...list].sort(), [...wanted].sort(), 'all that was sent, once and unchanged');
      assert.deepEqual(list, lists[0], 'one order for all');
    }
    for (const own of sent) {
      const [speaker] = own[0]?.split(':') ?? [];
      assert.deepEqual(
        lists[0]?.filter((line) => line.startsWith(`${speaker}:`)),
        own,
        'in the order of their sender',
      );
    }
  }

  async remove(): Promise<void> {
    for (const node of this.nodes) await node.close();
    await this.network.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export class RingNode {
  readonly host: Host;
  readonly layout: NodeLayout;
  history: History;
  process: ChildProcess | null = null;
  readonly #agent: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #engine: { client: Engine | null } = { client: null };
  #multicast: ((payload: Uint8Array) => Promise<void>) | null = null;
  #serial = 0;
  /** What the engine said last. */
  #words = '';

  /** `agent`: the program. */
  constructor(host: Host, root: string, agent: string) {
    this.host = host;
    this.#agent = agent;
    this.#env = { ...process.env, RINGMASTER_ROOT: root, RINGMASTER_HOSTNAME: `n${host.number}` };
    this.layout = nodeLayout(this.#env);
    this.history = new History(host.number);
  }
  get number(): number {
    return this.host.number;
  }

  write(conf: string | null, key: Uint8Array | null): void {
    const { corosyncConf, authkey } = this.layout;
    mkdirSync(dirname(corosyncConf), { recursive: true });
    if (conf !== null) writeFileSync(corosyncConf, conf);
    if (key === null) return;
    rmSync(authkey, { force: true });
    writeFileSync(authkey, key, { mode: 0o400 });
  }

  key(): Uint8Array {
    return readFileSync(this.layout.authkey);
  }

  start(): void {
    const stdio: StdioOptions = ['ignore', 'ignore', 'pipe'];
    this.process = this.host.spawn(process.execPath, [this.#agent, 'engine'], { env: this.#env, stdio });
    this.process.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (this.#words = (this.#words + text).slice(-600)));
  }

  /** Of the engine, as its client knows it. */
  status(): EngineStatus {
    return this.client().status();
  }
  client(): Engine {
    this.#engine.client ??= openEngine('totem', this.layout);
    return this.#engine.client;
  }

  /** In short, for a test that waits in vain. */
  seen(): string {
    const { state, ringId } = this.status();
    const ring = ringId === null ? '' : `${ringId.representative}.${ringId.sequence}: `;
    const words = state.kind === 'down' ? ` (${this.#words})` : '';
    return `${this.number} is ${state.kind}${words}, ${ring}${membersOf(this.status()).join()}`;
  }

  async enter(): Promise<void> {
    const group = await this.client().group(GROUP);
    // After a death of the engine the client enters again by itself, and a new history begins.
    group.onConnection((connected) => {
      if (!connected) this.history = new History(this.number);
    });
    group.onView((view) => this.history.view(view));
    group.onDeliver((message) => this.history.deliver(message));
    this.#multicast = (payload) => group.multicast(payload);
  }

  /** Sends one message of each size; gives what every history will have of them. */
  async say(sizes: readonly number[]): Promise<string[]> {
    const lines: string[] = [];
    for (const size of sizes) {
      this.#serial += 1;
      const payload = History.compose(this.number, this.#serial, size);
      lines.push(History.line(this.number, payload));
      await this.#multicast?.(payload);
    }
    return lines;
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal);
  }

  /** The engine's process ends by this signal; resolves when it has. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill(signal);
    await exited;
  }

  events(): string {
    return readFileSync(eventFile(this.layout), 'utf8');
  }

  /** UDP ports that something on this host listens on. */
  ports(): Set<number> {
    const ports = (file: string): number[] =>
      spawnSync('nsenter', [`--net=/run/netns/${this.host.namespace}`, '--', 'cat', `/proc/net/${file}`], {
        encoding: 'utf8',
      })
        .stdout.split('\n')
        .flatMap((line) => /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) /.exec(line)?.[1] ?? [])
        .map((hex) => Number.parseInt(hex, 16));
    return new Set([...ports('udp'), ...ports('udp6')]);
  }

  async close(): Promise<void> {
    await this.#engine.client?.close();
    this.#engine.client = null;
    await this.end('SIGKILL');
  }
}

export const membersOf = (status: EngineStatus): number[] =>
  status.members.filter((member) => member.state === 'member').map((member) => member.nodeId);

export async function until(what: string, holds: () => boolean, have: () => string = () => ''): Promise<void> {
  for (const end = Date.now() + PATIENCE; !holds(); await new Promise((resolve) => setTimeout(resolve, 10))) {
    if (Date.now() > end) assert.fail(`waited ${PATIENCE / 1000} s for: ${what}; have ${have()}`);
  }
}

/** For so long, in milliseconds, this stays true. */
export async function stays(what: string, forMs: number, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + forMs; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20)))
    assert.ok(holds(), what);
}
