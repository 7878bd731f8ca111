/** What the ring's bench measures on one cluster. Each is bounded in time. */
import type { BenchCluster } from './ring-engines.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export interface Speed {
  /** Messages a second at the slowest receiver. */
  readonly rate: number;
  /** Microseconds of CPU that a message costs the sender's engine, and the engine of a receiver. */
  readonly senderCpu: number;
  readonly receiverCpu: number;
  /** When it was measured: performance.now(). */
  readonly from: number;
  readonly to: number;
}

/** The first node sends as fast as its engine takes it. Fails when a receiver lacks messages at the end. */
export async function speed(
  cluster: BenchCluster,
  bytes: number,
  warmUpMs: number,
  measuredMs: number,
): Promise<Speed> {
  const before = await counts(cluster);
  cluster.nodes[0]?.order({ do: 'send', bytes });
  await pause(warmUpMs);
  const from = await look(cluster);
  await pause(measuredMs);
  const to = await look(cluster);
  cluster.nodes[0]?.order({ do: 'stop' });
  await drained(cluster, before);
  const gains = to.counts.map((count, index) => {
    const first = from.counts[index];
    return { messages: count.messages - (first?.messages ?? 0), ms: count.at - (first?.at ?? 0) };
  });
  const cpu = to.cpu.map((used, index) => {
    const messages = Math.max(1, gains[index]?.messages ?? 0);
    return ((used - (from.cpu[index] ?? 0)) * 1e6) / messages;
  });
  return {
    rate: Math.min(...gains.map(({ messages, ms }) => (messages * 1000) / ms)),
    senderCpu: cpu[0] ?? 0,
    receiverCpu: mean(cpu.slice(1)),
    from: from.at,
    to: to.at,
  };
}

async function look(cluster: BenchCluster) {
  const cpu = cluster.nodes.map((node) => node.usage().cpu);
  return { counts: await counts(cluster), cpu, at: performance.now() };
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

/** A process of each node enters the group; resolves when each hears the first. */
export async function populate(cluster: BenchCluster): Promise<void> {
  for (const [index, node] of cluster.nodes.entries()) await node.join(index + 1);
  const before = await counts(cluster);
  await cluster.nodes[0]?.ask({ do: 'echo', bytes: 64, times: 10 }, 'echo');
  await drained(cluster, before);
}

export interface Echo {
  /** Microseconds. */
  readonly median: number;
  readonly p99: number;
}

/** One message of 64 B after another, each when the one before has come back to its sender. */
export async function echo(cluster: BenchCluster, times: number): Promise<Echo> {
  const answer = await cluster.nodes[0]?.ask({ do: 'echo', bytes: 64, times }, 'echo');
  const sorted = [...(answer?.times ?? [])].sort((a, b) => a - b);
  return { median: median(sorted), p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
}

export interface Idle {
  /** Per cent of one core, and KiB; mean of the nodes' engines. */
  readonly cpu: number;
  readonly rss: number;
  readonly pss: number;
}

/** Several clusters at the same time: being idle they do not disturb each other. */
export async function idle(clusters: readonly BenchCluster[], ms: number): Promise<Idle[]> {
  // The ring has come to rest when its start is over.
  await pause(2000);
  const before = clusters.map(({ nodes }) => nodes.map((node) => node.usage()));
  const begun = performance.now();
  await pause(ms);
  const seconds = (performance.now() - begun) / 1000;
  return clusters.map(({ nodes }, which) => {
    const after = nodes.map((node) => node.usage());
    return {
      cpu: mean(after.map(({ cpu }, index) => ((cpu - (before[which]?.[index]?.cpu ?? 0)) / seconds) * 100)),
      rss: mean(after.map(({ rss }) => rss)),
      pss: mean(after.map(({ pss }) => pss)),
    };
  });
}

/** Each engine in turn is stopped for half a second: how often did anybody tell of another ring? */
export async function pauses(
  cluster: BenchCluster,
  repeats: number,
): Promise<{ readonly changed: number; readonly times: number }> {
  let changed = 0;
  let times = 0;
  const told = (): string => cluster.nodes.map(({ rings }) => rings.length).join();
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    for (const node of cluster.nodes) {
      const before = told();
      node.signal('SIGSTOP');
      await pause(500);
      node.signal('SIGCONT');
      await pause(1000);
      times += 1;
      if (told() !== before) changed += 1;
    }
  }
  return { changed, times };
}

/** Milliseconds from kill -9 of the last node's engine until every other has told of the ring without it. */
export async function killed(cluster: BenchCluster): Promise<number> {
  await pause(1000);
  const others = cluster.nodes.slice(0, -1);
  const begun = performance.now();
  cluster.nodes.at(-1)?.signal('SIGKILL');
  const seen = await Promise.all(others.map((node) => node.ring(others.length, begun)));
  return Math.max(...seen.map(({ at }) => at)) - begun;
}
