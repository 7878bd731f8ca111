/** Carries faults out, one lane for nodes and one for the network, until it is told to stop; then heals everything. */
import { readdirSync, readFileSync } from 'node:fs';
import { seeded, type Chance } from '../sim/chance.ts';
import type { FaultEvent, NetworkEvent } from './history.ts';
import type { Nodes } from './nodes.ts';
import {
  Deck,
  NETWORK_FAULTS,
  networkFault,
  NODE_FAULTS,
  nodeFault,
  type NetworkFault,
  type NodeFault,
} from './plan.ts';

export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Room for the database and a little more; then nothing. */
const SMALL_DISK = `set -e
mkdir -p /run/large /run/small
mount --bind /var/lib/pve-cluster /run/large
size=$(($(du -sk /run/large | cut -f1) + SLACK))
mount -t tmpfs -o size=\${size}k tmpfs /run/small
cp -a /run/large/. /run/small/
mount --bind /run/small /var/lib/pve-cluster`;
/** How long a killed pmxcfs may take to be gone. */
const GONE_MS = 5_000;
const FILL_DISK = 'cat /dev/zero > /run/small/filler 2>/dev/null || :';
const LARGE_DISK = `set -e
rm -f /run/small/filler
umount /var/lib/pve-cluster
find /run/large -mindepth 1 -delete
cp -a /run/small/. /run/large/
sync -f /run/large
umount /run/small /run/large`;

