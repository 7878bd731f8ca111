/** The new node's half of a join: it takes the cluster's configuration and, once quorate, the cluster's tree. */
import { formatRingId } from '../totem/ids.ts';
import type { JoinTicket } from '../rpc/api.ts';
import { isEncrypted, modelOf } from './conf-write.ts';
import { refuseMembers } from './create.ts';
import { installCorosync, installStep } from './install/install.ts';
import type { NodePorts } from './ports.ts';
import { Procedure, sentence } from './procedure.ts';
import type { PlannedStep, Watcher } from './procedure.ts';
import { waitFor } from './waiting.ts';

/** A restart to all online takes real Corosync 3.8 s (measured), to which the transfer of the tree adds. */
const JOIN_DEADLINE_MS = 60_000;

/**
 * Joins the cluster of the ticket. Resolves when this node is a member of a quorate ring and its tree is
 * in sync. Rejects with a sentence for a person, after putting everything back as it was.
 */
export async function joinCluster(ports: NodePorts, ticket: JoinTicket, watcher: Watcher): Promise<void> {
  const { paths, services } = ports;
  const plan: PlannedStep[] = [
    { id: 'check', title: 'Check the ticket against this node', command: null },
    ...(ticket.engine === 'corosync' ? [installStep(ports)] : []),
    { id: 'stop', title: 'Stop pmxcfs', command: services.command('stop', 'pmxcfs') },
    {
      id: 'backup',
      title: 'Set the present configuration tree aside',
      command: `mv ${paths.tree}/config.db ${paths.tree}/config.db.before-join`,
    },
    { id: 'conf', title: `Write ${paths.conf}`, command: `scp MEMBER:${paths.conf} ${paths.conf}` },
    { id: 'engine', title: 'Start the cluster engine', command: services.command('start', 'engine') },
    { id: 'pmxcfs', title: 'Start pmxcfs in the cluster', command: services.command('start', 'pmxcfs') },
    { id: 'member', title: 'Wait until this node is a member of a quorate ring', command: 'pvecm status' },
    { id: 'sync', title: 'Wait until the configuration tree is in sync', command: `ls ${paths.mount}` },
  ];
  const procedure = new Procedure(plan, watcher);
  const undo: (() => Promise<void> | void)[] = [];
  try {
    await procedure.step('check', (say) => {
      checkTicket(ports, ticket);
      say(`${ports.hostname} is node ${ticket.nodeId} of the cluster ${ticket.clusterName}`);
    });
    if (ticket.engine === 'corosync') {
      await procedure.step('install', (say) => installCorosync(ports, say, watcher.signal));
    }
    await procedure.step('stop', async (say) => {
      undo.push(() => services.start('pmxcfs'));
      await services.stop('pmxcfs');
      say('stopped');
    });
    await procedure.step('backup', (say) => {
      const copy = ports.files.setTreeAside();
      undo.push(() => (copy === null ? ports.files.removeTree() : ports.files.restoreTree(copy)));
      say(copy === null ? 'there was none' : `kept as ${copy}`);
    });
    await procedure.step('conf', (say) => {
      const keyBefore = ports.files.readAuthkey();
      const choiceBefore = ports.engine.choice();
      undo.push(async () => {
        ports.files.removeConf();
        if (keyBefore === null) ports.files.removeAuthkey();
        else ports.files.writeAuthkey(keyBefore);
        ports.engine.choose(choiceBefore);
        await services.engineAtBoot();
      });
      ports.engine.choose(ticket.engine);
      if (ticket.authkey !== null) {
        ports.files.writeAuthkey(ticket.authkey);
        say(`wrote ${paths.authkey}, mode 0400`);
      }
      ports.files.writeConf(ticket.conf);
      say(`wrote ${paths.conf}, version ${modelOf(ticket.conf).totem.configVersion ?? 'unknown'}`);
    });
    await procedure.step('engine', async (say) => {
      undo.push(() => services.stop('engine'));
      await services.restart('engine');
      await services.engineAtBoot();
      say('started');
    });
    await procedure.step('pmxcfs', async (say) => {
      undo.push(() => services.stop('pmxcfs'));
      await services.start('pmxcfs');
      say('started');
    });
    const begun = ports.clock.now();
    await procedure.step('member', async (say) => {
      const ring = await waitFor(ports, watcher.signal, JOIN_DEADLINE_MS, 'this node did not become a member', () =>
        lookForMembership(ports, ticket.nodeId),
      );
      say(`member of ring ${ring}`);
    });
    await procedure.step('sync', async (say) => {
      const left = Math.max(JOIN_DEADLINE_MS - (ports.clock.now() - begun), 10_000);
      const entries = await waitFor(ports, watcher.signal, left, 'the tree was not in sync', async () => {
        const tree = await ports.tree.status();
        if (tree === null) return { missing: 'pmxcfs does not answer' };
        if (tree.mode === 'local') return { missing: 'pmxcfs runs in local mode' };
        if (!tree.synced) return { missing: 'the state of the cluster has not arrived' };
        if (tree.writability.kind === 'read-only') return { missing: tree.writability.reason };
        return { found: tree.entries };
      });
      say(`${entries} entries`);
    });
    ports.log('notice', `${ports.hostname} joined the cluster ${ticket.clusterName} as node ${ticket.nodeId}`);
  } catch (error) {
    procedure.end();
    ports.log('error', `joining the cluster ${ticket.clusterName} failed: ${sentence(error)}`);
    if (undo.length === 0) throw error;
    const restored = await putBack(ports, procedure, undo);
    throw new Error(`${sentence(error)} ${restored}`, { cause: error });
  }
}

