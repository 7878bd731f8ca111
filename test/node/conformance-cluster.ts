/** Either engine on the hosts of a test network, each with a process that uses it: see conformance.ts. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { newConf } from '../../agent/conf/index.ts';
import type { EngineKind, EngineStatus, ReloadReport, View } from '../../agent/engine/engine.ts';
import { nodeLayout, type NodeLayout } from '../../agent/node-layout.ts';
import type { PeerOrder, PeerTold, Said } from './conformance-peer.ts';
import { address4, TestNetwork, type Host } from './namespaces.ts';
import { History } from './ring-history.ts';
import { shippedAgent } from './shipped-agent.ts';

/** A condition that does not come true within this has failed: the machine may be busy with other tests. Milliseconds. */
const PATIENCE = 45_000;
/** A node that ended is missed after token and 1.2 times as much. Shorter, and a busy machine loses nodes by itself. */
const TOKEN = 1600;

export interface Variant {
  readonly engine: EngineKind;
  readonly transport: 'udpu' | 'knet';
  readonly encrypted: boolean;
  readonly links: 1 | 2;
}

export interface ConfOptions {
  readonly nodes: number;
  readonly version: number;
  readonly clusterName?: string;
}

export function confText(variant: Variant, { nodes, version, clusterName = 'conformance' }: ConfOptions): string {
  const { engine, transport, encrypted, links } = variant;
  const secret: Record<string, string> = encrypted ? { crypto_cipher: 'aes256', crypto_hash: 'sha256' } : {};
  const text = newConf({
    ...{ clusterName, transport, secauth: encrypted ? 'on' : 'off' },
    extraTotem: { ...secret, token: String(TOKEN), token_coefficient: '0' },
    nodes: Array.from({ length: nodes }, (_, index) => ({
      ...{ nodeId: index + 1, name: `n${index + 1}`, votes: 1 },
      addresses: ([0, 1] as const).slice(0, links).map((link) => ({ link, address: address4(index + 1, link) })),
    })),
  }).replace(/config_version: \d+/, `config_version: ${version}`);
  // Real time is not to be had in every container.
  return engine === 'totem' ? text : `${text}\nsystem {\n  sched_rr: no\n  move_to_root_cgroup: no\n}\n`;
}

export class ConformanceCluster {
  readonly network: TestNetwork;
  readonly variant: Variant;
  readonly nodes: readonly ConformanceNode[];
  readonly #directory: string;

  private constructor(network: TestNetwork, variant: Variant, nodes: readonly ConformanceNode[], directory: string) {
    this.network = network;
    this.variant = variant;
    this.nodes = nodes;
    this.#directory = directory;
  }

  /** Hosts and files for one node more than `nodes`; resolves when the first `nodes` are in one ring and one group. */
  static async start(variant: Variant, nodes: number): Promise<ConformanceCluster> {
    const network = await TestNetwork.make({ nodes: nodes + 1 });
    const directory = mkdtempSync(join(tmpdir(), 'ringmaster-conformance-'));
    const agent = variant.engine === 'totem' ? await shippedAgent(directory) : '';
    const key = randomBytes(256);
    const all = network.hosts.map(
      (host) => new ConformanceNode(host, join(directory, `n${host.number}`), variant.engine, agent),
    );
    const cluster = new ConformanceCluster(network, variant, all, directory);
    try {
      for (const node of all) {
        node.write(confText(variant, { nodes, version: 1 }), key);
        if (variant.engine === 'corosync') await node.enclose();
      }
      const first = cluster.some(...Array.from({ length: nodes }, (_, index) => index + 1));
      for (const node of first) node.start();
      for (const node of first) await node.connect();
      await cluster.together(first);
      return cluster;
    } catch (error) {
      await cluster.remove();
      throw error;
    }
  }

  node(number: number): ConformanceNode {
    const node = this.nodes[number - 1];
    if (node === undefined) throw new RangeError(`there is no node ${number}`);
    return node;
  }
  some(...numbers: readonly number[]): ConformanceNode[] {
    return numbers.map((number) => this.node(number));
  }

  /** These, and they alone, are in one ring, with one id, and in one group. */
  async together(nodes: readonly ConformanceNode[]): Promise<void> {
    const wanted = nodes.map(({ number }) => number).join();
    await until(
      `nodes ${wanted} in one ring and group`,
      () => {
        const rings = new Set(nodes.map(({ status }) => JSON.stringify(status?.ringId)));
        const views = new Set(nodes.map(({ views }) => JSON.stringify(views.at(-1)?.ringId)));
        const whole = nodes.every(
          (node) => membersOf(node).join() === wanted && node.history.members.join() === wanted,
        );
        return rings.size === 1 && views.size === 1 && whole && [...rings][0] === [...views][0];
      },
      () => nodes.map((node) => node.seen()).join('; '),
    );
  }

  /** What these nodes hear from now on is compared anew; while nothing is sent. */
  forget(): void {
    for (const node of this.nodes) node.forget();
  }

