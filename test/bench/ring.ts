/**
 * `npm run bench -- ring`: the bundled engine beside Debian's Corosync, on the same hosts, the same cables and with the
 * same payloads. Ours is encrypted as Corosync's knet is; udpu, which Corosync cannot encrypt, stands beside it plain.
 *
 *   --only speed,echo,start,kill,pause,idle    some of it        --engine ours    without the peer
 *   --quick    one short run each              --sizes 64,1600   --nodes 3,5      --plain | --secret
 *   --sources  ours from the type-stripped sources instead of the bundle that runs on nodes
 *   --profile DIR    a CPU profile of the sender's engine for each size (speed) and at rest (idle)
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { TestNetwork, whyNoNamespaces } from '../node/namespaces.ts';
import { topOfProfile } from './cpu-profile.ts';
import { BenchCluster, agentFrom, type EngineName } from './ring-engines.ts';
import {
  echo,
  idle,
  killed,
  median,
  pauses,
  populate,
  speed,
  type Echo,
  type Idle,
  type Speed,
} from './ring-measures.ts';

const parts = ['speed', 'echo', 'start', 'kill', 'pause', 'idle'] as const;
type Part = (typeof parts)[number];

interface Plan {
  readonly only: readonly Part[];
  readonly engines: readonly EngineName[];
  readonly sizes: readonly number[];
  readonly counts: readonly number[];
  readonly secrets: readonly boolean[];
  readonly repeats: number;
  /** Milliseconds. */
  readonly warmUp: number;
  readonly measured: number;
  readonly from: 'bundle' | 'sources';
  readonly profile: string | null;
}

