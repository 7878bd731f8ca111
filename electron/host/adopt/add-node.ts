/**
 * Takes a host into an adopted cluster, with Corosync's own means: the members load a file that names it, on trial;
 * then it gets the same file and the key, and starts. On Proxmox VE its own pvecm does all of that.
 */
import { hostname } from 'node:os';
import { BlockList, isIP } from 'node:net';
import { Procedure } from '../../../agent/cluster/procedure.ts';
import { checkNodeName } from '../../../agent/cluster/rules.ts';
import { addNode, model, parse, removeKey } from '../../../agent/conf/index.ts';
import { err, ok } from '../../../agent/result.ts';
import type { Result } from '../../../agent/result.ts';
import type { ApplyPlan, Check } from '../api.ts';
import { newcomerFacts } from '../procedures/newcomer.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { HostLink } from '../fleet/host-link.ts';
import type { PlacedStep } from '../procedures/join.ts';
import { quote } from '../ssh/shell.ts';
import { askHost } from './ask.ts';
import { isConfigured } from './facts.ts';
import type { AdoptedFacts } from './facts.ts';
import { digestOf, survey, whyNotChanged } from './ground.ts';
import type { Ground } from './ground.ts';
import { planAdopted } from './plan.ts';
import { confirmTrial, firstMissing, holdTrial, runTrial, takeBack, trialSteps, until } from './trial.ts';
import type { RunningTrial } from './trial.ts';
import { TrialHost } from './trial-host.ts';

/** How long a new node may take to be seen by all: Corosync needs up to 8 s for a ring of nine (measured). */
const SEEN_MS = 45_000;
const PVECM_MS = 180_000;

interface Addition {
  readonly ground: Ground;
  readonly name: string;
  readonly nodeId: number;
  readonly addresses: readonly { readonly link: number; readonly address: string }[];
  readonly facts: AdoptedFacts | null;
  readonly checks: readonly Check[];
  /** Null where a check failed, and on Proxmox VE, whose pvecm writes the file. */
  readonly plan: ApplyPlan | null;
}

/** What is in the way, and what the node would be. Changes nothing. */
export async function preflightAdopted(
  fleet: Fleet,
  clusterId: string,
  link: HostLink,
): Promise<{ checks: Check[]; nodeId: number; ring0Addr: string }> {
  const { checks, nodeId, addresses } = await prepare(fleet, clusterId, link);
  return { checks: [...checks], nodeId, ring0Addr: addresses[0]?.address ?? link.host.address };
}

async function prepare(fleet: Fleet, clusterId: string, link: HostLink): Promise<Addition> {
  if (link.ssh === null) throw new Error(`${link.host.name} is not connected.`);
  const ground = await survey(fleet, clusterId);
  const [newcomer, facts] = await Promise.all([newcomerFacts(link), askHost(link.ssh, null)]);
  const conf = model(parse(ground.present));
  const nodeId = Math.max(0, ...conf.nodelist.map((node) => node.nodeId ?? 0)) + 1;
  const addresses = chooseAddresses(ground, newcomer.addresses, link.host.address);
  const checks: Check[] = [
    membersCheck(ground),
    corosyncCheck(ground, facts, newcomer.name),
    freeCheck(facts, newcomer.name),
    ...(addresses.ok
      ? []
      : [{ id: 'address', title: 'It has an address on every link', state: 'fail' as const, detail: addresses.error }]),
    ...managerChecks(ground, facts, newcomer.name),
  ];
  const chosen = addresses.ok ? addresses.value : [{ link: 0, address: link.host.address }];
  const host = new TrialHost(newcomer.name, nodeId, link.ssh);
  checks.push(
    await networkCheck(
      ground,
      host,
      conf.nodelist.flatMap((node) => node.addresses),
    ),
  );
  if (ground.manager === 'proxmox') checks.push(await sshCheck(ground, host));
  let plan: ApplyPlan | null = null;
  if (ground.manager !== 'proxmox' && !checks.some(({ state }) => state === 'fail')) {
    const planned = planAddition(ground, newcomer.name, nodeId, chosen);
    if (planned.ok) plan = planned.value;
    checks.push(changeCheck(ground, planned, newcomer.name));
  }
  return { ground, name: newcomer.name, nodeId, addresses: chosen, facts, checks, plan };
}

