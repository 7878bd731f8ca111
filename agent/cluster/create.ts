/** `pvecm create`: this node becomes the first node of a new cluster. */
import { newConf } from '../conf/index.ts';
import { formatRingId } from '../totem/ids.ts';
import type { CreateRequest } from '../rpc/api.ts';
import { modelOf, readTreeConf, toBase64, TREE_CONF } from './conf-write.ts';
import { isPackagesExample } from './install/failure.ts';
import { installCorosync, installStep } from './install/install.ts';
import type { NodePorts } from './ports.ts';
import { Procedure, sentence } from './procedure.ts';
import type { PlannedStep, Say, Watcher } from './procedure.ts';
import { checkClusterName, checkNodeId, checkNodeName, checkVotes, isLoopback } from './rules.ts';
import { waitFor, whyNotWritable } from './waiting.ts';

/** Corosync needs 2.7 s from a cold start to its first membership (measured), the bundled engine less. */
const QUORUM_DEADLINE_MS = 30_000;
const LOCAL_TREE_DEADLINE_MS = 15_000;
const KEYGEN = { totem: 'pvecm keygen', corosync: 'corosync-keygen' } as const;

/** Creates the cluster. Rejects with a sentence for a person, after putting everything back as it was. */
export async function createCluster(ports: NodePorts, request: CreateRequest, watcher: Watcher): Promise<void> {
  const plan: PlannedStep[] = [
    { id: 'check', title: 'Check name, address and state of this node', command: null },
    ...(request.engine === 'corosync' ? [installStep(ports)] : []),
    { id: 'key', title: 'Make the cluster key', command: KEYGEN[request.engine] },
    {
      id: 'tree',
      title: 'Put corosync.conf into the configuration tree',
      command: `editor ${ports.paths.mount}/corosync.conf`,
    },
    {
      id: 'conf',
      title: `Write ${ports.paths.conf}`,
      command: `cp ${ports.paths.mount}/corosync.conf ${ports.paths.conf}`,
    },
    { id: 'engine', title: 'Start the cluster engine', command: ports.services.command('start', 'engine') },
    { id: 'pmxcfs', title: 'Restart pmxcfs in the cluster', command: ports.services.command('restart', 'pmxcfs') },
    { id: 'quorum', title: 'Wait for quorum and a writable tree', command: 'pvecm status' },
  ];
  const procedure = new Procedure(plan, watcher);
  const undo: Undo = { stopped: [], local: [] };
  try {
    const text = await procedure.step('check', (say) => check(ports, request, say));
    // What is installed stays, whatever becomes of the rest: other software may have come to need it meanwhile.
    if (request.engine === 'corosync') {
      await procedure.step('install', (say) => installCorosync(ports, say, watcher.signal));
    }
    await procedure.step('key', (say) => {
      if (ports.files.readAuthkey() !== null) return say(`keeping the key in ${ports.paths.authkey}`);
      ports.files.writeAuthkey(ports.newAuthkey());
      undo.stopped.push(() => ports.files.removeAuthkey());
      return say(`wrote ${ports.paths.authkey}, mode 0400`);
    });
    await procedure.step('tree', async (say) => {
      await waitFor(ports, watcher.signal, LOCAL_TREE_DEADLINE_MS, 'pmxcfs did not answer', localTree(ports));
      const before = await readTreeConf(ports);
      undo.local.push(() => (before === null ? ports.tree.remove(TREE_CONF) : writeTreeConf(ports, before)));
      await writeTreeConf(ports, text);
      say(`${TREE_CONF} is in the tree`);
    });
    await procedure.step('conf', (say) => {
      const choiceBefore = ports.engine.choice();
      undo.stopped.push(async () => {
        ports.files.removeConf();
        ports.engine.choose(choiceBefore);
        await ports.services.engineAtBoot();
      });
      ports.engine.choose(request.engine);
      ports.files.writeConf(text);
      for (const line of text.trimEnd().split('\n')) say(line);
    });
    await procedure.step('engine', async (say) => {
      undo.stopped.push(() => ports.services.stop('engine'));
      await ports.services.restart('engine');
      await ports.services.engineAtBoot();
      say('started');
    });
    await procedure.step('pmxcfs', async (say) => {
      undo.stopped.push(() => ports.services.stop('pmxcfs'));
      await ports.services.restart('pmxcfs');
      say('restarted');
    });
    await procedure.step('quorum', (say) => waitForQuorum(ports, watcher.signal, text, say));
    ports.log('notice', `the cluster ${request.clusterName} was created on ${ports.hostname}`);
  } catch (error) {
    procedure.end();
    if (undo.stopped.length + undo.local.length > 0) await putBack(ports, procedure, undo);
    ports.log('error', `creating the cluster ${request.clusterName} failed: ${sentence(error)}`);
    throw error;
  }
}

