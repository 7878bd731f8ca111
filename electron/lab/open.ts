/** Opens, brings up and takes down a lab: what the app, the command and the tests share. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Lab, LabOptions, LabStatus } from './lab.ts';
import { form } from './forming.ts';
import { withLock } from './lock.ts';
import type { Machinery } from './machinery.ts';
import { membersOf } from './membership.ts';
import { endNode } from './namespace/boot.ts';
import { namespaceLab } from './namespace/namespace-lab.ts';
import { freeSubnet, labNamespaces, processesIn, removeNetwork } from './namespace/network.ts';
import { cutOff, healed } from './namespace/partition.ts';
import { COROSYNC_PROGRAM, missingForNamespaces, whyNoNamespaces } from './namespace/requirements.ts';
import { until } from './pause.ts';
import { killAllOf } from './process/belongings.ts';
import { freeLoopback } from './process/loopback.ts';
import { processLab } from './process/process-lab.ts';
import { linkRuntime, unpackRuntime } from './runtime.ts';
import {
  claimDirectory,
  CONTENTS,
  labPaths,
  needNode,
  needState,
  plannedNodes,
  readState,
  writeState,
} from './state.ts';
import type { LabPaths, LabState } from './state.ts';

export type Progress = (line: string) => void;

export interface BringUpOptions extends LabOptions {
  /** dist/agent, as build/agent-bundle.ts writes it. Awaited only when the nodes are up. */
  readonly bundleDirectory: Promise<string> | string;
  /** Processes on loopback, also where namespaces could be had. */
  readonly rootless: boolean;
  /** Leaves the nodes as bare machines: no agent, no cluster. For tests of the lab itself. */
  readonly bare?: boolean | undefined;
}

const machineryOf = (state: LabState): Machinery => (state.kind === 'namespaces' ? namespaceLab : processLab);

/** The lab in that directory, or null when none is up there. */
export async function openLab(directory: string): Promise<Lab | null> {
  const paths = labPaths(directory);
  return readState(paths) === null ? null : openedLab(paths);
}

/** Every call reads the state anew: the command line and the app change the same lab. */
function openedLab(paths: LabPaths): Lab {
  const locked = <T>(purpose: string, work: (state: LabState) => Promise<T>): Promise<T> =>
    withLock(
      paths.id,
      purpose,
      () => undefined,
      () => work(needState(paths)),
    );
  const regroup = async (state: LabState, nodes: LabState['nodes']): Promise<void> => {
    const next = { ...state, nodes };
    await machineryOf(state).partition(next);
    await writeState(paths, next);
  };
  return {
    status: async () => statusOf(paths, needState(paths)),
    kill: (name) => locked(`kill ${name}`, (state) => machineryOf(state).end(paths, needNode(state, name))),
    start: (name) => locked(`start ${name}`, (state) => machineryOf(state).boot(paths, state, needNode(state, name))),
    cut: (names) =>
      locked('cut', async (state) => {
        const { whyNoCut } = machineryOf(state);
        if (whyNoCut !== null) throw new Error(whyNoCut);
        if (names.length === 0) throw new Error('Name the nodes to cut off.');
        for (const name of names) needNode(state, name);
        await regroup(state, cutOff(state.nodes, names));
      }),
    heal: () => locked('heal', (state) => regroup(state, healed(state.nodes))),
  };
}

/** A program to start so that it runs in a node. Throws when there is no such node or it is stopped. */
export function enterNode(directory: string, name: string, command: readonly string[]): ReturnType<Machinery['enter']> {
  const paths = labPaths(directory);
  const state = needState(paths);
  return machineryOf(state).enter(paths, state, needNode(state, name), command);
}