function planAddition(
  ground: Ground,
  name: string,
  nodeId: number,
  addresses: Addition['addresses'],
): Result<ApplyPlan, string> {
  const valid = checkNodeName(name);
  if (!valid.ok) return valid;
  const added = addNode(ground.present, { nodeId, name, votes: 1, addresses });
  if (!added.ok) return added;
  // votequorum(5): two_node is for two.
  const text = model(parse(ground.present)).quorum.twoNode ? removeKey(added.value, 'quorum', 'two_node') : added.value;
  const wanted = { text, baseDigest: digestOf(ground.present), editedMs: null, joining: [nodeId] };
  return planAdopted(ground, wanted, [], digestOf);
}

/** With one node, both are needed afterwards: from the moment it loads the file until the second one is there. */
const pausesQuorum = ({ status }: Pick<Ground, 'status'>, { text }: ApplyPlan): boolean => {
  const { nodelist, quorum } = model(parse(text));
  const votes = nodelist.reduce((sum, node) => sum + node.votes, 0);
  return !quorum.twoNode && status.quorum.totalVotes < Math.floor((quorum.expectedVotes ?? votes) / 2) + 1;
};

function changeCheck(ground: Ground, planned: Result<ApplyPlan, string>, name: string): Check {
  const check = { id: 'change', title: 'The cluster can take another node' };
  if (!planned.ok) return { ...check, state: 'fail', detail: planned.error };
  const { method, version } = planned.value;
  if (method === 'reload' && pausesQuorum(ground, planned.value)) {
    const detail =
      `The members load version ${version}; nothing restarts. There is no quorum from then until ${name} is in the ` +
      'ring, some seconds. Afterwards every node is needed for it: two nodes stop when one of them does.';
    return { ...check, state: 'warn', detail };
  }
  return method === 'reload'
    ? { ...check, state: 'pass', detail: `The members load version ${version}; nothing restarts.` }
    : {
        ...check,
        state: 'warn',
        detail: `The members have to restart Corosync for version ${version}: there is a moment without quorum.`,
      };
}

function membersCheck(ground: Ground): Check {
  const why = whyNotChanged(ground);
  const check = { id: 'members', title: `${ground.view.name} can be changed` };
  return why === null
    ? { ...check, state: 'pass', detail: `${ground.nodes.length} nodes answer; the cluster is quorate.` }
    : { ...check, state: 'fail', detail: why };
}

function corosyncCheck({ nodes, manager }: Ground, facts: AdoptedFacts | null, name: string): Check {
  const check = { id: 'corosync', title: 'Corosync is installed there' };
  if (facts === null || (facts.versions.corosync === null && !facts.versions.packages.has('corosync'))) {
    const what = manager === 'pacemaker' ? 'corosync pacemaker' : 'corosync';
    return {
      ...check,
      state: 'fail',
      detail: `Install it on ${name} first: apt-get install ${what} (or dnf, zypper).`,
    };
  }
  const here = nodes[0]?.facts;
  const versions = `${facts.versions.corosync ?? 'unknown'} there, ${here?.versions.corosync ?? 'unknown'} in the cluster`;
  if (here !== undefined && here.major !== facts.major) {
    return { ...check, state: 'fail', detail: `The releases do not understand each other: Corosync ${versions}.` };
  }
  return facts.versions.corosync === here?.versions.corosync
    ? { ...check, state: 'pass', detail: `Corosync ${facts.versions.corosync ?? ''}, as in the cluster.` }
    : { ...check, state: 'warn', detail: `Corosync ${versions}: bring both to the same version soon.` };
}

