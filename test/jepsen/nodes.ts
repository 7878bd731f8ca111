/** The five nodes of a run: a lab, with what the faults need besides. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import { ensurePackages } from '../../build/fresh-machine.ts';
import type { EngineKind } from '../../agent/engine/engine.ts';
import type { Lab } from '../../electron/lab/lab.ts';
import { switchNamespace } from '../../electron/lab/namespace/network.ts';
import { bringUp, enterNode, takeDown } from '../../electron/lab/open.ts';
import { must } from '../../electron/lab/run.ts';
import { labPaths } from '../../electron/lab/state.ts';
import type { Part } from './plan.ts';
import { COMMANDS, processesIn } from './processes.ts';

const TRIPLET = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const FAKETIME = `/usr/lib/${TRIPLET}/faketime/libfaketimeMT.so.1`;
const RUNTIME = '$(ls -d /var/lib/ringmaster/runtimes/*/node | head -n 1)';
/** Where a node's processes read how far their clock is off. */
const CLOCK_FILE = 'var/lib/clock';

export class Nodes {
  readonly names: readonly string[];
  readonly directory: string;
  readonly engine: EngineKind;
  readonly #lab: Lab;

  static async up(count: number, engine: EngineKind, say: (line: string) => void): Promise<Nodes> {
    const missing = await ensurePackages('clocks that jump', [{ file: FAKETIME, debianPackage: 'libfaketime' }], say);
    if (missing.length > 0) throw new Error(`clocks cannot jump without ${missing.join(', ')}`);
    const directory = mkdtempSync(join(tmpdir(), 'ringmaster-jepsen-'));
    try {
      const bundleDirectory = buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']);
      const lab = await bringUp({ directory, nodes: count, free: 0, engine, bundleDirectory, rootless: false }, say);
      const { kind, nodes } = await lab.status();
      if (kind !== 'namespaces') throw new Error('a run needs namespaces');
      const made = new Nodes(
        directory,
        engine,
        lab,
        nodes.map(({ name }) => name),
      );
      made.#provide();
      // From a cold start on, their clocks are what the file says.
      await Promise.all(made.names.map((name) => lab.kill(name)));
      await Promise.all(made.names.map((name) => lab.start(name)));
      return made;
    } catch (error) {
      await takeDown(directory);
      throw error;
    }
  }

  private constructor(directory: string, engine: EngineKind, lab: Lab, names: readonly string[]) {
    this.directory = directory;
    this.engine = engine;
    this.#lab = lab;
    this.names = names;
  }

  async down(): Promise<void> {
    await takeDown(this.directory);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Ends the node at once; `start` boots it. */
  kill(name: string): Promise<void> {
    return this.#lab.kill(name);
  }
  start(name: string): Promise<void> {
    return this.#lab.start(name);
  }

  /** A script inside a node; rejects with its words. */
  async run(name: string, script: string): Promise<string> {
    const { program, args, cwd } = enterNode(this.directory, name, ['sh', '-c', script]);
    return must(program, args, { cwd });
  }

  /** A client, as a process inside the node. */
  client(name: string, mode: string, settings: object): ChildProcess {
    const script = `cd /root/run && exec env UV_THREADPOOL_SIZE=16 ${RUNTIME} jepsen/client/main.ts "$@"`;
    const command = ['sh', '-c', script, 'sh', mode, JSON.stringify(settings)];
    const { program, args, env, cwd } = enterNode(this.directory, name, command);
    return spawn(program, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** The processes, numbered as this machine does; none when they do not run. */
  pids(name: string, part: Part | 'supervise'): number[] {
    const engine = this.engine === 'corosync' ? COMMANDS.corosync : COMMANDS.engine;
    const wanted = part === 'both' ? [engine, COMMANDS.pmxcfs] : [part === 'engine' ? engine : COMMANDS[part]];
    return processesIn(this.directory, name, ...wanted);
  }
  signal(name: string, part: Part | 'supervise', signal: NodeJS.Signals): number {
    const pids = this.pids(name, part);
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // It was faster.
      }
    }
    return pids.length;
  }

  setClock(name: string, seconds: number): void {
    writeFileSync(join(this.#home(name), CLOCK_FILE), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }

  /** Drops what nodes say to others, as the switch forwards it: pairs of sender and receiver. */
  async drop(pairs: readonly (readonly [string, string])[]): Promise<void> {
    const rules = pairs.map(([from, to]) => `iifname "${from}" oifname "${to}" drop`).join('; ');
    const table = 'table bridge jepsen';
    const chain = `{ chain forward { type filter hook forward priority 1; policy accept; ${rules}; }; }`;
    const input = `${table}\ndelete ${table}\n${pairs.length === 0 ? '' : `${table} ${chain}\n`}`;
    await must('ip', ['netns', 'exec', switchNamespace(labPaths(this.directory).id), 'nft', '-f', '-'], { input });
  }

  /** What each node's agent wrote into its events, newest last. */
  events(name: string, lines: number): string[] {
    try {
      const text = readFileSync(join(this.#home(name), 'var/log/ringmaster/events.jsonl'), 'utf8');
      return text.trimEnd().split('\n').slice(-lines);
    } catch {
      return [];
    }
  }

  #home(name: string): string {
    return labPaths(this.directory).node(name);
  }

  /** The clients' programs, and clocks that the agent's processes go by. */
  #provide(): void {
    for (const name of this.names) {
      const root = join(this.#home(name), 'root/run');
      mkdirSync(root, { recursive: true });
      cpSync(join(import.meta.dirname, 'client'), join(root, 'jepsen/client'), { recursive: true });
      cpSync(join(import.meta.dirname, '../sim/chance.ts'), join(root, 'sim/chance.ts'));
      this.setClock(name, 0);
      for (const launcher of globSync(join(this.#home(name), 'var/lib/ringmaster/agents/*/ringmaster-agent'))) {
        const lines = readFileSync(launcher, 'utf8').split('\n');
        const at = lines.findIndex((line) => line.startsWith('exec '));
        if (at < 0) throw new Error(`${launcher} starts no program`);
        const settings = {
          ...{ LD_PRELOAD: FAKETIME, FAKETIME_TIMESTAMP_FILE: `/${CLOCK_FILE}`, FAKETIME_CACHE_DURATION: '1' },
          // CLOCK_MONOTONIC never jumps on a real machine either.
          ...{ FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' },
        };
        lines.splice(at, 0, ...Object.entries(settings).map(([key, value]) => `export ${key}=${value}`));
        writeFileSync(launcher, lines.join('\n'));
      }
    }
  }
}
