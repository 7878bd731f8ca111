/**
 * `npm run bench -- ring`: the bundled engine beside Debian's Corosync, on the same hosts, the same cables and with the
 * same payloads. Ours is encrypted as Corosync's knet is; udpu, which Corosync cannot encrypt, stands beside it plain.
 *
 *   --only speed,echo,start,kill,pause,idle    some of it        --engine ours    without the peer
 *   --quick    one short run each              --sizes 64,1600   --nodes 3,5      --plain | --secret
 *   --sources  ours from the type-stripped sources instead of the bundle that runs on nodes
 *   --profile DIR    a CPU profile of the sender's engine for each size
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { TestNetwork, whyNoNamespaces } from '../node/namespaces.ts';
import { BenchCluster, shippedAgent, type EngineName } from './ring-engines.ts';

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
const titleOf = ({ engine, encrypted }: Contender): string =>
  engine === 'ours' ? `ours ${encrypted ? 'aes256' : 'plain'}` : encrypted ? 'knet aes256' : 'udpu plain';

class RingBench {
  readonly #plan: Plan;
  readonly #directory = mkdtempSync(join(tmpdir(), 'ringmaster-ring-'));
  #agent = '';

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  async run(): Promise<void> {
    try {
      this.#agent = await shippedAgent(this.#directory, this.#plan.from);
      console.log(`ours: ${this.#plan.from === 'bundle' ? 'the bundle that runs on nodes' : 'type-stripped sources'}`);
      const has = (part: Part): boolean => this.#plan.only.includes(part);
      if (has('speed') || has('echo') || has('idle') || has('pause')) await this.#threeNodes();
      if (has('start') || has('kill')) for (const count of this.#plan.counts) await this.#membership(count);
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  /** A cluster on hosts of its own, taken away afterwards whatever happens. */
  async #with<T>(contender: Contender, nodes: number, use: (cluster: BenchCluster) => Promise<T>, profile?: string) {
    const network = await TestNetwork.make({ nodes });
    const directory = mkdtempSync(join(this.#directory, 'cluster-'));
    const args = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    try {
      const options = { ...contender, network, directory, nodes, agent: this.#agent, profile: args };
      const cluster = await BenchCluster.prepare(options);
      const result = await use(cluster);
      await cluster.stop();
      return result;
    } finally {
      await network.remove();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  async #threeNodes(): Promise<void> {
    const { secrets, engines, sizes, only } = this.#plan;
    for (const encrypted of secrets) {
      const columns = new Map<EngineName, Results>();
      for (const engine of engines) columns.set(engine, await this.#contender({ engine, encrypted }));
      const ours = columns.get('ours');
      const theirs = columns.get('corosync');
      const titles = [titleOf({ engine: 'ours', encrypted }), titleOf({ engine: 'corosync', encrypted })] as const;
      console.log(`\nthree nodes, one sender          ${titles[0].padStart(20)}  ${titles[1].padStart(20)}   ratio`);
      for (const bytes of sizes) {
        const [left, right] = [ours?.speeds.get(bytes), theirs?.speeds.get(bytes)];
        const say = (rate: number | undefined): string =>
          rate === undefined ? '-' : `${rate.toFixed(0)}/s (${((rate * bytes) / 1e6).toFixed(1)} MB/s)`;
        if (only.includes('speed')) row(`${bytes} B`, say(left), say(right), ratio(left, right));
      }
      if (only.includes('echo')) {
        const say = (times: Results['echo']): string =>
          times === undefined ? '-' : `${times.median.toFixed(0)} / ${times.p99.toFixed(0)} us`;
        row(
          '64 B one by one, p50 / p99',
          say(ours?.echo),
          say(theirs?.echo),
          ratio(theirs?.echo?.median, ours?.echo?.median),
        );
      }
      if (only.includes('idle')) {
        const [left, right] = [ours?.idle, theirs?.idle];
        const percent = (value: number | undefined): string => (value === undefined ? '-' : `${value.toFixed(2)} %`);
        const mib = (value: number | undefined): string =>
          value === undefined ? '-' : `${(value / 1024).toFixed(1)} MiB`;
        row('idle: CPU of a core, per node', percent(left?.cpu), percent(right?.cpu), ratio(right?.cpu, left?.cpu));
        row('idle: memory (RSS)', mib(left?.rss), mib(right?.rss), ratio(right?.rss, left?.rss));
        row('idle: memory (PSS)', mib(left?.pss), mib(right?.pss), ratio(right?.pss, left?.pss));
      }
      if (only.includes('pause')) {
        const say = (result: Results['pauses']): string =>
          result === undefined ? '-' : `${result.changed} of ${result.times} changed`;
        row('a 500 ms SIGSTOP of one engine', say(ours?.pauses), say(theirs?.pauses), '');
      }
    }
  }

  async #contender(contender: Contender): Promise<Results> {
    const { only, sizes, profile } = this.#plan;
    if (profile !== null && contender.engine === 'ours') return this.#profiled(contender, profile);
    return this.#with(contender, 3, async (cluster) => {
      await cluster.start();
      const results: Results = { speeds: new Map() };
      if (only.includes('idle')) results.idle = await this.#idle(cluster);
      for (const node of cluster.nodes) await node.join(cluster.nodes.indexOf(node) + 1);
      await settled(cluster);
      if (only.includes('echo')) results.echo = await echo(cluster, this.#plan.repeats * 500);
      if (only.includes('speed'))
        for (const bytes of sizes) results.speeds.set(bytes, await this.#speed(cluster, bytes));
      if (only.includes('pause')) results.pauses = await pauses(cluster, this.#plan.repeats);
      return results;
    });
  }

  /** Each size with engines of its own, so that each has a profile of its own. */
  async #profiled(contender: Contender, directory: string): Promise<Results> {
    const speeds = new Map<number, number>();
    for (const bytes of this.#plan.sizes) {
      const place = join(directory, `${contender.encrypted ? 'aes256' : 'plain'}-${bytes}`);
      mkdirSync(place, { recursive: true });
      await this.#with(
        contender,
        3,
        async (cluster) => {
          await cluster.start();
          for (const node of cluster.nodes) await node.join(cluster.nodes.indexOf(node) + 1);
          await settled(cluster);
          speeds.set(bytes, await this.#speed(cluster, bytes));
        },
        place,
      );
      console.log(`  profile of the sender's engine: ${place}`);
    }
    return { speeds };
  }

  /** Messages a second at the slowest receiver, median of the repeats. Fails when a receiver lacks messages at the end. */
  async #speed(cluster: BenchCluster, bytes: number): Promise<number> {
    const rates: number[] = [];
    const [sender] = cluster.nodes;
    for (let repeat = 0; repeat < this.#plan.repeats; repeat += 1) {
      const before = await counts(cluster);
      sender?.order({ do: 'send', bytes });
      await pause(this.#plan.warmUp);
      const from = await counts(cluster);
      await pause(this.#plan.measured);
      const to = await counts(cluster);
      sender?.order({ do: 'stop' });
      rates.push(
        Math.min(
          ...to.map(
            (count, i) => ((count.messages - (from[i]?.messages ?? 0)) * 1000) / (count.at - (from[i]?.at ?? 0)),
          ),
        ),
      );
      await drained(cluster, before);
    }
    return median(rates);
  }

  async #idle(cluster: BenchCluster): Promise<Results['idle']> {
    // The ring has come to rest when its start is over.
    await pause(2000);
    const before = cluster.nodes.map((node) => node.usage());
    const begun = performance.now();
    await pause(this.#plan.repeats * 4000);
    const seconds = (performance.now() - begun) / 1000;
    const after = cluster.nodes.map((node) => node.usage());
    return {
      cpu: mean(after.map((usage, i) => ((usage.cpu - (before[i]?.cpu ?? 0)) / seconds) * 100)),
      rss: mean(after.map(({ rss }) => rss)),
      pss: mean(after.map(({ pss }) => pss)),
    };
  }

  async #membership(count: number): Promise<void> {
    const { engines, secrets, only, repeats } = this.#plan;
    for (const encrypted of secrets) {
      const starts = new Map<EngineName, number>();
      const kills = new Map<EngineName, number>();
      for (const engine of engines) {
        const times: { start: number; kill: number }[] = [];
        // Corosync takes half a minute for nine nodes: once or twice is enough there.
        for (let repeat = 0; repeat < (engine === 'ours' ? repeats : Math.min(repeats, 2)); repeat += 1) {
          times.push(
            await this.#with({ engine, encrypted }, count, async (cluster) => {
              const start = await cluster.start();
              return { start, kill: only.includes('kill') ? await killed(cluster) : 0 };
            }),
          );
        }
        starts.set(engine, median(times.map(({ start }) => start)));
        kills.set(engine, median(times.map(({ kill }) => kill)));
      }
      const titles = [titleOf({ engine: 'ours', encrypted }), titleOf({ engine: 'corosync', encrypted })] as const;
      console.log(
        `\n${count} nodes                          ${titles[0].padStart(20)}  ${titles[1].padStart(20)}   ratio`,
      );
      const say = (ms: number | undefined): string => (ms === undefined ? '-' : `${(ms / 1000).toFixed(2)} s`);
      const line = (what: string, times: ReadonlyMap<EngineName, number>): void => {
        const [left, right] = [times.get('ours'), times.get('corosync')];
        row(what, say(left), say(right), ratio(right, left));
      };
      if (only.includes('start')) line('cold start to one ring', starts);
      if (only.includes('kill')) line('kill -9 of an engine to the new view', kills);
    }
  }
}