async function check(ports: NodePorts, request: CreateRequest, say: Say): Promise<string> {
  for (const rule of [
    checkClusterName(request.clusterName),
    checkVotes(request.votes),
    checkNodeName(ports.hostname),
  ]) {
    if (!rule.ok) throw new Error(rule.error);
  }
  const nodeId = request.nodeId ?? 1;
  const id = checkNodeId(nodeId);
  if (!id.ok) throw new Error(id.error);
  if (request.votes === 0) throw new Error('the first node needs at least one vote, or the cluster has no quorum');
  refuseMembers(ports);
  const address = request.ring0Addr ?? (await addressOfHostname(ports));
  await checkOwnAddress(ports, address);
  say(`node ${ports.hostname}, id ${nodeId}, address ${address}`);
  return newConf({
    clusterName: request.clusterName,
    transport: request.engine === 'corosync' ? 'knet' : 'udpu',
    secauth: 'on',
    nodes: [{ nodeId, name: ports.hostname, votes: request.votes, addresses: [{ link: 0, address }] }],
  });
}

/** Throws when this node is in a cluster already. */
export function refuseMembers(ports: Pick<NodePorts, 'files' | 'paths'>): void {
  const present = ports.files.readConf();
  if (present === null || isPackagesExample(modelOf(present))) return;
  const name = modelOf(present).totem.clusterName;
  throw new Error(
    `this node is already in the cluster ${name ?? 'of ' + ports.paths.conf}: ${ports.paths.conf} exists. ` +
      'A node can be in one cluster only.',
  );
}

/** The address a node's own name stands for. Rejects, with what to do, when it is none the others could reach. */
export async function addressOfHostname(ports: Pick<NodePorts, 'network' | 'hostname' | 'rootless'>): Promise<string> {
  const found = await ports.network.resolve(ports.hostname);
  const usable = found.filter((address) => ports.rootless || !isLoopback(address));
  const own = usable.find((address) => ports.network.isLocal(address)) ?? usable[0];
  if (own !== undefined) return own;
  throw new Error(
    found.length === 0
      ? `the host name ${ports.hostname} cannot be resolved. Add it to /etc/hosts with this node's address, or give --ring0_addr.`
      : `the host name ${ports.hostname} stands for ${found.join(', ')}, which other nodes cannot reach. ` +
          `Put this node's network address in its line of /etc/hosts, or give --ring0_addr.`,
  );
}

async function checkOwnAddress(
  ports: Pick<NodePorts, 'network' | 'hostname' | 'rootless'>,
  address: string,
): Promise<void> {
  const numbers = await ports.network.resolve(address);
  if (numbers.length === 0) throw new Error(`the address ${address} cannot be resolved on this node`);
  if (!ports.rootless && numbers.every(isLoopback)) {
    throw new Error(`${address} is a loopback address, which other nodes cannot reach: give --ring0_addr`);
  }
  if (!numbers.some((number) => ports.network.isLocal(number))) {
    throw new Error(`${address} is not an address of this node`);
  }
}

const localTree = (ports: NodePorts) => async (): Promise<{ found: null } | { missing: string }> => {
  const status = await ports.tree.status();
  if (status === null) return { missing: 'pmxcfs does not run' };
  if (status.writability.kind === 'writable') return { found: null };
  return { missing: status.writability.reason };
};

async function waitForQuorum(ports: NodePorts, signal: AbortSignal, text: string, say: Say): Promise<void> {
  await waitFor(ports, signal, QUORUM_DEADLINE_MS, 'the new cluster did not become quorate and writable', async () => {
    const reason = await whyNotWritable(ports);
    return reason === null ? { found: null } : { missing: reason };
  });
  // pmxcfs may have come up before the file was there.
  if ((await readTreeConf(ports)) !== text) await writeTreeConf(ports, text);
  const status = ports.engine.status();
  if (status !== null && status.ringId !== null) say(`ring ${formatRingId(status.ringId)} formed`);
  say('the cluster is quorate and its tree is writable');
}

/** The way back: first what is undone while the services stand still, then what needs the local tree. */
interface Undo {
  readonly stopped: (() => Promise<void> | void)[];
  readonly local: (() => Promise<void>)[];
}

const writeTreeConf = (ports: NodePorts, text: string): Promise<void> => ports.tree.write(TREE_CONF, toBase64(text));

async function putBack(ports: NodePorts, procedure: Procedure, undo: Undo): Promise<void> {
  await procedure
    .undo({ id: 'undo', title: 'Put everything back as it was', command: null }, async (say) => {
      // In reverse, so that pmxcfs stops before the engine and both before their files go.
      for (const back of undo.stopped.toReversed()) await back();
      await ports.services.start('pmxcfs');
      if (undo.local.length > 0) {
        const never = new AbortController().signal;
        await waitFor(ports, never, LOCAL_TREE_DEADLINE_MS, 'pmxcfs did not answer', localTree(ports));
        for (const back of undo.local) await back();
      }
      say('this node is in no cluster, as before');
    })
    .catch((error: unknown) => ports.log('error', `going back failed: ${sentence(error)}`));
}
