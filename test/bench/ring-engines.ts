/**
 * The two engines of the ring's bench on the same hosts: the bundled one as it is shipped, and Debian's Corosync. Each
 * cluster has directories of its own; engine and peers run on the host (namespaces.ts), enclosed for Corosync, which
 * knows one place only for its files.
 */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { newConf } from '../../agent/conf/index.ts';
import { engineSettings } from '../../agent/engine/settings.ts';
import { nodeLayout } from '../../agent/node-layout.ts';
import { address4, type Host, type TestNetwork } from '../node/namespaces.ts';
import { shippedAgent } from '../node/shipped-agent.ts';
import type { PeerAnswer, PeerOrder } from './ring-peer.ts';

const project = join(import.meta.dirname, '../..');

export type EngineName = 'ours' | 'corosync';

export interface ClusterOptions {
  readonly network: TestNetwork;
  readonly directory: string;
  readonly engine: EngineName;
  readonly nodes: number;
  /** aes256 (and sha256 for Corosync's HMAC); Corosync encrypts on knet only, so that it is udpu without. */
  readonly encrypted: boolean;
  /** The program of the bundled engine: see `agentFrom`. */
  readonly agent: string;
  /** Arguments of node for the engine of node 1: --cpu-prof. */
  readonly profile?: readonly string[];
}

/** `sources`: type-stripped as they are, so that a profile tells files apart. */
export const agentFrom = (directory: string, from: 'bundle' | 'sources'): Promise<string> =>
  from === 'bundle' ? shippedAgent(directory) : Promise.resolve(join(project, 'agent/cli/main.ts'));

/** A ring that an engine has told of. */
export interface SeenRing {
  /** performance.now() when the line came. */
  readonly at: number;
  readonly members: number;
}

export class BenchCluster {
  readonly nodes: readonly BenchNode[];
  readonly options: ClusterOptions;

  private constructor(options: ClusterOptions, nodes: readonly BenchNode[]) {
    this.options = options;
    this.nodes = nodes;
  }

  static async prepare(options: ClusterOptions): Promise<BenchCluster> {
    const { engine, encrypted, directory } = options;
    const key = randomBytes(256);
    const text = confOf(options);
    const nodes: BenchNode[] = [];
    for (let number = 1; number <= options.nodes; number += 1) {
      const root = join(directory, `${engine}-${encrypted ? 'secret' : 'plain'}-${options.nodes}`, `n${number}`);
      const node = new BenchNode(options, options.network.host(number), root);
      node.write(text, key);
      if (engine === 'corosync') await node.encloseForCorosync();
      nodes.push(node);
    }
    return new BenchCluster(options, nodes);
  }

  /** Starts all engines at once; resolves when each has told of a ring of all. Milliseconds from the start. */
  async start(): Promise<number> {
    const begun = performance.now();
    for (const node of this.nodes) node.start();
    const seen = await Promise.all(this.nodes.map((node) => node.ring(this.nodes.length, begun)));
    return Math.max(...seen.map(({ at }) => at)) - begun;
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) node.peer?.kill('SIGKILL');
    await Promise.all(this.nodes.map((node) => node.end('SIGTERM')));
  }
}

export class BenchNode {
  readonly rings: SeenRing[] = [];
  peer: ChildProcess | null = null;
  process: ChildProcess | null = null;
  readonly #options: ClusterOptions;
  readonly #host: Host;
  readonly #root: string;
  #told: (() => void)[] = [];
  #lastLines: string[] = [];

  constructor(options: ClusterOptions, host: Host, root: string) {
    this.#options = options;
    this.#host = host;
    this.#root = root;
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, RINGMASTER_ROOT: this.#root, RINGMASTER_HOSTNAME: `n${this.#host.number}` };
  }