interface Results {
  readonly speeds: Map<number, number>;
  echo?: { readonly median: number; readonly p99: number } | undefined;
  idle?: { readonly cpu: number; readonly rss: number; readonly pss: number } | undefined;
  pauses?: { readonly changed: number; readonly times: number } | undefined;
}

const counts = (cluster: BenchCluster) => Promise.all(cluster.nodes.map((node) => node.ask({ do: 'count' }, 'count')));

/** All have delivered all that was sent. */
async function drained(cluster: BenchCluster, before: Awaited<ReturnType<typeof counts>>): Promise<void> {
  for (const end = performance.now() + 60_000; ; await pause(50)) {
    const now = await counts(cluster);
    const sent = (now[0]?.sent ?? 0) - (before[0]?.sent ?? 0);
    const got = now.map(({ messages }, index) => messages - (before[index]?.messages ?? 0));
    if (got.every((count) => count === sent)) return;
    if (performance.now() > end) throw new Error(`sent ${sent}, delivered ${got.join(', ')}`);
  }
}

/** The group is whole, and each hears the first. */
async function settled(cluster: BenchCluster): Promise<void> {
  const before = await counts(cluster);
  await cluster.nodes[0]?.ask({ do: 'echo', bytes: 64, times: 10 }, 'echo');
  await drained(cluster, before);
}

