/** What is looked at before a join, on both sides. Nothing here changes anything. */
import { formatRingId } from '../totem/ids.ts';
import type { AddNodeRequest, Check } from '../rpc/api.ts';
import { wouldAdd } from './add-node.ts';
import { modelOf, readTreeConf } from './conf-write.ts';
import { isPackagesExample } from './install/failure.ts';
import type { NodePorts } from './ports.ts';
import { sentence } from './procedure.ts';
import { checkNodeName, isLoopback } from './rules.ts';
import { whyNotWritable } from './waiting.ts';

const TOTEM_PORT = 5405;

type Verdict = Pick<Check, 'state' | 'detail'>;
const pass = (detail: string): Verdict => ({ state: 'pass', detail });
const warn = (detail: string): Verdict => ({ state: 'warn', detail });
const fail = (detail: string): Verdict => ({ state: 'fail', detail });

/** Asked of the node that wants to join. */
export async function preflightJoin(
  ports: NodePorts,
  request: {
    readonly clusterName: string;
    readonly memberAddresses: readonly string[];
    /** Where its engine will listen; without it, the address that faces the members. */
    readonly ring0Addr?: string;
  },
): Promise<Check[]> {
  const sources = await Promise.all(request.memberAddresses.map((address) => ports.network.sourceFor(address)));
  return checks([
    ['alone', 'Belongs to no cluster yet', () => alone(ports, request.clusterName)],
    ['name', 'Has a usable host name', () => hostName(ports)],
    ['services', 'The services of the agent run', () => services(ports)],
    ['guests', 'Holds no guests', () => guests(ports)],
    ['tree', 'What its configuration tree holds', () => contents(ports)],
    ['route', 'Reaches the members’ network', () => route(request.memberAddresses, sources)],
    [
      'port',
      `UDP port ${TOTEM_PORT} is free`,
      async () => {
        const source = request.ring0Addr ?? sources.find((address) => address !== null) ?? '0.0.0.0';
        const taken = await ports.network.udpPortTaken(source, TOTEM_PORT);
        return taken === null ? pass(`on ${source}`) : fail(`${taken}: another cluster engine seems to run here`);
      },
    ],
  ]);
}

/** Asked of a member. */
export async function preflightAdd(ports: NodePorts, request: AddNodeRequest): Promise<Check[]> {
  return checks([
    ['writable', 'The cluster is quorate and writable', () => quorate(ports)],
    [
      'nodelist',
      'Name, address and node id are free',
      async () => {
        const text = await readTreeConf(ports);
        if (text === null) return fail('there is no corosync.conf in the configuration tree');
        const verdict = wouldAdd(modelOf(text), request);
        return verdict.ok ? pass(`${request.name} becomes node ${verdict.value}`) : fail(verdict.error);
      },
    ],
    ['version', 'Every configured node is in the ring', () => complete(ports)],
    [
      'route',
      `There is a route to ${request.ring0Addr}`,
      async () => {
        const numbers = await ports.network.resolve(request.ring0Addr);
        const [first] = numbers;
        if (first === undefined) return fail(`${request.ring0Addr} cannot be resolved on ${ports.hostname}`);
        if (isLoopback(first) && !ports.rootless) return fail(`${first} is a loopback address`);
        const source = await ports.network.sourceFor(first);
        return source === null ? fail(`${ports.hostname} has no route to ${first}`) : pass(`from ${source}`);
      },
    ],
    ['quorum', 'Quorum while the node joins', () => quorumMeanwhile(ports, request.votes)],
  ]);
}

/** A check that throws has failed; its message says why. */
async function checks(
  list: readonly (readonly [id: string, title: string, look: () => Promise<Verdict> | Verdict])[],
): Promise<Check[]> {
  const done: Check[] = [];
  for (const [id, title, look] of list) {
    let verdict: Verdict;
    try {
      verdict = await look();
    } catch (error) {
      verdict = fail(sentence(error));
    }
    done.push({ id, title, ...verdict });
  }
  return done;
}

function alone(ports: NodePorts, clusterName: string): Verdict {
  const present = ports.files.readConf();
  if (present === null) return pass(`there is no ${ports.paths.conf}`);
  if (isPackagesExample(modelOf(present))) return pass(`${ports.paths.conf} is the example of the package corosync`);
  const name = modelOf(present).totem.clusterName ?? 'without a name';
  return name === clusterName
    ? fail(`it is a member of ${name} already, or a join was broken off: ${ports.paths.conf} exists`)
    : fail(`it is in the cluster ${name}: ${ports.paths.conf} exists. A node can be in one cluster only.`);
}