function plan(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ only: { type: 'string' }, engine: { type: 'string' }, sizes: { type: 'string' }, nodes: { type: 'string' } },
      ...{ quick: { type: 'boolean' }, plain: { type: 'boolean' }, secret: { type: 'boolean' } },
      ...{ sources: { type: 'boolean' }, profile: { type: 'string' } },
    },
  });
  const numbers = (text: string | undefined, otherwise: readonly number[]): readonly number[] =>
    text?.split(',').map(Number) ?? otherwise;
  const words = values.only?.split(',') ?? parts;
  const unknown = words.filter((word) => !parts.some((part) => part === word));
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}; there are ${parts.join(', ')}`);
  const both: readonly EngineName[] = existsSync('/usr/sbin/corosync') ? ['ours', 'corosync'] : ['ours'];
  if (both.length === 1) console.log("  no peer: Debian's package corosync is not installed");
  const quick = values.quick === true;
  return {
    only: parts.filter((part) => words.includes(part)),
    engines: both.filter((engine) => values.engine === undefined || engine === values.engine),
    sizes: numbers(values.sizes, [64, 320, 1600, 8000, 40_000, 1_000_000]),
    counts: numbers(values.nodes, quick ? [3] : [3, 5, 9]),
    secrets: values.plain === true ? [false] : values.secret === true ? [true] : [true, false],
    repeats: quick ? 1 : 3,
    warmUp: quick ? 500 : 1000,
    measured: quick ? 1500 : 3000,
    from: values.sources === true ? 'sources' : 'bundle',
    profile: values.profile === undefined ? null : resolve(values.profile),
  };
}

/** One column: an engine, encrypted or not. */
interface Contender {
  readonly engine: EngineName;
  readonly encrypted: boolean;
}
class RingBench {
  readonly #plan: Plan;
  readonly #directory = mkdtempSync(join(tmpdir(), 'ringmaster-ring-'));
  #agent = '';

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  async run(): Promise<void> {
    try {
      this.#agent = await agentFrom(this.#directory, this.#plan.from);
      console.log(`ours: ${this.#plan.from === 'bundle' ? 'the bundle that runs on nodes' : 'type-stripped sources'}`);
      const has = (part: Part): boolean => this.#plan.only.includes(part);
      const { secrets, profile, counts } = this.#plan;
      for (const encrypted of secrets) {
        if (profile !== null) await this.#profiles(encrypted, profile);
        else if (has('speed') || has('echo') || has('idle') || has('pause')) await this.#threeNodes(encrypted);
      }
      if (!(has('start') || has('kill')) || profile !== null) return;
      for (const encrypted of secrets) for (const count of counts) await this.#membership(count, encrypted);
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  /** Clusters on hosts of their own, taken away afterwards whatever happens. */
  async #with<T>(
    contenders: readonly Contender[],
    nodes: number,
    use: (clusters: readonly BenchCluster[]) => Promise<T>,
    profile: readonly string[] = [],
  ): Promise<T> {
    const directory = mkdtempSync(join(this.#directory, 'cluster-'));
    const networks: TestNetwork[] = [];
    try {
      const clusters: BenchCluster[] = [];
      for (const contender of contenders) {
        const network = await TestNetwork.make({ nodes });
        networks.push(network);
        const options = { ...contender, network, directory, nodes, agent: this.#agent, profile };
        clusters.push(await BenchCluster.prepare(options));
      }
      const result = await use(clusters);
      for (const cluster of clusters) await cluster.stop();
      return result;
    } finally {
      for (const network of networks) await network.remove();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** Both engines are up at once and work in turns, so that what else this machine does disturbs both alike. */
  async #threeNodes(encrypted: boolean): Promise<void> {
    const { engines, only, repeats, sizes } = this.#plan;
    const contenders = engines.map((engine) => ({ engine, encrypted }));
    await this.#with(contenders, 3, async (clusters) => {
      for (const cluster of clusters) await cluster.start();
      heading('three nodes, one sender', encrypted);
      const both = <T>(values: readonly T[]): Sides<T> => ({
        ours: values[engines.indexOf('ours')],
        theirs: values[engines.indexOf('corosync')],
      });
      if (only.includes('idle')) showIdle(both(await idle(clusters, repeats * 4000)));
      for (const cluster of clusters) await populate(cluster);
      if (only.includes('echo')) {
        const echoes: Echo[] = [];
        for (const cluster of clusters) echoes.push(await echo(cluster, repeats * 500));
        showEcho(both(echoes));
      }
      if (only.includes('speed'))
        for (const bytes of sizes) showSpeed(bytes, both(await this.#speeds(clusters, bytes)));
      if (only.includes('pause')) {
        const results: string[] = [];
        for (const cluster of clusters) {
          const { changed, times } = await pauses(cluster, repeats);
          results.push(`${changed} of ${times} changed it`);
        }
        const { ours = '-', theirs = '-' } = both(results);
        row('a 500 ms SIGSTOP of one engine', ours, theirs, '');
      }
    });
  }

  async #speeds(clusters: readonly BenchCluster[], bytes: number): Promise<Speed[]> {
    const all: Speed[][] = clusters.map(() => []);
    for (let repeat = 0; repeat < this.#plan.repeats; repeat += 1) {
      for (const [which, cluster] of clusters.entries())
        all[which]?.push(await speed(cluster, bytes, this.#plan.warmUp, this.#plan.measured));
    }
    return all.flatMap((speeds) => {
      const middle = median(speeds.map(({ rate }) => rate));
      return speeds.find(({ rate }) => rate === middle) ?? [];
    });
  }

  /** Each size with engines of its own, so that each has a profile of its own, of the measured time only. */
  async #profiles(encrypted: boolean, directory: string): Promise<void> {
    const { only, sizes, measured } = this.#plan;
    for (const bytes of [
      ...(only.includes('idle') ? ['idle' as const] : []),
      ...(only.includes('speed') ? sizes : []),
    ]) {
      const place = join(directory, `${encrypted ? 'aes256' : 'plain'}-${bytes}`);
      mkdirSync(place, { recursive: true });
      const measure = async (clusters: readonly BenchCluster[]): Promise<{ from: number; to: number }> => {
        for (const cluster of clusters) await cluster.start();
        for (const cluster of clusters) await populate(cluster);
        if (bytes !== 'idle') {
          const [result] = await this.#speeds(clusters, bytes);
          if (result === undefined) throw new Error('nothing was measured');
          showSpeed(bytes, { ours: result, theirs: undefined });
          return result;
        }
        await idle(clusters, measured);
        return { from: performance.now() - measured, to: performance.now() };
      };
      const args = ['--cpu-prof', `--cpu-prof-dir=${place}`];
      const window = await this.#with([{ engine: 'ours', encrypted }], 3, measure, args);
      console.log(`  the sender's engine, ${bytes === 'idle' ? bytes : `${bytes} B`} (${place}):`);
      for (const line of topOfProfile(place, 30, window)) console.log(`    ${line}`);
    }
  }

  async #membership(count: number, encrypted: boolean): Promise<void> {
    const { engines, only, repeats } = this.#plan;
    const starts: number[] = [];
    const kills: number[] = [];
    for (const engine of engines) {
      const times: { start: number; kill: number }[] = [];
      // Corosync takes half a minute for nine nodes: twice is enough there.
      for (let repeat = 0; repeat < (engine === 'ours' ? repeats : Math.min(repeats, 2)); repeat += 1) {
        times.push(
          await this.#with([{ engine, encrypted }], count, async ([cluster]) => {
            if (cluster === undefined) throw new Error('no cluster was made');
            const start = await cluster.start();
            return { start, kill: only.includes('kill') ? await killed(cluster) : 0 };
          }),
        );
      }
      starts.push(median(times.map(({ start }) => start)));
      kills.push(median(times.map(({ kill }) => kill)));
    }
    heading(`${count} nodes`, encrypted);
    const say = (ms: number | undefined): string => (ms === undefined ? '-' : `${(ms / 1000).toFixed(2)} s`);
    const line = (what: string, times: readonly number[]): void => {
      const [left, right] = [times[engines.indexOf('ours')], times[engines.indexOf('corosync')]];
      row(what, say(left), say(right), ratio(right, left));
    };
    if (only.includes('start')) line('cold start to one ring', starts);
    if (only.includes('kill')) line('kill -9 of an engine to the view', kills);
  }
}