function freeCheck(facts: AdoptedFacts | null, name: string): Check {
  const check = { id: 'free', title: 'It belongs to no other cluster' };
  return facts !== null && isConfigured(facts)
    ? { ...check, state: 'fail', detail: `${name} has a corosync.conf of a cluster. Take it out of that one first.` }
    : { ...check, state: 'pass', detail: 'It has no corosync.conf of a cluster.' };
}

function managerChecks({ manager }: Ground, facts: AdoptedFacts | null, name: string): Check[] {
  if (manager === 'proxmox') {
    const has = facts?.versions.proxmox ?? null;
    const check = { id: 'proxmox', title: 'It is a node of Proxmox VE' };
    return [
      has === null
        ? { ...check, state: 'fail', detail: `${name} has no Proxmox VE: install it there first.` }
        : { ...check, state: 'pass', detail: `Proxmox VE ${has}. It must hold no guests: their numbers could clash.` },
    ];
  }
  if (manager === 'pacemaker' && facts?.versions.packages.has('pacemaker') !== true) {
    return [
      {
        id: 'pacemaker',
        title: 'Pacemaker is installed there',
        state: 'warn',
        detail: `Without Pacemaker ${name} votes and runs no resources.`,
      },
    ];
  }
  return [];
}

async function networkCheck(
  ground: Ground,
  host: TrialHost,
  addresses: readonly { readonly address: string }[],
): Promise<Check> {
  const check = { id: 'network', title: 'It reaches the members' };
  const targets = addresses.map(({ address }) => quote(address)).join(' ');
  const script = `command -v ping >/dev/null || { echo no-ping; exit 0; }
for one in ${targets}; do ping -c 1 -W 2 "$one" >/dev/null 2>&1 || echo "$one"; done`;
  const silent = (await host.shell(script, 60_000)).split('\n').filter((line) => line !== '');
  if (silent[0] === 'no-ping') return { ...check, state: 'warn', detail: 'It has no ping to try with.' };
  return silent.length === 0
    ? { ...check, state: 'pass', detail: `Every address of ${ground.view.name} answers.` }
    : { ...check, state: 'warn', detail: `${silent.join(', ')} does not answer to ping from there.` };
}

/** pvecm asks for a password otherwise, and there is nobody at its terminal. */
async function sshCheck({ nodes }: Ground, host: TrialHost): Promise<Check> {
  const check = { id: 'ssh', title: 'pvecm can log in at a member' };
  const member = nodes[0]?.link.host.address ?? '';
  const command = `ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=accept-new root@${quote(member)} true`;
  try {
    await host.shell(`${command} 2>&1`, 20_000);
    return { ...check, state: 'pass', detail: `root of ${host.name} may log in at ${member}.` };
  } catch {
    const detail = `root of ${host.name} may not log in at ${member} by key. Put its public key into authorized_keys there, or run "pvecm add ${member}" on its console, which asks for the password.`;
    return { ...check, state: 'fail', detail };
  }
}

/** An address in the network of each link that the members use. */
export function chooseAddresses(
  { nodes, present }: Pick<Ground, 'nodes' | 'present'>,
  own: readonly string[],
  reachedBy: string,
): Result<{ link: number; address: string }[], string> {
  const conf = model(parse(present));
  const links = [...new Set(conf.nodelist.flatMap(({ addresses }) => addresses.map(({ link }) => link)))].sort();
  const found: { link: number; address: string }[] = [];
  for (const link of links) {
    const used = conf.nodelist.flatMap(({ addresses }) =>
      addresses.filter((one) => one.link === link).map(({ address }) => address),
    );
    const networks = new BlockList();
    for (const { address, prefix } of nodes.flatMap(({ facts }) => facts.addresses)) {
      if (used.includes(address)) networks.addSubnet(address, prefix, family(address));
    }
    const within = (address: string): boolean => isIP(address) !== 0 && networks.check(address, family(address));
    const address = [reachedBy, ...own].find(within) ?? (links.length === 1 ? reachedBy : undefined);
    if (address === undefined)
      return err(`It has no address in the network of link ${link} (${used.join(', ')}). Give it one first.`);
    found.push({ link, address });
  }
  return ok(found);
}

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

