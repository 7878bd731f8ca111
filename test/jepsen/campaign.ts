/** A whole run: nodes up, clients and faults for a time, everything healed, what there is at the end, and the verdict. */
import type { ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import type { EngineKind } from '../../agent/engine/engine.ts';
import type { ClientSettings } from './client/main.ts';
import { operationsOf, type Event, type FaultEvent, type Final, type History, type NetworkEvent } from './history.ts';
import { Nemesis, now, pause } from './nemesis.ts';
import { Nodes } from './nodes.ts';

export interface CampaignOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly engine: EngineKind;
  readonly processes: number;
  /** Where the history goes, a JSON line an event. */
  readonly file: string;
  readonly say: (line: string) => void;
}

export interface Campaign {
  readonly history: History;
  /** Milliseconds from the end of the faults until every node answered. */
  readonly healedMs: number;
}

const REGISTERS = 6;
/** Most milliseconds between two actions of one process. */
const REST_MS = 80;
/** How long a client may take to finish what it has begun: longer than any operation is waited for. */
const FINISH_MS = 45_000;
/** How long the nodes may take to be one cluster again; a service that died often is started ever more slowly. */
const HEAL_MS = 90_000;

export async function campaign(options: CampaignOptions): Promise<Campaign> {
  const { minutes, seed, engine, say } = options;
  const nodes = await Nodes.up(options.nodes, engine, say);
  const interrupted = (): void => void nodes.down().then(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    return await onNodes(nodes, options, Math.ceil(minutes * 4 + 2) * 3);
  } catch (error) {
    for (const name of nodes.names) say(`${name}: ${nodes.events(name, 12).join('\n      ')}`);
    throw error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
    say(`seed ${seed}: taking the nodes down`);
    await nodes.down();
  }
}

async function onNodes(nodes: Nodes, options: CampaignOptions, guests: number): Promise<Campaign> {
  const { minutes, seed, say, processes, file } = options;
  const events: Event[] = [];
  mkdirSync(dirname(file), { recursive: true });
  const log = createWriteStream(file);
  const note = (event: Event): void => {
    events.push(event);
    log.write(`${JSON.stringify(event)}\n`);
  };
  const common = { nodes: nodes.names, seed, processes, registers: REGISTERS, guests, rest: REST_MS };
  let start = now();
  const settings = (node: string, incarnation: number): ClientSettings => ({ ...common, start, node, incarnation });
  const [one = ''] = nodes.names;
  await attempts(() => ask(nodes, one, 'setup', settings(one, 0)), HEAL_MS);
  start = now();
  say('set up; the faults begin');

  const clients = new Clients(nodes, settings, note);
  for (const name of nodes.names) clients.start(name);
  const nemesis = new Nemesis(
    nodes,
    seed,
    (event) => {
      if (event.type === 'fault')
        say(`${((event.time - start) / 1000).toFixed(1)} s  ${event.fault} ${event.nodes.join(' ')} ${event.detail}`);
      note(event);
    },
    (name) => clients.start(name),
  );
  await nemesis.begin();
  await Promise.race([pause(minutes * 60_000), nemesis.failed]);
  await nemesis.end();
  const healing = now();
  await clients.finish();
  const finals = await Promise.all(
    nodes.names.map((name) => attempts(() => ask(nodes, name, 'final', settings(name, 0)), HEAL_MS)),
  );
  const healedMs = now() - healing;
  await new Promise<void>((resolve) => log.end(resolve));
  const history: History = {
    placed: Object.fromEntries(
      Array.from({ length: guests }, (_, number) => {
        const id = String(100 + number);
        return [id, `nodes/${nodes.names[number % nodes.names.length]}/qemu-server/${id}.conf`];
      }),
    ),
    operations: operationsOf(events),
    network: events.filter((event): event is NetworkEvent => event.type === 'network'),
    faults: events.filter((event): event is FaultEvent => event.type === 'fault'),
    finals: finals.map((answer) => (answer as { final: Final }).final), // as main.ts says it
  };
  return { history, healedMs };
}

/** The clients that run, at most one in a node. */
class Clients {
  readonly #nodes: Nodes;
  readonly #settings: (node: string, incarnation: number) => ClientSettings;
  readonly #note: (event: Event) => void;
  readonly #running = new Map<string, ChildProcess>();
  #ended: Promise<void>[] = [];
  #incarnation = 0;

  constructor(
    nodes: Nodes,
    settings: (node: string, incarnation: number) => ClientSettings,
    note: (event: Event) => void,
  ) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#note = note;
  }

  start(name: string): void {
    this.#incarnation += 1;
    const child = this.#nodes.client(name, 'work', this.#settings(name, this.#incarnation));
    this.#running.set(name, child);
    let words = '';
    child.stderr?.on('data', (text: string) => (words += text));
    child.stdin?.on('error', () => undefined);
    this.#ended.push(
      new Promise((resolve) => {
        child.once('close', (code) => {
          if (code !== 0 && words.trim() !== '')
            console.error(`the client of ${name} ended with ${code}: ${words.trim()}`);
          resolve();
        });
        if (child.stdout === null) return;
        createInterface({ input: child.stdout }).on('line', (line) => {
          const event = eventOf(line);
          if (event !== null) this.#note(event);
        });
      }),
    );
  }

  /** What is begun may end; what does not is of unknown outcome. */
  async finish(): Promise<void> {
    for (const child of this.#running.values()) child.stdin?.end('stop\n');
    const late = setTimeout(() => {
      for (const child of this.#running.values()) child.kill('SIGKILL');
    }, FINISH_MS);
    await Promise.all(this.#ended);
    clearTimeout(late);
  }
}

/** A client that is killed may have said half a line. */
function eventOf(line: string): Event | null {
  try {
    return JSON.parse(line) as Event; // as main.ts says it
  } catch {
    return null;
  }
}

/** The one answer of a client that ends by itself. */
async function ask(nodes: Nodes, name: string, mode: string, settings: ClientSettings): Promise<unknown> {
  const child = nodes.client(name, mode, settings);
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${mode} on ${name}: ${err.trim().split('\n').slice(-4).join(' ')}`);
  return JSON.parse(out);
}

async function attempts<T>(attempt: () => Promise<T>, withinMs: number): Promise<T> {
  for (const end = now() + withinMs; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (now() > end) throw error;
      await pause(500);
    }
  }
}