function statusOf(paths: LabPaths, state: LabState): LabStatus {
  const machinery = machineryOf(state);
  const texts = new Map(
    state.nodes.map(({ name }) => [name, readOrNull(join(paths.node(name), 'etc/corosync/corosync.conf'))]),
  );
  const members = membersOf(texts);
  return {
    directory: paths.directory,
    kind: state.kind,
    engine: state.engine,
    user: state.kind === 'namespaces' ? 'root' : userInfo().username,
    identityFile: paths.clientKey,
    knownHostsFile: paths.knownHosts,
    nodes: state.nodes.map((node) => ({
      name: node.name,
      address: node.address,
      port: state.port,
      state: machinery.isRunning(paths, node) ? 'running' : 'stopped',
      member: members.has(node.name),
      cut: node.group !== 0,
    })),
  };
}

/**
 * Brings the lab up, or completes one that is there: makes what is missing, boots what is stopped, forms
 * the cluster, and waits until it is quorate everywhere. Rejects with what is missing.
 */
export async function bringUp(options: BringUpOptions, onProgress: Progress): Promise<Lab> {
  if (process.platform !== 'linux') throw new Error('The lab runs on Linux: its nodes are Linux machines.');
  // Where the bundle fails while the nodes are made, that is said when it is needed.
  const bundle = Promise.resolve(options.bundleDirectory);
  bundle.catch(() => undefined);
  const kind = await chooseKind(options, onProgress);
  const paths = await claimDirectory(options.directory);
  const waits = (holder: string): void => onProgress(`waiting for ${holder}, which is at work on this lab`);
  return withLock(paths.id, 'up', waits, async () => {
    const state = await ensureState(paths, options, kind);
    onProgress(
      `${state.nodes.length} nodes in ${state.network}.0/24, ${state.kind === 'namespaces' ? 'as network namespaces' : 'as processes'}`,
    );
    const unpacking = options.bare === true ? null : bundle.then((directory) => unpackRuntime(paths, directory));
    const booting = bootAll(paths, state, onProgress);
    // Nothing may still be at work in the directory when this fails.
    await Promise.allSettled([unpacking, booting]);
    await booting;
    const runtime = await unpacking;
    if (runtime !== null) for (const { name } of state.nodes) await linkRuntime(runtime, paths.node(name));
    if (options.bare !== true) {
      await form({
        status: () => statusOf(paths, state),
        freeHosts: state.nodes.filter((node) => node.free).map((node) => node.name),
        logsOf: (name) => join(paths.node(name), 'var/log/ringmaster'),
        bundleDirectory: await bundle,
        onProgress,
      });
    }
    return openedLab(paths);
  });
}

async function bootAll(paths: LabPaths, state: LabState, onProgress: Progress): Promise<void> {
  const machinery = machineryOf(state);
  await machinery.prepare(paths, state);
  await Promise.all(
    state.nodes.map(async (node) => {
      if (machinery.isRunning(paths, node)) return;
      await machinery.boot(paths, state, node);
      onProgress(`${node.name} has booted, SSH at ${node.address} port ${state.port}`);
    }),
  );
}

async function chooseKind(options: BringUpOptions, onProgress: Progress): Promise<LabState['kind']> {
  const had = readState(labPaths(options.directory));
  const wanted = options.rootless || process.getuid?.() !== 0 ? 'processes' : 'namespaces';
  if (options.engine === 'corosync') {
    if (wanted === 'processes') {
      throw new Error('A lab on Corosync needs namespaces: run it as root, without --rootless.');
    }
    if (!existsSync(COROSYNC_PROGRAM)) {
      throw new Error(
        'A lab on Corosync needs the Debian package corosync: apt-get install --no-install-recommends corosync',
      );
    }
  }
  let kind: LabState['kind'] = wanted;
  if (wanted === 'namespaces') {
    const missing = await missingForNamespaces();
    if (missing.length > 0) throw new Error(missing.join('\n'));
    const why = await whyNoNamespaces();
    if (why !== null) {
      onProgress(`This root may not make namespaces (${why}): the nodes are processes on loopback instead.`);
      kind = 'processes';
    }
  }
  if (had !== null && (had.kind !== kind || had.engine !== options.engine)) {
    throw new Error(
      `A lab of ${had.kind} on the engine ${had.engine} is in ${options.directory}. Take it down first, or give another --dir.`,
    );
  }
  return kind;
}

