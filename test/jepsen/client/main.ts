/**
 * Runs inside a node: `node main.ts work SETTINGS`, `setup SETTINGS` or `final SETTINGS`. What its processes do it says
 * on standard output, an event a line, each before it is begun and when it has ended. `stop` on standard input ends it.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { seeded, type Chance } from '../../sim/chance.ts';
import type { Action, Event, ReadMode } from '../history.ts';
import { codeOf, FOLDER, Mount } from './actions.ts';
import { composeFile } from './values.ts';

export interface ClientSettings {
  readonly node: string;
  readonly nodes: readonly string[];
  readonly seed: number;
  /** How many clients this node has had. */
  readonly incarnation: number;
  readonly processes: number;
  /** When the run began, by the machine's monotonic clock in milliseconds. */
  readonly start: number;
  readonly registers: number;
  readonly guests: number;
  /** Most milliseconds between two actions of one process. */
  readonly rest: number;
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const say = (line: Event | object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Names change as time goes by, so that what a fault leaves behind (a lock nobody releases) does not stop the rest. */
const SLOT_MS = { create: 700, lock: 6_000, log: 20_000, guest: 15_000 } as const;
const GUESTS_AT_ONCE = 3;
const FIRST_GUEST = 100;

const TYPES = ['qemu-server', 'lxc'] as const;

class Worker {
  readonly #settings: ClientSettings;
  readonly #mount: Mount;
  readonly #chance: Chance;
  readonly #name: string;
  #serial = 0;
  #tried = '';

  constructor(settings: ClientSettings, mount: Mount, number: number) {
    const { node, incarnation, seed, nodes } = settings;
    this.#settings = settings;
    this.#mount = mount;
    this.#name = `${node}.${incarnation}.${number}`;
    this.#chance = seeded(seed * 7919 + nodes.indexOf(node) * 104_729 + incarnation * 31 + number);
  }

  async work(stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      await pause(this.#chance.below(this.#settings.rest));
      if (!stopped()) await this.#one();
    }
  }

  async #do(action: Action): Promise<Event> {
    const { node } = this.#settings;
    const length = this.#chance.happens(0.02)
      ? 200_000
      : 100 + this.#chance.below(this.#chance.happens(0.5) ? 900 : 20_000);
    const size = action.f === 'append' ? Math.min(length, 2_000) : length;
    say({ type: 'invoke', time: now(), process: this.#name, node, action } satisfies Event);
    const done = await this.#mount.run(action, size);
    const event: Event = { ...done, time: now(), process: this.#name, mount: this.#mount.count };
    say(event);
    // A mount that is away answers at once: that is no work for a whole processor.
    if (event.type !== 'ok') await pause(20);
    return event;
  }

  async #one(): Promise<void> {
    const { registers } = this.#settings;
    const draw = this.#chance.below(100);
    const value = (): string => `${this.#name}.${(this.#serial += 1)}`;
    const register = `r${this.#chance.below(registers)}`;
    const slot = this.#slot('log');
    if (draw < 12) await this.#do({ f: 'write', key: register, value: value(), way: 'truncate' });
    else if (draw < 24) await this.#do({ f: 'write', key: register, value: value(), way: 'rename' });
    else if (draw < 46) await this.#do({ f: 'read', key: register, mode: this.#mode() });
    else if (draw < 58) await this.#do({ f: 'append', key: `a${slot}.${this.#chance.below(2)}`, value: value() });
    else if (draw < 66)
      await this.#do({ f: 'readRecords', key: `a${slot}.${this.#chance.below(2)}`, mode: this.#mode() });
    else if (draw < 76) await this.#create(value());
    else if (draw < 86) await this.#lock();
    else if (draw < 94) await this.#move();
    else if (draw < 96) await this.#clone();
    else await this.#do({ f: 'locate', mode: this.#mode() });
  }

  #slot(what: keyof typeof SLOT_MS): number {
    return Math.floor((now() - this.#settings.start) / SLOT_MS[what]);
  }
  #mode(): ReadMode {
    const draw = this.#chance.below(10);
    return draw < 6 ? 'local' : draw < 8 ? 'fresh' : 'settled';
  }

  async #create(value: string): Promise<void> {
    const key = `x${this.#slot('create')}`;
    if (key === this.#tried) return;
    this.#tried = key;
    await this.#do({ f: 'create', key, value });
  }

  async #lock(): Promise<void> {
    const key = `j${this.#slot('lock')}.${this.#chance.below(2)}`;
    const { type } = await this.#do({ f: 'lock', key });
    if (type !== 'ok') return;
    await pause(this.#chance.below(60));
    await this.#do({ f: 'unlock', key });
  }

  /** A guest whose time it is, and where this node believes it to be. */
  async #guest(): Promise<{ readonly key: string; readonly from: string } | null> {
    const first = (this.#slot('guest') * GUESTS_AT_ONCE) % this.#settings.guests;
    const key = String(FIRST_GUEST + first + this.#chance.below(GUESTS_AT_ONCE));
    const done = await this.#do({ f: 'locate', mode: 'local' });
    const outcome = done.type === 'ok' ? done.outcome : undefined;
    const from = outcome !== undefined && 'places' in outcome ? outcome.places[key]?.[0] : undefined;
    return from === undefined ? null : { key, from };
  }
  #elsewhere(key: string, from: string): string {
    const { nodes } = this.#settings;
    const places = nodes.flatMap((node) => TYPES.map((type) => `nodes/${node}/${type}/${key}.conf`));
    const others = places.filter((place) => place !== from);
    return others[this.#chance.below(others.length)] ?? from;
  }
  async #move(): Promise<void> {
    const guest = await this.#guest();
    if (guest !== null) await this.#do({ f: 'move', ...guest, to: this.#elsewhere(guest.key, guest.from) });
  }
  async #clone(): Promise<void> {
    const guest = await this.#guest();
    if (guest !== null) await this.#do({ f: 'clone', key: guest.key, to: this.#elsewhere(guest.key, guest.from) });
  }
}

const unlessThere = (error: unknown): undefined => {
  if (codeOf(error) !== 'EEXIST') throw error;
};

async function setUp({ nodes, registers, guests }: ClientSettings): Promise<void> {
  // What is below the mount must not be written to.
  await mount.sync();
  const folders = [FOLDER, 'priv', 'priv/lock', 'nodes'];
  for (const node of nodes) folders.push(`nodes/${node}`, ...TYPES.map((type) => `nodes/${node}/${type}`));
  for (const folder of folders) await mkdir(`/etc/pve/${folder}`).catch(unlessThere);
  for (let number = 0; number < registers; number += 1)
    await writeFile(`/etc/pve/${FOLDER}/r${number}`, composeFile('first', 1000));
  for (let number = 0; number < guests; number += 1) {
    const key = FIRST_GUEST + number;
    const path = `/etc/pve/nodes/${nodes[number % nodes.length]}/qemu-server/${key}.conf`;
    await writeFile(path, `name: guest${key}\n`, { flag: 'wx' }).catch(unlessThere);
  }
  say({ ready: (await readdir(`/etc/pve/${FOLDER}`)).length });
}

const [mode, text = '{}'] = process.argv.slice(2);
const settings = JSON.parse(text) as ClientSettings; // written by clients.ts, nobody else
const mount = new Mount();
if (mode === 'setup') await setUp(settings);
else if (mode === 'final') say({ final: await mount.final(settings.node) });
else {
  let stop = false;
  process.stdin.on('data', () => (stop = true));
  process.stdin.on('end', () => (stop = true));
  const workers = Array.from({ length: settings.processes }, (_, number) => new Worker(settings, mount, number));
  await Promise.all(workers.map((worker) => worker.work(() => stop)));
}
process.exit(0);