export interface Watch {
  readonly onStep: (step: PlacedStep) => void;
  readonly signal: AbortSignal;
  readonly author: string;
}

/** Rejects with a sentence when it fails; the members and the newcomer are then as they were, or it says what is not. */
export async function joinAdopted(fleet: Fleet, clusterId: string, link: HostLink, watch: Watch): Promise<void> {
  if (link.ssh === null) throw new Error(`${link.host.name} is not connected.`);
  const addition = await prepare(fleet, clusterId, link);
  const { ground, name, checks, plan } = addition;
  const failed = checks.filter(({ state }) => state === 'fail');
  if (failed.length > 0) throw new Error(failed.map(({ title, detail }) => `${title}: ${detail}`).join(' '));
  const host = new TrialHost(name, addition.nodeId, link.ssh);
  if (ground.manager === 'proxmox') return joinProxmox(addition, host, watch);
  if (plan === null) throw new Error('It cannot be planned.');
  const where = ground.nodes[0]?.name ?? '';
  const own = new Set(['start', 'undo']);
  const procedure = new Procedure(
    [
      ...trialSteps(ground, plan),
      {
        id: 'start',
        title: `Give ${name} the file and the key, and start Corosync there`,
        command: 'systemctl enable --now corosync',
      },
      { id: 'verify', title: `Check that every member sees ${name}`, command: 'corosync-quorumtool -l' },
      { id: 'keep', title: 'Tell every member that the file stays', command: null },
    ],
    { signal: watch.signal, onStep: (step) => watch.onStep({ ...step, where: own.has(step.id) ? name : where }) },
  );
  const quorumComesLater = pausesQuorum(ground, plan);
  const order = { plan, author: watch.author, leader: hostname(), confirmWithinMs: 120_000, quorumComesLater };
  const trial = await runTrial(ground, order, procedure, watch.signal);
  let started = false;
  try {
    await holdTrial(trial, 180);
    await procedure.step('start', async (say) => {
      const key = await authkey(ground);
      started = true;
      await startNewcomer(host, plan.text, key, addition.facts?.versions.packages.has('pacemaker') ?? false);
      say(key === null ? 'corosync.conf is there; the cluster has no key' : 'corosync.conf and the key are there');
    });
    await procedure.step('verify', () => until(SEEN_MS, () => notSeen(trial, addition.nodeId, name)));
    await procedure.step('keep', () => confirmTrial(trial.meta.id, trial.nodes));
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const back = await takeBack(trial, procedure);
    const undone = started ? await undoNewcomer(host, procedure) : '';
    throw new Error(`${words}${/[.!?]$/.test(words) ? '' : '.'} ${back}${undone}`, { cause: error });
  }
  await Promise.all([...ground.nodes.map((node) => node.link), link].map((one) => one.look().catch(() => null)));
}

/** The members' key in base64, or null where there is none. It goes through this app and is kept nowhere. */
async function authkey({ nodes }: Ground): Promise<string | null> {
  const host = nodes[0]?.host;
  if (host === undefined) return null;
  const key = await host.shell(
    '[ -e /etc/corosync/authkey ] && base64 /etc/corosync/authkey | tr -d "\\n"; exit 0',
    10_000,
  );
  return key === '' ? null : key;
}