async function echo(cluster: BenchCluster, times: number): Promise<Results['echo']> {
  const answer = await cluster.nodes[0]?.ask({ do: 'echo', bytes: 64, times }, 'echo');
  const sorted = [...(answer?.times ?? [])].sort((a, b) => a - b);
  return { median: median(sorted), p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
}

/** Each engine in turn is stopped for half a second: did anybody tell of another ring? */
async function pauses(cluster: BenchCluster, repeats: number): Promise<Results['pauses']> {
  let changed = 0;
  let times = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    for (const node of cluster.nodes) {
      const before = cluster.nodes.map(({ rings }) => rings.length).join();
      node.signal('SIGSTOP');
      await pause(500);
      node.signal('SIGCONT');
      await pause(1000);
      times += 1;
      if (cluster.nodes.map(({ rings }) => rings.length).join() !== before) changed += 1;
    }
  }
  return { changed, times };
}

/** Milliseconds from kill -9 of the last node's engine until every other has told of the ring without it. */
async function killed(cluster: BenchCluster): Promise<number> {
  await pause(1000);
  const others = cluster.nodes.slice(0, -1);
  const begun = performance.now();
  cluster.nodes.at(-1)?.signal('SIGKILL');
  const seen = await Promise.all(others.map((node) => node.ring(others.length, begun)));
  return Math.max(...seen.map(({ at }) => at)) - begun;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
/** How many times better ours is. */
const ratio = (better: number | undefined, worse: number | undefined): string =>
  better === undefined || worse === undefined || worse === 0 ? '' : (better / worse).toFixed(2);
const row = (what: string, ours: string, theirs: string, times: string): void =>
  console.log(`  ${what.padEnd(30)} ${ours.padStart(20)}  ${theirs.padStart(20)}   ${times.padStart(5)}`);

export async function benchRing(args: readonly string[]): Promise<void> {
  if (whyNoNamespaces !== false) return console.log(`no bench of the ring: ${whyNoNamespaces}`);
  await new RingBench(plan(args)).run();
}
