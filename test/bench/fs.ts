/**
 * `npm run bench -- fs`: the replicated file system on real nodes of this machine, and in the same run a local directory
 * of the same disk with fsync after each write (for reading: a tmpfs). pmxcfs is in no distribution we could install; its
 * figures, measured on this class of machine, stand beside. All nodes share this machine's cores.
 *
 *   --nodes 1,3,5,9    --only write,parallel,large,read,propagation,join,memory    --engine totem|corosync
 *   --quick            short runs, one and three nodes
 *
 * Each measurement is warmed up, for ours and for the peer: the daemons run for months, and the engine of JavaScript
 * compiles for some seconds. What that comes to is told too: the first row is of daemons that have just started.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import type { EngineKind } from '../../agent/engine/engine.ts';
import { bringUp, enterNode, takeDown } from '../../electron/lab/open.ts';
import { labPaths } from '../../electron/lab/state.ts';
import { COMMANDS, processesIn } from '../jepsen/processes.ts';
import { whyNoLab } from '../node/lab-nodes.ts';
import type { Rates, Work } from './fs-work.ts';

const parts = ['write', 'parallel', 'large', 'read', 'propagation', 'join', 'memory'] as const;
type Part = (typeof parts)[number];

interface Plan {
  readonly only: readonly Part[];
  readonly counts: readonly number[];
  readonly engine: EngineKind;
  /** Milliseconds of each measurement. */
  readonly forMs: number;
  /** Milliseconds of the same before each, which do not count. */
  readonly warmMs: number;
  readonly quick: boolean;
}

