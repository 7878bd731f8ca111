/**
 * `npm run bench -- engines`: the same workload on both engines in one run, ratios printed: the ring through the Engine
 * interface (messages, time to quorum, kill to view), then the file system on three real nodes of each, in turns.
 *
 *   --quick    short runs            --only ring,files
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { EngineKind } from '../../agent/engine/engine.ts';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import { bringUp, enterNode, takeDown } from '../../electron/lab/open.ts';
import { labPaths } from '../../electron/lab/state.ts';
import { whyNoLab } from '../node/lab-nodes.ts';
import type { Rates, Work } from './fs-work.ts';
import { benchRing } from './ring.ts';
import { median } from './ring-measures.ts';

const RUNTIME = '$(ls -d /var/lib/ringmaster/runtimes/*/node | head -n 1)';
const NODES = 3;

/** The node whose writes are measured, of a lab on one engine. */
interface Side {
  readonly directory: string;
  readonly node: string;
}

export async function benchEngines(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { quick: { type: 'boolean' }, only: { type: 'string' } } });
  const quick = values.quick === true;
  const only = values.only?.split(',') ?? ['ring', 'files'];
  if (!existsSync('/usr/sbin/corosync'))
    return console.log("no bench of engines: Debian's package corosync is not installed");
  if (whyNoLab !== false) return console.log(`no bench of engines: ${whyNoLab}`);
  if (only.includes('ring')) {
    const short = quick ? ['--quick'] : [];
    await benchRing(['--secret', '--only', 'speed,start,kill', '--sizes', '64,1600,40000', '--nodes', '3', ...short]);
  }
  if (only.includes('files')) await benchFiles(quick ? 1 : 3, quick ? 1_500 : 4_000);
}

async function benchFiles(repeats: number, forMs: number): Promise<void> {
  const sides: Side[] = [];
  const directories: string[] = [];
  try {
    for (const engine of ['totem', 'corosync'] as const) {
      const directory = mkdtempSync(join(tmpdir(), 'ringmaster-engines-'));
      directories.push(directory);
      sides.push(await up(directory, engine));
    }
    console.log(`\n  ${`${NODES} nodes, the file system`.padEnd(32)}${cells('bundled', 'Corosync', 'ratio')}`);
    for (const [what, kind, writers] of [
      ['create + write 200 B', 'create', 1],
      ['overwrite 200 B', 'overwrite', 1],
      ['4 overwriters', 'overwrite', 4],
    ] as const) {
      const rates: Rates[][] = sides.map(() => []);
      // In turns, so that what else this machine does disturbs both alike.
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        for (const [which, side] of sides.entries())
          rates[which]?.push(await work<Rates>(side, { kind, writers, size: 200, warmMs: 300, forMs, sync: false }));
      }
      const [ours = 0, theirs = 0] = rates.map((all) => median(all.map(({ perSecond }) => perSecond)));
      const [p99 = 0, p99Theirs = 0] = rates.map((all) => median(all.map((one) => one.p99)));
      const ratio = theirs === 0 ? '' : (ours / theirs).toFixed(2);
      console.log(`  ${what.padEnd(32)}${cells(`${ours.toFixed(0)}/s`, `${theirs.toFixed(0)}/s`, ratio)}`);
      console.log(`  ${'  p99'.padEnd(32)}${cells(`${p99.toFixed(2)} ms`, `${p99Theirs.toFixed(2)} ms`, '')}`);
    }
  } finally {
    for (const directory of directories) {
      await takeDown(directory);
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

const cells = (...texts: readonly string[]): string => texts.map((text) => text.padStart(16)).join('');

async function up(directory: string, engine: EngineKind): Promise<Side> {
  const bundleDirectory = buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']);
  const lab = await bringUp(
    { directory, nodes: NODES, free: 0, engine, bundleDirectory, rootless: false },
    () => undefined,
  );
  const [first] = (await lab.status()).nodes;
  if (first === undefined) throw new Error('the lab has no nodes');
  const home = join(labPaths(directory).node(first.name), 'root/bench');
  mkdirSync(home);
  cpSync(join(import.meta.dirname, 'fs-work.ts'), join(home, 'fs-work.ts'));
  return { directory, node: first.name };
}

/** Runs it in the node, as fs-work.ts describes. */
function work<T>({ directory, node }: Side, what: Work): Promise<T> {
  const script = `cd /root/bench && exec ${RUNTIME} fs-work.ts /etc/pve/bench '${JSON.stringify(what)}'`;
  const { program, args, env, cwd } = enterNode(directory, node, ['sh', '-c', script]);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(out) as T);
      else reject(new Error(`${script} on ${node} ended with code ${code ?? 'unknown'}`));
    });
  });
}