async function hostName(ports: NodePorts): Promise<Verdict> {
  const valid = checkNodeName(ports.hostname);
  if (!valid.ok) return fail(`${valid.error}. Change the host name before the join; later it cannot be changed.`);
  const found = await ports.network.resolve(ports.hostname);
  if (found.length === 0) {
    return warn(`${ports.hostname} cannot be resolved; add it to /etc/hosts so that other software finds it`);
  }
  return !ports.rootless && found.every(isLoopback)
    ? warn(`${ports.hostname} stands for ${found.join(', ')}; put its network address into /etc/hosts`)
    : pass(`${ports.hostname}, ${found.join(', ')}`);
}

async function services(ports: NodePorts): Promise<Verdict> {
  const pmxcfs = (await ports.services.list()).find((service) => service.name === 'pmxcfs');
  if (pmxcfs?.state === 'running') return pass('pmxcfs runs');
  return warn(`pmxcfs does not run (${pmxcfs?.reason ?? 'for no known reason'}); the join starts it`);
}

/** Guests would clash with the cluster's by their VMIDs (pvecm, "Adding Nodes to the Cluster"). */
async function guests(ports: NodePorts): Promise<Verdict> {
  if ((await ports.tree.status()) === null) return warn('pmxcfs does not run, so this could not be looked at');
  const found: string[] = [];
  for (const node of await namesIn(ports, 'nodes')) {
    for (const type of ['qemu-server', 'lxc', 'openvz']) {
      for (const name of await namesIn(ports, `nodes/${node}/${type}`)) {
        if (/^[1-9][0-9]*\.conf$/.test(name)) found.push(name.slice(0, -5));
      }
    }
  }
  return found.length === 0
    ? pass('none')
    : fail(
        `it holds guest ${found.join(', ')}: their numbers could clash. Back them up and restore them after the join.`,
      );
}

async function contents(ports: NodePorts): Promise<Verdict> {
  const status = await ports.tree.status();
  if (status === null) return warn('pmxcfs does not run, so this could not be looked at');
  const own = (await ports.tree.list('')).filter((entry) => entry.kind !== 'link' && !entry.name.startsWith('.'));
  return own.length === 0
    ? pass('it is empty')
    : warn(
        `${own.map((entry) => entry.name).join(', ')} will be replaced by the cluster's; the present tree is set aside in ${ports.paths.tree}`,
      );
}

async function namesIn(ports: NodePorts, path: string): Promise<string[]> {
  try {
    return (await ports.tree.list(path)).map((entry) => entry.name);
  } catch {
    return [];
  }
}

function route(addresses: readonly string[], sources: readonly (string | null)[]): Verdict {
  const cutOff = addresses.filter((_, index) => sources[index] === null);
  if (cutOff.length > 0) return fail(`there is no route to ${cutOff.join(', ')}`);
  return pass(`${addresses.join(', ')}, from ${[...new Set(sources)].join(', ')}`);
}

async function quorate(ports: NodePorts): Promise<Verdict> {
  const reason = await whyNotWritable(ports);
  if (reason !== null) return fail(`nothing can be changed now: ${reason}`);
  const status = ports.engine.status();
  if (status === null) return fail('this node belongs to no cluster');
  const ring = status.ringId === null ? '' : `, ring ${formatRingId(status.ringId)}`;
  return pass(`${status.quorum.totalVotes} of ${status.quorum.expectedVotes} votes${ring}`);
}

function complete(ports: NodePorts): Verdict {
  const absent = (ports.engine.status()?.members ?? []).filter((member) => member.state === 'absent');
  if (absent.length === 0) return pass('all are there');
  const names = absent.map((member) => member.name ?? `node ${member.nodeId}`).join(', ');
  return warn(`${names} is not in the ring and gets the new version only when it comes back`);
}

/** From the write until the node joins, its votes are expected and missing. */
function quorumMeanwhile(ports: NodePorts, votes: number): Verdict {
  const quorum = ports.engine.status()?.quorum;
  if (quorum === undefined) return fail('this node belongs to no cluster');
  const needed = Math.floor((quorum.expectedVotes + votes) / 2) + 1;
  return quorum.totalVotes >= needed
    ? pass(`${quorum.totalVotes} votes are present and ${needed} will be needed`)
    : warn(
        `until the new node is in the ring the cluster has no quorum and is read-only: ` +
          `${needed} votes will be needed and ${quorum.totalVotes} are present`,
      );
}
