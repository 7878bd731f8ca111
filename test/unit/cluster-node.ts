/** A node in memory, for the procedures' tests: files, services, engine and tree with a clock of their own. */
import { createHash } from 'node:crypto';
import type { NodePorts } from '../../agent/cluster/ports.ts';
import type { Watcher } from '../../agent/cluster/procedure.ts';
import { modelOf } from '../../agent/cluster/conf-write.ts';
import type { EngineKind, EngineStatus, MemberStatus } from '../../agent/engine/engine.ts';
import type { FileSystemStatus } from '../../agent/mount/control.ts';
import type { Step } from '../../agent/rpc/api.ts';
import { nodeId } from '../../agent/totem/ids.ts';

export interface MemoryNode {
  readonly ports: NodePorts;
  conf: string | null;
  authkey: string | null;
  /** The database: its contents by path. */
  tree: Map<string, string> | null;
  readonly setAside: Map<string, Map<string, string> | null>;
  choice: EngineKind;
  readonly running: { engine: boolean; pmxcfs: boolean };
  /** Version the engine runs; it takes a new one from the tree only while this is true. */
  takesReloads: boolean;
  runningVersion: number;
  /** Node ids of the others in the ring. */
  others: number[];
  expected: number | null;
  /** Calls that fail, by name: `start engine`, `write corosync.conf.new`. */
  readonly failing: Set<string>;
  readonly calls: string[];
  readonly events: string[];
  /** Version of the installed Corosync. */
  corosync: string | null;
  /** What the package puts in the place of corosync.conf. */
  example: string | null;
  /** How the next runs of the package tool end; 0 without a word when there are none. */
  readonly printed: { code: number; output: string }[];
  addresses: Record<string, string[]>;
  owns: string[];
}

