/**
 * Hosts for tests of a ring on a real network: one network namespace a node, joined by bridges in a namespace of their
 * own. Nothing of it touches this machine's network, so the addresses are the same in every run.
 *
 *   rmt-PID-N-switch            rmt-PID-N-n1
 *     bridge net0 | n1-0 ------ eth0  10.77.0.1  fd77::1
 *     bridge net1 | n1-1 ------ eth1  10.78.0.1  fd78::1
 *
 * With `relay` the cables end in a process instead (namespaces-relay.ts), which delays, mixes and doubles frames.
 */
import { fork, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from '../../electron/lab/run.ts';
import { PERFECT, type Impairment, type RelayOrder } from './namespaces-impairment.ts';

const NETNS = '/run/netns';
const PREFIX = 'rmt';
/** How many networks every node is on: two, for redundant rings. */
const NETWORKS = [0, 1] as const;
export type Network = (typeof NETWORKS)[number];

/** False, or why hosts cannot be made here: print it as the reason of a skip. */
export const whyNoNamespaces =
  process.platform !== 'linux' || process.getuid?.() !== 0
    ? 'network namespaces need root on Linux'
    : existsSync('/usr/sbin/nft') || existsSync('/sbin/nft')
      ? false
      : "Debian's package nftables is not installed";

export const address4 = (node: number, network: Network = 0): string => `10.${77 + network}.0.${node}`;
export const address6 = (node: number, network: Network = 0): string => `fd${77 + network}::${node.toString(16)}`;

export interface NetworkOptions {
  readonly nodes: number;
  /** `relay`: frames go through a process that can be told to spoil them. Default `bridge`. */
  readonly wires?: 'bridge' | 'relay';
  /** Hosts besides the nodes, numbered after them: a stranger on the same network. */
  readonly strangers?: number;
}

let made = 0;

export class TestNetwork {
  readonly hosts: readonly Host[];
  readonly #id: string;
  readonly #relay: ChildProcess | null;

  private constructor(id: string, hosts: readonly Host[], relay: ChildProcess | null) {
    this.#id = id;
    this.hosts = hosts;
    this.#relay = relay;
  }

  /** Makes the hosts; takes away first what killed runs have left. */
  static async make({ nodes, strangers = 0, wires = 'bridge' }: NetworkOptions): Promise<TestNetwork> {
    await sweep();
    made += 1;
    const id = `${PREFIX}-${process.pid}-${made}`;
    const hosts = Array.from({ length: nodes + strangers }, (_, index) => new Host(id, index + 1));
    try {
      // ip-netns(8) shares /run/netns on its first use; two at once may both try to.
      for (const space of [switchOf(id), ...hosts.map((host) => host.namespace)])
        await must('ip', ['netns', 'add', space]);
      const relay = wires === 'relay' ? await startRelay(id, hosts) : await bridge(id, hosts);
      for (const host of hosts) {
        await batch(host.namespace, [
          'link set lo up',
          ...NETWORKS.flatMap((network) => [
            `address add ${address4(host.number, network)}/24 dev eth${network}`,
            // Without duplicate address detection (ip-address(8)): the address is usable at once.
            `address add ${address6(host.number, network)}/64 dev eth${network} nodad`,
            `link set eth${network} up`,
          ]),
        ]);
      }
      return new TestNetwork(id, hosts, relay);
    } catch (error) {
      await removeNamespaces(id);
      throw error;
    }
  }

  /** Host by number, from 1. */
  host(number: number): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new RangeError(`there is no host ${number}`);
    return host;
  }

  /** Only with `wires: 'relay'`: how frames are treated from now on. */
  impair(impairment: Partial<Impairment>): Promise<void> {
    return this.order({ kind: 'impair', impairment: { ...PERFECT, ...impairment } });
  }

  /** Only with `wires: 'relay'`: resolves when the relay has done it. */
  async order(order: RelayOrder): Promise<void> {
    if (this.#relay === null) throw new Error('this network has no relay');
    const answer = once(this.#relay, 'message');
    this.#relay.send(order);
    await answer;
  }

  /** Hosts of different groups cannot reach each other on any network. */
  async partition(...groups: readonly (readonly number[])[]): Promise<void> {
    for (const group of groups) {
      const outside = groups.filter((other) => other !== group).flat();
      for (const number of group) await this.host(number).dropFrom(outside);
    }
  }

  /** No host drops anything any more. */
  async heal(): Promise<void> {
    for (const host of this.hosts) await host.dropNothing();
  }

  /** Ends what runs on the hosts, and takes them away. */
  async remove(): Promise<void> {
    for (const host of this.hosts) host.killAll();
    this.#relay?.kill('SIGKILL');
    await removeNamespaces(this.#id);
  }
}

export class Host {
  readonly number: number;
  readonly namespace: string;
  readonly #children = new Set<ChildProcess>();
  /** Further arguments of nsenter that lead into a world of the host's own; see `enclose`. */
  #inside: readonly string[] = [];

  constructor(network: string, number: number) {
    this.number = number;
    this.namespace = `${network}-n${number}`;
  }

  /** Starts a program on this host; its pid is the program's own (nsenter replaces itself). */
  spawn(
    program: string,
    args: readonly string[],
    options: { readonly env?: NodeJS.ProcessEnv; readonly stdio?: StdioOptions; readonly cwd?: string } = {},
  ): ChildProcess {
    const child = spawn('nsenter', [...this.#into(), '--', program, ...args], { stdio: 'ignore', ...options });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs a program on this host to its end; rejects when it fails. */
  run(program: string, args: readonly string[], input?: string): Promise<string> {
    return must('nsenter', [...this.#into(), '--', program, ...args], { input });
  }

  /**
   * Gives the host mounts, IPC and a host name of its own, for programs that know one place only for their files. The
   * script is run in there, and all that is spawned later is in there too.
   */
  async enclose(script: string): Promise<void> {
    const keeper = this.spawn(
      'unshare',
      [
        '--mount',
        '--ipc',
        '--uts',
        '--propagation',
        'slave',
        'sh',
        '-ec',
        `${script}\necho ready\nexec sleep infinity`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const ready = new Promise<boolean>((resolve) => {
      keeper.stdout?.once('data', () => resolve(true));
      keeper.once('exit', () => resolve(false));
    });
    if (!(await ready)) throw new Error(`host ${this.number} could not be enclosed`);
    this.#inside = ['--target', String(keeper.pid), '--mount', '--ipc', '--uts'];
  }

  /** Incoming packets from these hosts are dropped on every network, until `dropNothing`. One-way. */
  async dropFrom(numbers: readonly number[]): Promise<void> {
    const from = (list: readonly string[]): string => `{ ${list.join(', ')} }`;
    const all = numbers.flatMap((number) => NETWORKS.map((network) => [number, network] as const));
    await this.#filter([
      `ip saddr ${from(all.map(([number, network]) => address4(number, network)))} drop`,
      `ip6 saddr ${from(all.map(([number, network]) => address6(number, network)))} drop`,
    ]);
  }

  /** Every tenth incoming UDP packet is dropped with `tenths` 1, every other with 5. */
  async loseTenths(tenths: number): Promise<void> {
    await this.#filter([`meta l4proto udp numgen random mod 10 < ${tenths} drop`]);
  }

  /** Nothing goes in or out on this network. */
  async cutNetwork(network: Network): Promise<void> {
    await this.#filter([`iifname "eth${network}" drop`], [`oifname "eth${network}" drop`]);
  }

  async dropNothing(): Promise<void> {
    await this.#filter([]);
  }

  /** What this host was told before is forgotten. */
  async #filter(incoming: readonly string[], outgoing: readonly string[] = []): Promise<void> {
    const table = 'table inet test';
    const chain = (hook: string, rules: readonly string[]): string =>
      `chain ${hook} { type filter hook ${hook} priority 0; policy accept; ${rules.join('; ')}; }`;
    const chains =
      incoming.length + outgoing.length === 0
        ? ''
        : `${table} {\n${chain('input', incoming)}\n${outgoing.length === 0 ? '' : chain('output', outgoing)}\n}\n`;
    // Deleting what is not there is an error in nft, so it is made first.
    await must('nsenter', [`--net=${NETNS}/${this.namespace}`, '--', 'nft', '-f', '-'], {
      input: `${table}\ndelete ${table}\n${chains}`,
    });
  }

  killAll(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #into(): string[] {
    return [`--net=${NETNS}/${this.namespace}`, ...this.#inside];
  }
}

const switchOf = (id: string): string => `${id}-switch`;

async function bridge(id: string, hosts: readonly Host[]): Promise<null> {
  await batch(switchOf(id), [
    // No loops here: a port forwards at once, and multicast goes to all (no querier is there to ask).
    ...NETWORKS.flatMap((network) => [
      `link add name net${network} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set net${network} up`,
    ]),
    ...hosts.flatMap((host) =>
      NETWORKS.flatMap((network) => {
        const port = `n${host.number}-${network}`;
        return [
          `link add name ${port} type veth peer name eth${network} netns ${host.namespace}`,
          `link set ${port} master net${network} up`,
        ];
      }),
    ),
  ]);
  return null;
}

/** The relay makes the interfaces in the hosts by itself; it answers when all are there. */
async function startRelay(id: string, hosts: readonly Host[]): Promise<ChildProcess> {
  const relay = fork(join(import.meta.dirname, 'namespaces-relay.ts'), [], {
    execPath: 'nsenter',
    execArgv: [`--net=${NETNS}/${switchOf(id)}`, '--', process.execPath],
    env: { ...process.env, UV_THREADPOOL_SIZE: String(hosts.length * NETWORKS.length + 4) },
  });
  const cables = hosts.flatMap((host) =>
    NETWORKS.map((network) => ({ namespace: host.namespace, name: `eth${network}`, host: host.number, network })),
  );
  const answer = Promise.race([once(relay, 'message'), once(relay, 'exit')]);
  relay.send({ kind: 'cables', cables } satisfies RelayOrder);
  await answer;
  if (relay.exitCode !== null) throw new Error('the relay did not start');
  return relay;
}

async function batch(namespace: string, lines: readonly string[]): Promise<void> {
  await must('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function removeNamespaces(id: string): Promise<void> {
  for (const name of namespaces().filter((one) => one.startsWith(`${id}-`))) await removeNamespace(name);
}

async function removeNamespace(name: string): Promise<void> {
  // Its name says that it is a test's own, so what still runs in it is too.
  const { stdout } = await run('ip', ['netns', 'pids', name]);
  for (const pid of stdout.split('\n').filter(Boolean).map(Number)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  await run('ip', ['netns', 'delete', name]);
}

const namespaces = (): string[] =>
  existsSync(NETNS) ? readdirSync(NETNS).filter((name) => name.startsWith(`${PREFIX}-`)) : [];

/** Runs that were killed could not clean up: the process that a name tells of is gone. */
async function sweep(): Promise<void> {
  for (const name of namespaces()) {
    const owner = Number(name.split('-')[1]);
    if (!existsSync(`/proc/${owner}`)) await removeNamespace(name);
  }
}