async function ensureState(paths: LabPaths, options: BringUpOptions, kind: LabState['kind']): Promise<LabState> {
  const had = readState(paths);
  const write = async (network: string, port: number): Promise<LabState> => {
    const state: LabState = {
      version: 1,
      id: paths.id,
      kind,
      engine: options.engine,
      network,
      port,
      daemon: [process.execPath, join(import.meta.dirname, 'process', 'node-daemon.ts')],
      nodes: plannedNodes(had?.nodes ?? [], network, options),
    };
    await writeState(paths, state);
    return state;
  };
  if (had !== null) return write(had.network, had.port);
  if (kind === 'processes') {
    const { network, port } = await freeLoopback(paths.id);
    return write(network, port);
  }
  // Between looking for a free network and taking it, no other lab may look.
  return withLock(
    'network',
    'up',
    () => undefined,
    async () => {
      const state = await write(await freeSubnet(paths.id), 22);
      await namespaceLab.prepare(paths, { ...state, nodes: [] });
      return state;
    },
  );
}

/**
 * Takes everything of the lab away: processes, namespaces, files. What is left of one that was broken
 * off is found by names that follow from the directory. False when there was nothing.
 */
export async function takeDown(directory: string, onProgress: Progress = () => undefined): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const paths = labPaths(directory);
  const waits = (holder: string): void => onProgress(`waiting for ${holder}, which is at work on this lab`);
  return withLock(paths.id, 'down', waits, async () => {
    const marked = existsSync(paths.mark);
    const asRoot = process.getuid?.() === 0;
    const namespaces = asRoot ? await labNamespaces(paths.id).catch(() => []) : [];
    if (!marked && namespaces.length === 0) return false;
    if (!asRoot && readState(paths)?.kind === 'namespaces') {
      throw new Error(`The lab in ${paths.directory} was brought up by root; only root can take it down.`);
    }
    for (const name of nodeDirectories(paths)) {
      await endNode(paths, name);
    }
    if (!(await killAllOf(`${paths.nodes}/`))) throw new Error('Processes of the lab do not end.');
    for (const namespace of namespaces) await emptyNamespace(namespace);
    if (asRoot) await removeNetwork(paths.id);
    refuseMounts(paths);
    if (marked) await removeFiles(paths);
    return true;
  });
}

function nodeDirectories(paths: LabPaths): string[] {
  try {
    return readdirSync(paths.nodes);
  } catch {
    return [];
  }
}

/** Also what was being started when the command that started it ended, and what a user runs in there. */
async function emptyNamespace(namespace: string): Promise<void> {
  const empty = await until(
    async () => {
      const found = await processesIn(namespace);
      for (const pid of found) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It was faster.
        }
      }
      return found.length === 0;
    },
    10_000,
    50,
  );
  if (!empty) throw new Error(`Processes in ${namespace} do not end: ${(await processesIn(namespace)).join(', ')}.`);
}

/** Removing files below a mount would remove what is mounted. Nothing of ours is mounted there; look all the same. */
function refuseMounts(paths: LabPaths): void {
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((at) => at.startsWith(`${paths.directory}/`));
  if (mounted.length > 0) throw new Error(`Something is mounted at ${mounted.join(', ')}: unmount it, then try again.`);
}

async function removeFiles(paths: LabPaths): Promise<void> {
  // The mark goes last: until then a "down" that was broken off can be repeated.
  // A maker that was killed may have left a "cp" that still writes: it ends on its own, so try again for a while.
  const patience = { maxRetries: 10, retryDelay: 100 };
  for (const name of CONTENTS) await rm(join(paths.directory, name), { recursive: true, force: true, ...patience });
  await rmdir(paths.directory).catch(() => undefined);
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