/** The two columns; undefined where an engine was left out. */
interface Sides<T> {
  readonly ours: T | undefined;
  readonly theirs: T | undefined;
}

function showSpeed(bytes: number, { ours, theirs }: Sides<Speed>): void {
  const say = (speed: Speed | undefined): string =>
    speed === undefined ? '-' : `${speed.rate.toFixed(0)}/s (${((speed.rate * bytes) / 1e6).toFixed(1)} MB/s)`;
  const cpu = (speed: Speed | undefined): string =>
    speed === undefined ? '-' : `${speed.senderCpu.toFixed(1)} + ${speed.receiverCpu.toFixed(1)}`;
  const more = `   us of CPU per message, sender + receiver: ${cpu(ours)}${theirs === undefined ? '' : `, ${cpu(theirs)}`}`;
  row(`${bytes} B`, say(ours), say(theirs), ratio(ours?.rate, theirs?.rate), more);
}

function showEcho({ ours, theirs }: Sides<Echo>): void {
  const say = (times: Echo | undefined): string =>
    times === undefined ? '-' : `${times.median.toFixed(0)} / ${times.p99.toFixed(0)} us`;
  row('64 B one by one, p50 / p99', say(ours), say(theirs), ratio(theirs?.median, ours?.median));
}

function showIdle({ ours, theirs }: Sides<Idle>): void {
  const percent = (value: number | undefined): string => (value === undefined ? '-' : `${value.toFixed(2)} %`);
  const mib = (value: number | undefined): string => (value === undefined ? '-' : `${(value / 1024).toFixed(1)} MiB`);
  row('idle: CPU of a core, per node', percent(ours?.cpu), percent(theirs?.cpu), ratio(theirs?.cpu, ours?.cpu));
  row('idle: memory (RSS)', mib(ours?.rss), mib(theirs?.rss), ratio(theirs?.rss, ours?.rss));
  row('idle: memory (PSS)', mib(ours?.pss), mib(theirs?.pss), ratio(theirs?.pss, ours?.pss));
}

function heading(what: string, encrypted: boolean): void {
  const [ours, theirs] = encrypted ? ['ours aes256', 'knet aes256'] : ['ours plain', 'udpu plain'];
  console.log('');
  row(what, ours, theirs, 'ratio');
}
/** How many times better ours is. */
const ratio = (better: number | undefined, worse: number | undefined): string =>
  better === undefined || worse === undefined || worse === 0 ? '' : (better / worse).toFixed(2);
const row = (what: string, ours: string, theirs: string, times: string, more = ''): void =>
  console.log(`  ${what.padEnd(32)} ${ours.padStart(20)}  ${theirs.padStart(20)}   ${times.padStart(5)}${more}`);

export async function benchRing(args: readonly string[]): Promise<void> {
  if (whyNoNamespaces !== false) return console.log(`no bench of the ring: ${whyNoNamespaces}`);
  await new RingBench(plan(args)).run();
}