export function memoryNode(hostname: string): MemoryNode {
  let now = 1_000_000;
  /** pmxcfs takes its mode from corosync.conf when it starts. */
  let clustered = false;
  const call = (name: string): void => {
    node.calls.push(name);
    if (node.failing.has(name)) throw new Error(`${name} failed`);
  };
  const inTree = (): Map<string, string> => {
    if (!node.running.pmxcfs || node.tree === null) throw new Error('pmxcfs does not run on this node');
    return node.tree;
  };
  const writable = (): void => {
    if (clustered && status()?.quorum.quorate !== true) throw new Error('EACCES: no quorum');
  };

  function status(): EngineStatus | null {
    if (node.conf === null) return null;
    const conf = modelOf(node.conf);
    const inRing = (id: number | null, name: string | null): boolean =>
      node.running.engine && (name === hostname || node.others.includes(id ?? 0));
    const members = conf.nodelist.map((entry): MemberStatus => ({
      nodeId: nodeId(entry.nodeId ?? 1),
      name: entry.name,
      votes: entry.votes,
      addresses: entry.addresses,
      state: inRing(entry.nodeId, entry.name) ? 'member' : 'absent',
      local: entry.name === hostname,
    }));
    const sum = (list: readonly MemberStatus[]): number => list.reduce((total, { votes }) => total + votes, 0);
    const expectedVotes = node.expected ?? sum(members);
    const totalVotes = sum(members.filter((member) => member.state === 'member'));
    const quorum = Math.floor(expectedVotes / 2) + 1;
    return {
      engine: node.choice,
      state: node.running.engine ? { kind: 'operational' } : { kind: 'down', reason: 'not started' },
      clusterName: conf.totem.clusterName ?? '',
      configVersion: node.runningVersion,
      transport: conf.totem.transport ?? '',
      localNode: members.find((member) => member.local)?.nodeId ?? nodeId(1),
      ringId: node.running.engine ? { representative: nodeId(1), sequence: 4 } : null,
      members,
      links: [],
      quorum: {
        quorate: node.running.engine && totalVotes >= quorum,
        expectedVotes,
        highestExpected: expectedVotes,
        totalVotes,
        quorum,
        flags: [],
      },
    };
  }

  function treeStatus(): FileSystemStatus | null {
    if (!node.running.pmxcfs) return null;
    const good = !clustered || status()?.quorum.quorate === true;
    return {
      mode: clustered ? 'cluster' : 'local',
      pid: 1,
      mount: { kind: 'none', reason: 'a test' },
      writability: good ? { kind: 'writable' } : { kind: 'read-only', reason: 'no quorum' },
      synced: good,
      version: { epoch: 1, index: 1 },
      entries: node.tree?.size ?? 0,
      bytes: 0,
      limits: { entries: 1, bytes: 1 },
    };
  }

  /** What pmxcfs does with a new corosync.conf in the tree. */
  const push = (): void => {
    const text = node.tree?.get('corosync.conf');
    if (node.conf === null || text === undefined || !node.takesReloads) return;
    node.conf = text;
    node.runningVersion = modelOf(text).totem.configVersion ?? 0;
    node.expected = null;
  };

  const begin = (name: 'engine' | 'pmxcfs'): void => {
    node.running[name] = name === 'pmxcfs' || node.conf !== null;
    if (name === 'engine') node.runningVersion = node.conf === null ? 0 : (modelOf(node.conf).totem.configVersion ?? 0);
    else clustered = node.conf !== null;
    if (name === 'pmxcfs') node.tree ??= new Map();
  };

  const node: MemoryNode = {
    conf: null,
    authkey: null,
    tree: new Map(),
    setAside: new Map(),
    choice: 'totem',
    running: { engine: false, pmxcfs: true },
    takesReloads: true,
    runningVersion: 0,
    others: [],
    expected: null,
    failing: new Set(),
    calls: [],
    events: [],
    corosync: '3.1.7',
    example: null,
    printed: [],
    addresses: { [hostname]: ['10.0.0.1'] },
    owns: ['10.0.0.1'],
    ports: {
      hostname,
      rootless: false,
      paths: {
        conf: '/etc/corosync/corosync.conf',
        authkey: '/etc/corosync/authkey',
        tree: '/var/lib/pve-cluster',
        mount: '/etc/pve',
      },
      clock: {
        now: () => now,
        sleep: async (ms) => {
          now += ms;
        },
      },
      files: {
        readConf: () => node.conf,
        writeConf: (text) => {
          call('write conf');
          node.conf = text;
        },
        backUpConf: () => call('back up conf'),
        removeConf: () => {
          call('remove conf');
          node.conf = null;
        },
        readAuthkey: () => node.authkey,
        writeAuthkey: (base64) => (node.authkey = base64),
        removeAuthkey: () => (node.authkey = null),
        setTreeAside: () => {
          call('set tree aside');
          const copy = `config.db.before-join-${now}`;
          node.setAside.set(copy, node.tree);
          node.tree = null;
          return copy;
        },
        restoreTree: (copy) => {
          call('restore tree');
          node.tree = node.setAside.get(copy) ?? null;
          node.setAside.delete(copy);
        },
        removeTree: () => (node.tree = null),
      },
      services: {
        supervision: 'self',
        list: async () => [],
        start: async (name) => {
          call(`start ${name}`);
          begin(name);
        },
        stop: async (name) => {
          call(`stop ${name}`);
          node.running[name] = false;
        },
        restart: async (name) => {
          call(`restart ${name}`);
          begin(name);
        },
        engineAtBoot: async () => call(`${node.choice} at boot`),
        command: (verb, name) => `systemctl ${verb} ${name}`,
      },
      packages: {
        installedCorosync: async () => node.corosync,
        osRelease: () => 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        hasProgram: (name) => name === 'apt-get',
        run: async ({ program, args }, say) => {
          call(`${program} ${args.includes('--download-only') ? 'download' : (args[0] ?? '')}`);
          const printed = node.printed.shift() ?? { code: 0, output: '' };
          for (const line of printed.output.split('\n')) say(line);
          if (printed.code === 0 && args[0] === 'install' && !args.includes('--download-only')) {
            node.corosync = '3.1.7';
            node.conf ??= node.example;
          }
          return printed;
        },
        holdService: async () => {
          call('hold corosync');
          return async (stop) => call(stop ? 'let corosync go' : 'let corosync go on');
        },
      },
      engine: {
        status,
        setExpectedVotes: async (votes) => {
          call(`expected ${votes}`);
          node.expected = votes;
        },
        choice: () => node.choice,
        choose: (kind) => (node.choice = kind),
      },
      tree: {
        status: async () => treeStatus(),
        list: async () => [],
        stat: async () => {
          throw new Error('ENOENT');
        },
        read: async (path) => {
          const text = inTree().get(path);
          if (text === undefined) throw new Error(`ENOENT: ${path}`);
          return Buffer.from(text).toString('base64');
        },
        write: async (path, base64) => {
          call(`write ${path}`);
          writable();
          inTree().set(path, Buffer.from(base64, 'base64').toString());
          if (path === 'corosync.conf') push();
        },
        rename: async (from, to) => {
          call(`rename ${from} ${to}`);
          writable();
          const text = inTree().get(from);
          if (text === undefined) throw new Error(`ENOENT: ${from}`);
          inTree().delete(from);
          inTree().set(to, text);
          if (to === 'corosync.conf') push();
        },
        remove: async (path) => {
          call(`remove ${path}`);
          inTree().delete(path);
        },
        makeDirectory: async () => undefined,
      },
      network: {
        resolve: async (name) => (/^[\d.]+$/.test(name) ? [name] : (node.addresses[name] ?? [])),
        sourceFor: async () => '10.0.0.1',
        isLocal: (address) => node.owns.includes(address),
        udpPortTaken: async () => null,
      },
      pid: 1,
      onTrial: () => null,
      newAuthkey: () => 'a2V5',
      digest: (text) => createHash('sha256').update(text).digest('hex'),
      log: (severity, message) => node.events.push(`${severity}: ${message}`),
    },
  };
  return node;
}

/** Keeps the last state of every step, in order of appearance. */
export function stepWatcher(signal: AbortSignal = new AbortController().signal): Watcher & { states(): string[] } {
  const steps = new Map<string, Step>();
  return {
    signal,
    onStep: (step) => steps.set(step.id, step),
    states: () => [...steps.values()].map((step) => `${step.id} ${step.state}`),
  };
}