export class Nemesis {
  readonly #nodes: Nodes;
  readonly #chance: Chance;
  readonly #says: (event: FaultEvent | NetworkEvent) => void;
  readonly #booted: (name: string) => void;
  readonly #stop = new AbortController();
  /** Corosync takes far longer than the bundled engine to form a ring again: without rest nothing is ever written. */
  readonly #calm: number;
  #lanes: Promise<void>[] = [];
  #fail: (error: Error) => void = () => undefined;
  /** Rejects when a fault could not be carried out. */
  readonly failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));

  /** `booted`: a node was started again, and has no client. */
  constructor(
    nodes: Nodes,
    seed: number,
    says: (event: FaultEvent | NetworkEvent) => void,
    booted: (name: string) => void,
  ) {
    this.#nodes = nodes;
    this.#calm = nodes.engine === 'corosync' ? 5 : 1;
    this.#chance = seeded(seed);
    this.#says = says;
    this.#booted = booted;
  }

  async begin(): Promise<void> {
    await this.#network([this.#nodes.names], false, []);
    const lane = (work: Promise<void>): Promise<void> => work.catch((error: unknown) => this.#fail(asError(error)));
    const [one, other] = [seeded(this.#chance.below(2 ** 31)), seeded(this.#chance.below(2 ** 31))];
    this.#lanes = [lane(this.#nodeLane(one)), lane(this.#networkLane(other))];
  }

  /** No more faults, and none that lasts. */
  async end(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#lanes);
    await this.#network([this.#nodes.names], false, []);
    for (const name of this.#nodes.names) this.#nodes.setClock(name, 0);
    this.#say('heal', this.#nodes.names, 'everything');
  }

  async #nodeLane(chance: Chance): Promise<void> {
    const deck = new Deck(NODE_FAULTS, chance);
    while (await this.#rest((1_000 + chance.below(4_000)) * this.#calm)) {
      const kind = deck.draw();
      const fault = nodeFault(kind, this.#nodes.names, chance);
      this.#say(kind, fault.nodes, JSON.stringify({ ...fault, nodes: undefined }));
      await this.#onNodes(fault);
    }
  }

  async #onNodes(fault: NodeFault): Promise<void> {
    const { nodes, kind } = fault;
    switch (kind) {
      case 'kill':
        for (let time = 0; time < fault.times; time += 1) {
          for (const name of nodes) this.#nodes.signal(name, fault.part, 'SIGKILL');
          if (time + 1 < fault.times) await this.#rest(700);
        }
        return;
      case 'power':
        await Promise.all(nodes.map((name) => this.#nodes.kill(name)));
        await this.#rest(fault.forMs);
        await Promise.all(nodes.map((name) => this.#nodes.start(name)));
        nodes.forEach(this.#booted);
        return;
      case 'pause':
        for (const name of nodes) this.#nodes.signal(name, fault.part, 'SIGSTOP');
        await this.#rest(fault.forMs);
        for (const name of nodes) this.#nodes.signal(name, fault.part, 'SIGCONT');
        return;
      case 'clock':
        for (const name of nodes) this.#nodes.setClock(name, fault.seconds);
        return;
      case 'disk':
        for (const name of nodes) await this.#fullDisk(name, fault.forMs);
        return;
    }
  }

  /** The database goes to a disk of its own that is nearly full, then full; and back to the large one. */
  async #fullDisk(name: string, forMs: number): Promise<void> {
    await this.#whileStopped(name, SMALL_DISK.replace('SLACK', String(64 + this.#chance.below(2_000))));
    await this.#rest(forMs / 2);
    await this.#nodes.run(name, FILL_DISK);
    this.#say('disk-full', [name], 'not a byte is left');
    await this.#rest(forMs / 2);
    await this.#whileStopped(name, LARGE_DISK);
    this.#say('disk-free', [name], 'the large disk again');
  }

  /** pmxcfs is killed, and nobody starts it while the script runs. */
  async #whileStopped(name: string, script: string): Promise<void> {
    this.#nodes.signal(name, 'supervise', 'SIGSTOP');
    try {
      await this.#endAll(name);
      await this.#nodes.run(name, script);
    } finally {
      this.#nodes.signal(name, 'supervise', 'SIGCONT');
    }
  }

  /**
   * Until none is left: one may have been on its way when its parent was stopped. Its files are closed when the last
   * thread has ended, and nobody collects it.
   */
  async #endAll(name: string): Promise<void> {
    const all = new Set<number>();
    for (let [quiet, end] = [0, now() + GONE_MS]; quiet < 3; await pause(100)) {
      for (const pid of this.#nodes.pids(name, 'pmxcfs')) all.add(pid);
      this.#nodes.signal(name, 'pmxcfs', 'SIGKILL');
      const left = [...all].flatMap(threadsOf);
      quiet = left.length === 0 ? quiet + 1 : 0;
      if (now() > end) throw new Error(`killed, and still there on ${name}: ${left.join(', ')}`);
    }
  }

  async #networkLane(chance: Chance): Promise<void> {
    const deck = new Deck(NETWORK_FAULTS, chance);
    while (await this.#rest((2_000 + chance.below(5_000)) * this.#calm)) {
      const kind = deck.draw();
      const fault = networkFault(kind, this.#nodes.names, chance);
      const said = fault.kind === 'partition' ? fault.sides : { from: fault.from, to: fault.to };
      this.#say(kind, [], JSON.stringify(said));
      await this.#cut(fault);
      await this.#rest(fault.forMs);
      await this.#network([this.#nodes.names], false, []);
    }
  }

  #cut(fault: NetworkFault): Promise<void> {
    if (fault.kind === 'one-way') return this.#network([this.#nodes.names], true, pairs(fault.from, fault.to));
    const { sides } = fault;
    const dropped = sides.flatMap((side) =>
      sides.filter((other) => other !== side).flatMap((other) => pairs(side, other)),
    );
    return this.#network(sides, false, dropped);
  }
  async #network(
    sides: readonly (readonly string[])[],
    oneWay: boolean,
    dropped: readonly (readonly [string, string])[],
  ): Promise<void> {
    const time = now();
    await this.#nodes.drop(dropped);
    this.#says({ type: 'network', time, done: now(), sides, oneWay });
  }

  #say(fault: string, nodes: readonly string[], detail: string): void {
    this.#says({ type: 'fault', time: now(), fault, nodes, detail });
  }

  /** False when there shall be no more faults. */
  async #rest(ms: number): Promise<boolean> {
    const { signal } = this.#stop;
    if (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const clock = setTimeout(resolve, ms);
        signal.addEventListener('abort', () => (clearTimeout(clock), resolve()), { once: true });
      });
    }
    return !signal.aborted;
  }
}

const pairs = (from: readonly string[], to: readonly string[]): (readonly [string, string])[] =>
  from.flatMap((one) => to.map((other) => [one, other] as const));

/** Those that have not ended, each with where in the kernel it is. */
function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
      const place = `/proc/${pid}/task/${thread}`;
      const state = /^State:\s+(\S)/m.exec(readFileSync(`${place}/status`, 'utf8'))?.[1];
      return state === 'Z' || state === 'X' ? [] : [`${thread} ${state} ${readFileSync(`${place}/wchan`, 'utf8')}`];
    });
  } catch {
    return [];
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