function checkTicket(ports: NodePorts, ticket: JoinTicket): void {
  refuseMembers(ports);
  const conf = modelOf(ticket.conf);
  const own = conf.nodelist.find((node) => node.nodeId === ticket.nodeId);
  if (own === undefined) throw new Error(`the ticket's corosync.conf holds no node ${ticket.nodeId}`);
  if (own.name !== null && own.name !== ports.hostname) {
    throw new Error(`the ticket is for ${own.name}; this host is called ${ports.hostname}`);
  }
  if (ticket.authkey === null && isEncrypted(ticket.conf, ticket.engine)) {
    throw new Error('the ticket lacks the cluster key');
  }
}

function lookForMembership(ports: NodePorts, nodeId: number): { found: string } | { missing: string } {
  const status = ports.engine.status();
  if (status === null) return { missing: `${ports.paths.conf} is gone` };
  if (status.state.kind === 'down') return { missing: `the cluster engine does not answer: ${status.state.reason}` };
  const own = status.members.find((member) => member.nodeId === nodeId);
  const others = status.members.filter((member) => member.state === 'member' && member.nodeId !== nodeId);
  if (own?.state !== 'member' || status.ringId === null) return { missing: 'the ring has not formed' };
  // A single node of several votes could be quorate alone: that is not what joining means.
  if (others.length === 0) {
    return { missing: 'no other member was heard. Is UDP between the nodes let through by every firewall?' };
  }
  if (!status.quorum.quorate) {
    return { missing: `${status.quorum.totalVotes} of ${status.quorum.quorum} needed votes are present` };
  }
  return { found: formatRingId(status.ringId) };
}

/** Undoes in reverse. Resolves to the sentence that tells how it went. */
async function putBack(
  ports: NodePorts,
  procedure: Procedure,
  undo: readonly (() => Promise<void> | void)[],
): Promise<string> {
  try {
    await procedure.undo({ id: 'undo', title: 'Put everything back as it was', command: null }, async (say) => {
      for (const back of undo.toReversed()) await back();
      say('the configuration tree from before the join is back; this node is in no cluster');
    });
    return 'This node was put back as it was before the join.';
  } catch (error) {
    ports.log('error', `going back failed: ${sentence(error)}`);
    return `Going back failed too: ${sentence(error)}. The tree from before the join is kept in ${ports.paths.tree}.`;
  }
}