  write(conf: string, key: Buffer): void {
    const { corosyncConf, authkey } = nodeLayout(this.#env);
    mkdirSync(dirname(corosyncConf), { recursive: true });
    mkdirSync(join(this.#root, 'var/lib/corosync'), { recursive: true });
    writeFileSync(corosyncConf, conf);
    writeFileSync(authkey, key, { mode: 0o400 });
  }

  async encloseForCorosync(): Promise<void> {
    await this.#host.enclose(
      [
        `hostname n${this.#host.number}`,
        // Its IPC keeps buffers in /dev/shm, its sockets' names are the network namespace's.
        'mount -t tmpfs tmpfs /dev/shm',
        'mount -t tmpfs tmpfs /run',
        `mount --bind '${this.#root}/etc/corosync' /etc/corosync`,
        `mount --bind '${this.#root}/var/lib/corosync' /var/lib/corosync`,
      ].join('\n'),
    );
  }

  start(): void {
    const { engine, agent, profile } = this.#options;
    const own = this.#host.number === 1 ? (profile ?? []) : [];
    const [program, args] =
      engine === 'corosync' ? ['/usr/sbin/corosync', ['-f']] : [process.execPath, [...own, agent, 'engine']];
    const child = this.#host.spawn(program, args, {
      env: engine === 'corosync' ? process.env : this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: this.#root,
    });
    this.process = child;
    if (child.stderr === null) throw new Error('the engine has no standard error');
    createInterface(child.stderr).on('line', (line) => this.#read(line));
    child.once('exit', () => this.#told.splice(0).forEach((tell) => tell()));
  }

  /** Resolves with the first ring of so many members after `since` (performance.now()). */
  async ring(members: number, since: number, withinMs = 60_000): Promise<SeenRing> {
    for (const end = performance.now() + withinMs; ;) {
      const found = this.rings.find((ring) => ring.members === members && ring.at >= since);
      if (found !== undefined) return found;
      const left = end - performance.now();
      if (left <= 0 || this.process === null || this.process.exitCode !== null)
        throw new Error(`no ring of ${members} on node ${this.#host.number}:\n${this.#lastLines.join('\n')}`);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#told.push(resolve);
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  /** Starts a process that uses the group; resolves when the group has `members`. */
  async join(members: number): Promise<void> {
    const peer = this.#host.spawn(
      process.execPath,
      [join(import.meta.dirname, 'ring-peer.ts'), this.#options.engine === 'corosync' ? 'corosync' : 'totem'],
      { env: this.#env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    this.peer = peer;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`node ${this.#host.number} has no group of ${members}`)), 30_000);
      peer.on('message', (answer: PeerAnswer) => {
        if (answer.kind !== 'joined' || answer.members !== members) return;
        clearTimeout(late);
        resolve();
      });
    });
  }

  order(order: PeerOrder): void {
    this.peer?.send(order);
  }

  async ask<K extends PeerAnswer['kind']>(order: PeerOrder, kind: K): Promise<Extract<PeerAnswer, { kind: K }>> {
    const { peer } = this;
    if (peer === null) throw new Error('the node has no peer');
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`node ${this.#host.number} does not answer`)), 60_000);
      const take = (answer: PeerAnswer): void => {
        if (answer.kind !== kind) return;
        clearTimeout(late);
        peer.off('message', take);
        resolve(answer as Extract<PeerAnswer, { kind: K }>);
      };
      peer.on('message', take);
      this.order(order);
    });
  }

  /** Of the engine's process: CPU seconds used, and memory in KiB. */
  usage(): { readonly cpu: number; readonly rss: number; readonly pss: number } {
    const pid = this.process?.pid ?? 0;
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const kib = (name: string): number => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
    // utime and stime, in ticks of which Linux always shows 100 a second (proc(5), USER_HZ).
    return { cpu: (Number(fields[11]) + Number(fields[12])) / 100, rss: kib('Rss'), pss: kib('Pss') };
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const hard = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await exited;
    clearTimeout(hard);
  }

  #read(line: string): void {
    this.#lastLines = [...this.#lastLines.slice(-9), line];
    const ours = /ring \S+: (.*); \d+ of \d+ votes/.exec(line)?.[1]?.split(', ').length;
    const theirs = /\[QUORUM\] Members\[(\d+)\]/.exec(line)?.[1];
    const members = ours ?? (theirs === undefined ? undefined : Number(theirs));
    if (members === undefined) return;
    this.rings.push({ at: performance.now(), members });
    this.#told.splice(0).forEach((tell) => tell());
  }
}

function confOf({ engine, nodes, encrypted }: ClusterOptions): string {
  const conf = (transport: string, secauth: 'on' | 'off', extraTotem: Record<string, string>): string =>
    newConf({
      ...{ clusterName: 'bench', transport, secauth, extraTotem },
      nodes: Array.from({ length: nodes }, (_, index) => ({
        ...{ nodeId: index + 1, name: `n${index + 1}`, votes: 1 },
        addresses: [{ link: 0, address: address4(index + 1) }],
      })),
    });
  const secret = conf('knet', 'on', { crypto_cipher: 'aes256', crypto_hash: 'sha256' });
  const plain = conf('udpu', 'off', {});
  if (engine === 'corosync') {
    // Real time is not to be had in every container, and a log on a terminal is what is read here.
    const text = (encrypted ? secret : plain).replace('to_syslog: yes', 'to_syslog: no\n  to_stderr: yes');
    return `${text}\nsystem {\n  sched_rr: no\n}\n`;
  }
  if (!encrypted) return plain;
  if (engineSettings(secret).ok) return secret;
  const secauth = conf('udpu', 'on', {});
  const taken = engineSettings(secauth).ok;
  console.log(
    `  ours does not take knet with aes256: what follows is udpu ${taken ? 'with secauth' : 'WITHOUT encryption'}`,
  );
  return taken ? secauth : plain;
}