function plan(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ nodes: { type: 'string' }, only: { type: 'string' }, engine: { type: 'string' } },
      quick: { type: 'boolean' },
    },
  });
  const words = values.only?.split(',') ?? parts;
  const unknown = words.filter((word) => !parts.some((part) => part === word));
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}; there are ${parts.join(', ')}`);
  const quick = values.quick === true;
  return {
    only: parts.filter((part) => words.includes(part)),
    counts: values.nodes?.split(',').map(Number) ?? (quick ? [1, 3] : [1, 3, 5, 9]),
    engine: values.engine === 'corosync' ? 'corosync' : 'totem',
    forMs: quick ? 1_500 : 4_000,
    warmMs: quick ? 1_500 : 6_000,
    quick,
  };
}

/** pmxcfs on this class of machine (op/s unless named), for local mode, 3 nodes and 9 nodes, knet. */
const PMXCFS: Readonly<Record<string, readonly [string, string, string]>> = {
  'create + write 200 B': ['2530', '357', '111'],
  'overwrite 200 B': ['3146', '354', '113'],
  '4 overwriters': ['4842', '648', '395'],
  '512 KiB writes, MB/s': ['33', '7.6', '2.8'],
  'read 200 B': ['8079', '7798', '7668'],
  stat: ['216000', '226000', '231000'],
  'readdir of 500': ['781', '688', '777'],
  'visible on another, ms': ['-', '1.7', '5.4'],
  'fresh node, 5000 files': ['-', '2.0 s', '-'],
  'memory per node, MiB': ['-', '106', '123'],
};

const RUNTIME = '$(ls -d /var/lib/ringmaster/runtimes/*/node | head -n 1)';
const IN_TREE = '/etc/pve/bench';
const ON_DISK = '/var/lib/bench';
const IN_MEMORY = '/dev/shm/bench';

class FileBench {
  readonly #plan: Plan;
  readonly #count: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'ringmaster-fs-'));
  #names: readonly string[] = [];

  constructor(plan: Plan, count: number) {
    this.#plan = plan;
    this.#count = count;
  }

  async run(): Promise<void> {
    const interrupted = (): void => void this.#down().then(() => process.exit(1));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
    try {
      await this.#up();
      const load = loadavg()[0]?.toFixed(1);
      const cores = availableParallelism();
      console.log(
        `\n${this.#count} nodes (${this.#plan.engine}), ${cores} cores, load ${load}, ${new Date().toISOString()}`,
      );
      console.log(line('', 'op/s', 'p50 ms', 'p99 ms', 'local peer', 'ratio', 'pmxcfs table'));
      const steps: Readonly<Record<Part, () => Promise<void>>> = {
        write: () => this.#writes(),
        parallel: () => this.#parallel(),
        large: () => this.#large(),
        read: () => this.#reads(),
        propagation: () => this.#propagation(),
        join: () => this.#join(),
        memory: () => this.#memory(),
      };
      for (const part of this.#plan.only) await steps[part]();
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
      await this.#down();
    }
  }

  async #down(): Promise<void> {
    await takeDown(this.#directory);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #up(): Promise<void> {
    const bundleDirectory = buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']);
    const lab = { directory: this.#directory, nodes: this.#count, free: 0, engine: this.#plan.engine };
    const up = await bringUp({ ...lab, bundleDirectory, rootless: false }, () => undefined);
    this.#names = (await up.status()).nodes.map(({ name }) => name);
    for (const name of this.#names) {
      const home = join(labPaths(this.#directory).node(name), 'root/bench');
      mkdirSync(home);
      cpSync(join(import.meta.dirname, 'fs-work.ts'), join(home, 'fs-work.ts'));
    }
  }

  // --- what is measured ---

  async #writes(): Promise<void> {
    await this.#beside('overwrite 200 B, just started', { kind: 'overwrite', size: 200, writers: 1 }, ON_DISK, 1, 0);
    for (const [what, kind] of [
      ['create + write 200 B', 'create'],
      ['overwrite 200 B', 'overwrite'],
      ['append 200 B', 'append'],
    ] as const)
      await this.#beside(what, { kind, size: 200, writers: 1 }, ON_DISK);
  }
  async #parallel(): Promise<void> {
    for (const writers of [4, 32])
      await this.#beside(`${writers} overwriters`, { kind: 'overwrite', size: 200, writers }, ON_DISK);
  }
  async #large(): Promise<void> {
    await this.#beside('512 KiB writes, MB/s', { kind: 'overwrite', size: 512 * 1024, writers: 1 }, ON_DISK, 0.524288);
  }
  async #reads(): Promise<void> {
    await this.#beside('read 200 B', { kind: 'read', size: 200, writers: 1 }, IN_MEMORY);
    await this.#beside('stat', { kind: 'stat', size: 200, writers: 1 }, IN_MEMORY);
    await this.#beside('readdir of 500', { kind: 'readdir', size: 500, writers: 1 }, IN_MEMORY);
  }

  async #propagation(): Promise<void> {
    const [from, to] = this.#names;
    if (from === undefined || to === undefined) return;
    const times = this.#plan.quick ? 200 : 600;
    const watching = this.#work<number[]>(to, IN_TREE, { kind: 'watch', times });
    const begun = await this.#work<number[]>(from, IN_TREE, { kind: 'tell', times });
    const seen = await watching;
    const took = begun.map((at, number) => (seen[number] ?? Infinity) - at).sort((left, right) => left - right);
    const [p50, p99] = [took[times >> 1] ?? 0, took[Math.floor(times * 0.99)] ?? 0];
    this.#row('visible on another, ms', '', p50.toFixed(2), p99.toFixed(2), '', '');
  }

  /** A node that has nothing: while nobody writes, and beside a writer that must not be held up. */
  async #join(): Promise<void> {
    const [one, last] = [this.#names[0], this.#names.at(-1)];
    if (one === undefined || last === undefined || one === last) return;
    const [files, folder] = [5_000, '/etc/pve/many'];
    const filled = await this.#work<number>(one, folder, { kind: 'fill', files, size: 1024 });
    this.#row(`filling ${files} x 1 KiB`, ((files * 1000) / filled).toFixed(0), '', '', '', '');
    const say = (what: string, took: number): void => this.#row(what, `${(took / 1000).toFixed(2)} s`, '', '', '', '');
    say('fresh node, 5000 files', await this.#freshNode(last, folder, files, () => undefined));
    const work = { kind: 'overwrite', size: 200, writers: 1, warmMs: 300, forMs: 6_000, sync: false } as const;
    let writing: Promise<Rates> | undefined;
    const took = await this.#freshNode(last, folder, files, () => (writing = this.#work<Rates>(one, IN_TREE, work)));
    say('the same beside a writer', took);
    this.#row('longest wait of that writer', `${((await writing)?.longest ?? Infinity).toFixed(0)} ms`, '', '', '', '');
  }

  /** From the start of its pmxcfs, without a database, until it shows all files. Milliseconds. */
  async #freshNode(node: string, folder: string, files: number, meanwhile: () => void): Promise<number> {
    const pids = (command: RegExp): number[] => processesIn(this.#directory, node, command);
    const supervisors = pids(COMMANDS.supervise);
    for (const pid of supervisors) process.kill(pid, 'SIGSTOP');
    const killed = pids(COMMANDS.pmxcfs);
    for (const pid of killed) process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await this.#shell(node, 'umount -l /etc/pve; rm -rf /var/lib/pve-cluster/*');
    const waiting = this.#work<number>(node, folder, { kind: 'await', files });
    meanwhile();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    for (const pid of supervisors) process.kill(pid, 'SIGCONT');
    let started = 0;
    for (
      const end = now() + 20_000;
      started === 0 && now() < end;
      await new Promise((resolve) => setTimeout(resolve, 5))
    )
      if (pids(COMMANDS.pmxcfs).some((pid) => !killed.includes(pid))) started = now();
    return (await waiting) - started;
  }

  async #memory(): Promise<void> {
    const commands = this.#plan.engine === 'corosync' ? [COMMANDS.corosync] : [COMMANDS.engine];
    const all = this.#names.map((name) => ({
      engine: this.#sizes(processesIn(this.#directory, name, ...commands)),
      pmxcfs: this.#sizes(processesIn(this.#directory, name, COMMANDS.pmxcfs)),
      supervisor: this.#sizes(processesIn(this.#directory, name, COMMANDS.supervise)),
    }));
    const mean = (pick: (node: (typeof all)[number]) => number): number =>
      all.reduce((sum, node) => sum + pick(node), 0) / all.length / 1024;
    const rss = mean(({ engine, pmxcfs }) => engine.rss + pmxcfs.rss);
    const pss = mean(({ engine, pmxcfs }) => engine.pss + pmxcfs.pss);
    this.#row('memory per node, MiB', rss.toFixed(0), '', '', '', '');
    console.log(
      `    RSS: engine ${mean(({ engine }) => engine.rss).toFixed(0)} + pmxcfs ${mean(({ pmxcfs }) => pmxcfs.rss).toFixed(0)}` +
        ` (and ${mean(({ supervisor }) => supervisor.rss).toFixed(0)} of the supervisor); PSS of both ${pss.toFixed(0)}`,
    );
  }

  /** KiB, of all of them. */
  #sizes(pids: readonly number[]): { rss: number; pss: number } {
    const sum = { rss: 0, pss: 0 };
    for (const pid of pids) {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      sum.rss += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
      sum.pss += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    }
    return sum;
  }

  // --- how ---

  /** The same on the tree and on the node's own disk or memory. `times`: what one operation counts for. */
  async #beside(
    what: string,
    work: {
      readonly kind: 'create' | 'overwrite' | 'append' | 'read' | 'stat' | 'readdir';
      readonly size: number;
      readonly writers: number;
    },
    peer: string,
    times = 1,
    warmMs = this.#plan.warmMs,
  ): Promise<void> {
    const [node = ''] = this.#names;
    const whole = { ...work, warmMs, forMs: this.#plan.forMs };
    const ours = await this.#work<Rates>(node, IN_TREE, { ...whole, sync: false });
    const theirs = await this.#work<Rates>(node, peer, { ...whole, sync: peer === ON_DISK });
    const say = (rate: number): string => (rate * times < 100 ? (rate * times).toFixed(1) : (rate * times).toFixed(0));
    const ratio = (ours.perSecond / theirs.perSecond).toFixed(2);
    this.#row(what, say(ours.perSecond), ours.p50.toFixed(3), ours.p99.toFixed(3), say(theirs.perSecond), ratio);
  }

  #row(what: string, rate: string, p50: string, p99: string, peer: string, ratio: string): void {
    const [local = '', three = '', nine = ''] = PMXCFS[what] ?? [];
    const table = new Map([
      [1, local],
      [3, three],
      [9, nine],
    ]);
    console.log(line(what, rate, p50, p99, peer, ratio, table.get(this.#count) ?? ''));
  }

  async #work<T>(node: string, folder: string, work: Work): Promise<T> {
    const script = `cd /root/bench && exec ${RUNTIME} fs-work.ts ${folder} '${JSON.stringify(work)}'`;
    return JSON.parse(await this.#shell(node, script)) as T; // as fs-work.ts prints it
  }

  #shell(node: string, script: string): Promise<string> {
    const { program, args, env, cwd } = enterNode(this.#directory, node, ['sh', '-c', script]);
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
      let [out, err] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
      child.once('error', reject);
      child.once('close', (code) =>
        code === 0
          ? resolve(out)
          : reject(new Error(`${script} on ${node}: ${err.trim().split('\n').slice(0, 12).join('\n')}`)),
      );
    });
  }
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

const line = (what: string, ...cells: readonly string[]): string =>
  `  ${what.padEnd(30)}${cells.map((cell) => cell.padStart(13)).join('')}`;

export async function benchFs(args: readonly string[]): Promise<void> {
  if (whyNoLab !== false) return console.log(`no bench of the file system: ${whyNoLab}`);
  const whole = plan(args);
  for (const count of whole.counts) await new FileBench(whole, count).run();
}
