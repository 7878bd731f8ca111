/**
 * Takes a node out of an adopted cluster for good: Corosync is stopped there first, the others see it gone, and then
 * load a file without it, on trial. On Proxmox VE its own pvecm does it, and the node must be off (the manual's rule).
 */
import { hostname } from 'node:os';
import { Procedure } from '../../../agent/cluster/procedure.ts';
import { model, parse, removeNode } from '../../../agent/conf/index.ts';
import type { ApplyPlan } from '../api.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { quote } from '../ssh/shell.ts';
import type { Watch } from './add-node.ts';
import { digestOf, survey, whyNotChanged } from './ground.ts';
import type { Ground, GroundNode } from './ground.ts';
import { planAdopted } from './plan.ts';
import { confirmTrial, firstMissing, runTrial, trialSteps, until } from './trial.ts';

/** Corosync takes a clean leave note of within a second; a dead node up to 17 s (measured on nine). */
const GONE_MS = 30_000;
const PVECM_MS = 60_000;

/** Rejects with a sentence; a node that was stopped for it is started again. */
export async function removeAdopted(fleet: Fleet, clusterId: string, nodeId: number, watch: Watch): Promise<void> {
  const ground = await survey(fleet, clusterId);
  const member = ground.view.members.find((one) => one.nodeId === nodeId);
  if (member === undefined) throw new Error(`There is no node ${nodeId} in ${ground.view.name}.`);
  const { name } = member;
  const why = whyNotChanged(ground);
  if (why !== null) throw new Error(why);
  const leaving = ground.nodes.find((node) => node.nodeId === nodeId) ?? null;
  if (ground.manager === 'proxmox') return removeProxmox(ground, nodeId, name, watch);
  const staying = ground.nodes.filter((node) => node.nodeId !== nodeId);
  if (staying.length === 0)
    throw new Error(`${name} is the only node that answers: the cluster cannot be changed without it.`);
  const { totalVotes, quorum } = ground.status.quorum;
  const pausesQuorum = member.state === 'member' && totalVotes - member.votes < quorum;
  // The file without it has quorum again, or planned() refuses. Pacemaker would stop all resources until then.
  if (pausesQuorum && ground.nodes.some(({ facts }) => facts.running.pacemaker)) {
    throw new Error(
      `Without ${name} the cluster would lose quorum: ${quorum} votes are needed. Bring other nodes back first.`,
    );
  }
  const sketch: Pick<ApplyPlan, 'method'> = { method: 'reload' };
  const where = staying[0]?.name ?? '';
  const own = new Set(['stop', 'clear', 'undo']);
  const procedure = new Procedure(
    [
      { id: 'stop', title: `Stop Corosync on ${name}`, command: 'systemctl disable --now pacemaker corosync' },
      { id: 'gone', title: `Wait until the others see ${name} gone`, command: 'corosync-quorumtool -l' },
      ...trialSteps(ground, { ...(await planned(ground, nodeId)), ...sketch }),
      { id: 'keep', title: 'Tell every node that the file stays', command: null },
      {
        id: 'clear',
        title: `Put the cluster’s files on ${name} aside`,
        command: 'mv /etc/corosync/corosync.conf{,.removed}',
      },
    ],
    { signal: watch.signal, onStep: (step) => watch.onStep({ ...step, where: own.has(step.id) ? name : where }) },
  );
  let stopped = false;
  try {
    await procedure.step('stop', async (say) => {
      if (leaving === null) {
        if (member.state === 'member')
          throw new Error(`${name} is in the ring and cannot be reached: stop it by hand first.`);
        return say('it is not in the ring; it must never start Corosync again with its old file');
      }
      stopped = true;
      await stopNode(leaving);
      return say(pausesQuorum ? 'stopped; there is no quorum until the others run the new file' : 'stopped');
    });
    await procedure.step('gone', () => until(GONE_MS, () => stillSeen(staying, nodeId, name)));
    const after = await survey(fleet, clusterId);
    const plan = await planned(after, nodeId);
    const order = { plan, author: watch.author, leader: hostname(), confirmWithinMs: 120_000, without: [nodeId] };
    const trial = await runTrial(after, order, procedure, watch.signal);
    await procedure.step('keep', () => confirmTrial(trial.meta.id, trial.nodes));
  } catch (error) {
    procedure.end();
    const words = error instanceof Error ? error.message : String(error);
    const back = stopped && leaving !== null ? await startAgain(leaving, procedure) : '';
    throw new Error(`${words}${/[.!?]$/.test(words) ? '' : '.'}${back}`, { cause: error });
  }
  await procedure.step('clear', async (say) => {
    if (leaving === null) return say(`${name} was not reached: remove /etc/corosync/corosync.conf and authkey there`);
    await leaving.host.shell(
      'cd /etc/corosync && for one in corosync.conf authkey; do if [ -e "$one" ]; then mv -f "$one" "$one.removed"; fi; done',
      15_000,
    );
    return say('they end in .removed');
  });
  await Promise.all(ground.nodes.map(({ link }) => link.look().catch(() => null)));
}