/** What was there is kept beside, for the way back. */
async function startNewcomer(host: TrialHost, text: string, key: string | null, pacemaker: boolean): Promise<void> {
  const stdin = `${Buffer.from(text, 'utf8').toString('base64')}\n${key ?? '-'}\n`;
  const script = `set -e
umask 077
read -r conf
read -r key
cd /etc/corosync 2>/dev/null || { mkdir -p /etc/corosync && cd /etc/corosync; }
for one in corosync.conf authkey; do rm -f "$one.before-join"; if [ -e "$one" ]; then cp -p "$one" "$one.before-join"; fi; done
printf %s "$conf" | base64 -d > corosync.conf.new && chmod 644 corosync.conf.new && mv -f corosync.conf.new corosync.conf
if [ "$key" != - ]; then printf %s "$key" | base64 -d > authkey.new && chmod 400 authkey.new && mv -f authkey.new authkey; fi
if [ -d /run/systemd/system ]; then
  systemctl enable corosync 2>/dev/null || :
  limited 90 systemctl restart corosync
${pacemaker ? '  systemctl enable pacemaker 2>/dev/null || :\n  limited 90 systemctl start pacemaker' : ''}
else
  restart_engine
fi
pidof corosync >/dev/null || { echo 'Corosync did not start; its log says why'; exit 80; }`;
  await host.shell(script, 150_000, stdin);
}

async function undoNewcomer(host: TrialHost, procedure: Procedure): Promise<string> {
  const planned = { id: 'undo', title: `Stop Corosync on ${host.name} and put its files back`, command: null };
  const script = `if [ -d /run/systemd/system ]; then systemctl disable --now pacemaker corosync 2>/dev/null || systemctl stop corosync
else limited 60 service corosync stop >/dev/null 2>&1; fi
cd /etc/corosync || exit 0
for one in corosync.conf authkey; do if [ -e "$one.before-join" ]; then mv -f "$one.before-join" "$one"; else rm -f "$one"; fi; done`;
  try {
    await procedure.undo(planned, () => host.shell(script, 120_000));
    return ` ${host.name} has its own files again, and Corosync is stopped there.`;
  } catch (error) {
    return ` ${host.name} could not be cleared: stop Corosync there by hand (${error instanceof Error ? error.message : String(error)}).`;
  }
}

const notSeen = ({ nodes }: RunningTrial, nodeId: number, name: string): Promise<string | null> =>
  firstMissing(nodes, (node, { quorum }) => {
    if (quorum?.members.some((one) => one.nodeId === nodeId) !== true) return `${node.name} does not see ${name}`;
    return quorum.quorate ? null : `${node.name} has no quorum`;
  });

/** pvecm(1): run on the new node. Since Proxmox VE 6 a link is `--link0`, before it was `-ring0_addr`. */
async function joinProxmox({ ground, name, addresses, facts }: Addition, host: TrialHost, watch: Watch): Promise<void> {
  const member = ground.nodes[0]?.link.host.address ?? '';
  const old = Number.parseInt(facts?.versions.proxmox ?? '6', 10) < 6;
  const links = addresses.map(({ link, address }) =>
    old ? `-ring${link}_addr ${quote(address)}` : `--link${link} ${quote(address)}`,
  );
  const command = ['pvecm add', quote(member), ...links, '--use_ssh 1'].join(' ');
  const procedure = new Procedure(
    [
      { id: 'pvecm', title: `Proxmox VE takes ${name} in`, command },
      { id: 'verify', title: `Check that the cluster lists ${name}`, command: 'pvecm nodes' },
    ],
    {
      signal: watch.signal,
      onStep: (step) => watch.onStep({ ...step, where: step.id === 'pvecm' ? name : (ground.nodes[0]?.name ?? '') }),
    },
  );
  try {
    await procedure.step('pvecm', async (say) => {
      for (const line of (await host.shell(`${command} </dev/null 2>&1`, PVECM_MS)).split('\n')) say(line);
    });
    await procedure.step('verify', () => until(SEEN_MS, () => notListed(ground, name)));
  } catch (error) {
    procedure.end();
    throw error;
  }
}

async function notListed({ nodes }: Ground, name: string): Promise<string | null> {
  const [first] = nodes;
  const text = (await first?.link.look())?.treeConf ?? '';
  return model(parse(text)).nodelist.some((node) => node.name === name)
    ? null
    : `/etc/pve/corosync.conf does not list ${name}`;
}
