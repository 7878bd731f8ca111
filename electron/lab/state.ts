/**
 * What a lab is, on disk: one directory that holds everything of it. The names of its network
 * namespaces follow from the directory, so that they are found even when lab.json is lost.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';

const nodeState = z.object({
  name: z.string().regex(/^(pve|spare)[0-9]{1,3}$/),
  /** Made to be dragged in: `up` leaves it out of the cluster. */
  free: z.boolean(),
  address: z.ipv4(),
  /** Nodes of different groups cannot reach each other; 0 is where every node begins. */
  group: z.int().min(0),
});

const labState = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{6}$/),
  kind: z.enum(['namespaces', 'processes']),
  engine: z.enum(['totem', 'corosync']),
  /** The first three numbers of every node's address: `10.77.3`. */
  network: z.string().regex(/^[0-9]+\.[0-9]+\.[0-9]+$/),
  /** Port of the SSH servers. */
  port: z.int().min(1).max(65535),
  /** Program and script of a rootless node's process, so that another program can start it anew. */
  daemon: z.array(z.string()),
  nodes: z.array(nodeState),
});

export type LabState = Readonly<z.infer<typeof labState>>;
export type NodeState = Readonly<z.infer<typeof nodeState>>;

/** One file by which a directory is known as a lab's, written before anything else. */
const MARK = 'this-is-a-ringmaster-lab';
/** Everything a lab puts into its directory. */
export const CONTENTS = ['nodes', 'runtimes', 'ssh', 'init.sh', 'lab.json', MARK] as const;

/**
 * The path of a node's Unix sockets must fit into 107 bytes (unix(7)); a rootless node has them below
 * the lab's directory, in nodes/spare1/run/ringmaster/supervisor.sock.
 */
const LONGEST_DIRECTORY = 58;

export interface LabPaths {
  readonly directory: string;
  /** Six hexadecimal digits that follow from the directory. */
  readonly id: string;
  readonly state: string;
  readonly mark: string;
  readonly initScript: string;
  readonly clientKey: string;
  readonly knownHosts: string;
  readonly nodes: string;
  /** The agent's runtimes, to which the nodes have links. */
  readonly runtimes: string;
  /** The node's private files; on a rootless node its RINGMASTER_ROOT. */
  node(name: string): string;
}

/** Where the lab is unless `--dir` says otherwise. */
export function defaultDirectory(): string {
  if (process.getuid?.() === 0) return '/var/lib/ringmaster-lab';
  const data = process.env['XDG_DATA_HOME'];
  return join(data === undefined || data === '' ? join(homedir(), '.local', 'share') : data, 'ringmaster', 'lab');
}

/** The same directory by another name (a link, a relative path) is the same lab. */
export function labPaths(directory: string): LabPaths {
  let whole = resolve(directory);
  try {
    whole = realpathSync(whole);
  } catch {
    // It does not exist yet.
  }
  const nodes = join(whole, 'nodes');
  return {
    directory: whole,
    id: createHash('sha256').update(whole).digest('hex').slice(0, 6),
    state: join(whole, 'lab.json'),
    mark: join(whole, MARK),
    initScript: join(whole, 'init.sh'),
    clientKey: join(whole, 'ssh', 'id_ed25519'),
    knownHosts: join(whole, 'ssh', 'known_hosts'),
    nodes,
    runtimes: join(whole, 'runtimes'),
    node: (name) => join(nodes, name),
  };
}

/**
 * Makes the directory and marks it as a lab's. Rejects when something else is in it: `down` removes
 * what is there. Resolves to the paths, for a directory that exists may have another true name.
 */
export async function claimDirectory(directory: string): Promise<LabPaths> {
  await mkdir(resolve(directory), { recursive: true, mode: 0o700 });
  const paths = labPaths(directory);
  if (existsSync(paths.mark)) return paths;
  if (readdirSync(paths.directory).length > 0) {
    throw new Error(`${paths.directory} is not empty and holds no lab. Give an empty directory with --dir.`);
  }
  if (paths.directory.length > LONGEST_DIRECTORY) {
    throw new Error(
      `The path ${paths.directory} is too long: a lab's directory may have ${LONGEST_DIRECTORY} characters, ` +
        `because the sockets below it have to fit into 107.`,
    );
  }
  await writeFile(paths.mark, 'Made by "npm run lab -- up"; "npm run lab -- down" removes it.\n');
  return paths;
}

/** Null when no lab is there, or when its file cannot be read. */
export function readState(paths: LabPaths): LabState | null {
  try {
    return labState.parse(JSON.parse(readFileSync(paths.state, 'utf8')));
  } catch {
    return null;
  }
}

export async function writeState(paths: LabPaths, state: LabState): Promise<void> {
  const partial = `${paths.state}.${process.pid}`;
  await writeFile(partial, `${JSON.stringify(labState.parse(state), null, 2)}\n`, { mode: 0o600 });
  await rename(partial, paths.state);
}

/** The state of a lab that must be there. */
export function needState(paths: LabPaths): LabState {
  const state = readState(paths);
  if (state === null) throw new Error(`No lab is up in ${paths.directory}. "npm run lab -- up" brings one up.`);
  return state;
}

/** The node of that name; throws with the names there are. */
export function needNode(state: LabState, name: string): NodeState {
  const found = state.nodes.find((node) => node.name === name);
  if (found !== undefined) return found;
  throw new Error(`There is no node ${name} in this lab: ${state.nodes.map((node) => node.name).join(', ')}.`);
}

/**
 * The nodes the lab should have: those it has, and what is missing of `nodes` members and `free` hosts.
 * Members are .1, .2, ...; free hosts .101, .102, ...; .254 is this machine.
 */
export function plannedNodes(
  had: readonly NodeState[],
  network: string,
  counts: { readonly nodes: number; readonly free: number },
): NodeState[] {
  const wanted: NodeState[] = [];
  const add = (name: string, last: number, free: boolean): void => {
    wanted.push(had.find((node) => node.name === name) ?? { name, free, address: `${network}.${last}`, group: 0 });
  };
  for (let number = 1; number <= counts.nodes; number++) add(`pve${number}`, number, false);
  for (let number = 1; number <= counts.free; number++) add(`spare${number}`, 100 + number, true);
  return [...wanted, ...had.filter((node) => !wanted.includes(node))].toSorted(
    (a, b) => Number(a.address.split('.')[3]) - Number(b.address.split('.')[3]),
  );
}