async function planned(ground: Ground, nodeId: number): Promise<ApplyPlan> {
  const edited = removeNode(ground.present, nodeId);
  if (!edited.ok) throw new Error(edited.error);
  // Seen as if it had left: whether it has is looked at when it matters.
  const members = ground.status.members.map((one) =>
    one.nodeId === nodeId ? { ...one, state: 'absent' as const } : one,
  );
  const asIf = { ...ground, status: { ...ground.status, members } };
  const wanted = { text: edited.value, baseDigest: digestOf(ground.present), editedMs: null };
  const plan = planAdopted(asIf, wanted, [], digestOf);
  if (!plan.ok) throw new Error(plan.error);
  return plan.value;
}

async function stopNode({ host }: GroundNode): Promise<void> {
  await host.shell(
    `if [ -d /run/systemd/system ]; then
  limited 100 systemctl stop pacemaker 2>/dev/null
  limited 60 systemctl stop corosync && { systemctl disable pacemaker corosync 2>/dev/null || :; }
else
  limited 60 service corosync stop >/dev/null 2>&1
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do pidof corosync >/dev/null || exit 0; sleep 1; done
echo 'Corosync does not stop'; exit 81`,
    180_000,
  );
}

async function startAgain({ host, name }: GroundNode, procedure: Procedure): Promise<string> {
  const planned = { id: 'undo', title: `Start Corosync on ${name} again`, command: 'systemctl enable --now corosync' };
  const script = `if [ -d /run/systemd/system ]; then
  systemctl enable corosync 2>/dev/null; limited 90 systemctl start corosync
  if systemctl cat pacemaker.service >/dev/null 2>&1; then systemctl enable pacemaker 2>/dev/null; limited 90 systemctl start pacemaker; fi
else restart_engine; fi`;
  try {
    await procedure.undo(planned, () => host.shell(script, 150_000));
    return ` ${name} was started again.`;
  } catch {
    return ` ${name} is stopped: start Corosync there by hand.`;
  }
}

/** Of two nodes the one that stays has no quorum now: it comes with the file, whose plan has counted the votes. */
const stillSeen = (staying: readonly GroundNode[], nodeId: number, name: string): Promise<string | null> =>
  firstMissing(staying, (node, _facts, { members }) =>
    members.some((one) => one.nodeId === nodeId && one.state === 'member') ? `${node.name} still sees ${name}` : null,
  );

/** The chapter: "you must power off the node to be removed and make sure that it will not power on again". */
async function removeProxmox(ground: Ground, nodeId: number, name: string, watch: Watch): Promise<void> {
  const seen = ground.status.members.find((one) => one.nodeId === nodeId);
  if (seen?.state === 'member') {
    throw new Error(
      `Move the guests of ${name} away and power it off first, and see that it never comes back as it is: Proxmox VE removes nodes that are off.`,
    );
  }
  const [first] = ground.nodes;
  if (first === undefined) throw new Error('No node answers.');
  const command = `pvecm delnode ${quote(name)}`;
  const procedure = new Procedure(
    [
      { id: 'pvecm', title: `Proxmox VE removes ${name}`, command },
      { id: 'verify', title: `Check that the cluster does not list ${name} any more`, command: 'pvecm nodes' },
    ],
    { signal: watch.signal, onStep: (step) => watch.onStep({ ...step, where: first.name }) },
  );
  try {
    await procedure.step('pvecm', async (say) => {
      const said = await first.host.shell(`${command} </dev/null 2>&1`, PVECM_MS);
      if (said !== '') say(said);
    });
    await procedure.step('verify', () =>
      until(GONE_MS, async () => {
        const text = (await first.link.look())?.treeConf ?? '';
        return model(parse(text)).nodelist.some((node) => node.name === name) ? `it still lists ${name}` : null;
      }),
    );
  } catch (error) {
    procedure.end();
    throw error;
  }
}

/** votequorum's `expected`, on one node and with it in its part of the cluster. */
export async function expectVotesAdopted(ground: Ground, nodeId: number, votes: number): Promise<void> {
  const node = ground.nodes.find((one) => one.nodeId === nodeId);
  if (node === undefined) throw new Error('That node cannot be reached now.');
  const command = ground.manager === 'proxmox' ? `pvecm expected ${votes}` : `corosync-quorumtool -e ${votes}`;
  await node.host.shell(`limited 10 ${command} 2>&1`, 20_000);
  await node.link.look();
}