  async remove(): Promise<void> {
    for (const node of this.nodes) node.peer?.kill('SIGKILL');
    for (const node of this.nodes) await node.end('SIGKILL');
    await this.network.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export class ConformanceNode {
  readonly host: Host;
  readonly #root: string;
  readonly #engine: EngineKind;
  readonly #agent: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #layout: NodeLayout;
  readonly #waiting = new Map<number, (told: PeerTold) => void>();
  #lastId = 0;
  #words = '';
  history: History;
  views: View[] = [];
  connections: boolean[] = [];
  status: EngineStatus | null = null;
  process: ChildProcess | null = null;
  peer: ChildProcess | null = null;

  constructor(host: Host, root: string, engine: EngineKind, agent: string) {
    this.host = host;
    this.#root = root;
    this.#engine = engine;
    this.#agent = agent;
    this.#env = { ...process.env, RINGMASTER_ROOT: root, RINGMASTER_HOSTNAME: `n${host.number}` };
    this.#layout = nodeLayout(this.#env);
    this.history = new History(host.number);
  }
  get number(): number {
    return this.host.number;
  }

  write(conf: string, key: Uint8Array | null = null): void {
    const { corosyncConf, authkey } = this.#layout;
    for (const directory of [dirname(corosyncConf), join(this.#root, 'var/lib/corosync')])
      mkdirSync(directory, { recursive: true });
    writeFileSync(corosyncConf, conf);
    if (key !== null) writeFileSync(authkey, key, { mode: 0o400 });
  }

  /** Corosync knows one place only for its files, and its IPC keeps buffers in /dev/shm. */
  async enclose(): Promise<void> {
    const bind = (path: string): string => `mkdir -p ${path} && mount --bind '${this.#root}${path}' ${path}`;
    await this.host.enclose(
      [
        `hostname n${this.number}`,
        'mount -t tmpfs tmpfs /dev/shm',
        'mount -t tmpfs tmpfs /run',
        bind('/etc/corosync'),
        bind('/var/lib/corosync'),
      ].join('\n'),
    );
  }

  start(): void {
    const [program, args] =
      this.#engine === 'corosync' ? ['/usr/sbin/corosync', ['-f']] : [process.execPath, [this.#agent, 'engine']];
    const child = this.host.spawn(program, args, {
      env: this.#engine === 'corosync' ? process.env : this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.#root,
    });
    this.process = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#words = (this.#words + text).slice(-800)));
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal);
  }

  /** The engine's process ends by this signal; resolves when it has. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill(signal);
    await exited;
  }

  /** Starts the process that uses the engine, and has it enter the group. */
  async connect(): Promise<void> {
    this.peer = this.host.spawn(process.execPath, [join(import.meta.dirname, 'conformance-peer.ts'), this.#engine], {
      env: this.#env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.peer.on('message', (told: PeerTold) => this.#take(told));
    await this.ask({ do: 'enter' });
  }

  /** Rejects with an error of the same name where the engine refuses. */
  async ask(order: PeerOrder): Promise<unknown> {
    const { peer } = this;
    if (peer === null) throw new Error(`node ${this.number} has no process that uses its engine`);
    this.#lastId += 1;
    const id = this.#lastId;
    const told = await new Promise<PeerTold>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`node ${this.number} does not answer to ${order.do}`)), PATIENCE);
      this.#waiting.set(id, (answer) => {
        clearTimeout(late);
        resolve(answer);
      });
      peer.send({ id, order });
    });
    if (told.kind === 'answer') return told.value;
    if (told.kind !== 'refused') throw new Error(`node ${this.number} answers with ${told.kind}`);
    const error = new Error(told.message);
    error.name = told.name;
    throw error;
  }

  async say(sizes: readonly number[], how: 'one-by-one' | 'at-once' = 'at-once'): Promise<Said> {
    return (await this.ask({ do: 'say', sizes, how })) as Said; // the peer is of the same version
  }
  async reload(): Promise<ReloadReport> {
    return (await this.ask({ do: 'reload' })) as ReloadReport; // the peer is of the same version
  }

  forget(): void {
    const last = this.views.at(-1);
    this.history = new History(this.number);
    if (last !== undefined) this.history.view(last);
  }

  /** In short, for a test that waits in vain. */
  seen(): string {
    const ring = this.status?.ringId ?? null;
    const view = this.views.at(-1);
    const { status } = this;
    const words = status?.state.kind === 'down' ? ` (${status.state.reason}; ${this.#words})` : '';
    return `${this.number} is ${this.status?.state.kind}, ring ${ring?.representative}.${ring?.sequence}: ${membersOf(this).join()}, view ${view?.ringId.sequence}: ${view?.members.join()}${words}`;
  }

  #take(told: PeerTold): void {
    switch (told.kind) {
      case 'status':
        this.status = told.status;
        return;
      case 'view':
        this.views.push(told.view);
        return this.history.view(told.view);
      case 'heard':
        return this.history.heard(told.line);
      case 'connection':
        this.connections.push(told.connected);
        // What follows has nothing to do with what was before.
        if (!told.connected) this.history = new History(this.number);
        return;
      case 'answer':
      case 'refused':
        this.#waiting.get(told.id)?.(told);
        this.#waiting.delete(told.id);
    }
  }
}

export const membersOf = ({ status }: ConformanceNode): number[] =>
  (status?.members ?? []).filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId);

export async function until(what: string, holds: () => boolean, have: () => string = () => ''): Promise<void> {
  for (const end = Date.now() + PATIENCE; !holds(); await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (Date.now() > end) assert.fail(`waited ${PATIENCE / 1000} s for: ${what}; have ${have()}`);
  }
}
