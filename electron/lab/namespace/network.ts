/**
 * The lab's network. Its bridge lives in a network namespace of its own, the switch, and one veth pair
 * leads from there to this machine. So the machine sees a single interface more, and its firewall,
 * br_netfilter and network services have nothing to do with what the nodes say to each other.
 *
 *   this machine          rml<id>-switch                 rml<id>-pve1
 *   rml<id> (.254) ------ uplink | bridge | pve1 ------- eth0 (.1)
 */
import { existsSync } from 'node:fs';
import { must, run } from '../run.ts';
import type { NodeState } from '../state.ts';
import { chooseSubnet } from './subnet.ts';

const BRIDGE = 'switch';
const UPLINK = 'uplink';

/** Where ip-netns(8) keeps its names. */
const NETNS = '/run/netns';

/** The name of the interface on this machine. */
export const uplinkName = (id: string): string => `rml${id}`;
export const switchNamespace = (id: string): string => `rml${id}-switch`;
export const nodeNamespace = (id: string, node: string): string => `rml${id}-${node}`;
export const namespacePath = (namespace: string): string => `${NETNS}/${namespace}`;

/** What addresses and routes of this machine use, in CIDR notation. */
export async function usedNetworks(): Promise<string[]> {
  const [routes, addresses] = await Promise.all([
    must('ip', ['-json', '-4', 'route', 'show', 'table', 'all']),
    must('ip', ['-json', '-4', 'address', 'show']),
  ]);
  const found = (JSON.parse(routes === '' ? '[]' : routes) as { dst?: string }[]).flatMap(({ dst }) => dst ?? []);
  for (const one of JSON.parse(addresses) as { addr_info?: { local?: string; prefixlen?: number }[] }[]) {
    for (const { local, prefixlen } of one.addr_info ?? []) found.push(`${local}/${prefixlen}`);
  }
  return found;
}

export async function freeSubnet(id: string): Promise<string> {
  const network = chooseSubnet(id, await usedNetworks());
  if (network === null) throw new Error('Every network 10.x.y.0/24 is in use on this machine.');
  return network;
}

/** Makes what is missing of the switch and its line to this machine. */
export async function ensureSwitch(id: string, network: string): Promise<void> {
  const space = switchNamespace(id);
  const link = uplinkName(id);
  if (!existsSync(namespacePath(space))) await must('ip', ['netns', 'add', space]);
  if (!(await hasLink(space, BRIDGE))) {
    // No loops here: a port forwards at once, and multicast goes to all (no querier is there to ask).
    await batch(space, [`link add name ${BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`]);
  }
  if (!(await hasLink(space, UPLINK)) || !(await hasLink(null, link))) {
    await run('ip', ['link', 'delete', link]);
    await run('ip', ['-n', space, 'link', 'delete', UPLINK]);
    await refuseUsed(network);
    await must('ip', ['link', 'add', 'name', link, 'type', 'veth', 'peer', 'name', UPLINK, 'netns', space]);
  }
  await batch(space, ['link set lo up', `link set ${BRIDGE} up`, `link set ${UPLINK} master ${BRIDGE} up`]);
  await batch(null, [`address replace ${network}.254/24 dev ${link}`, `link set ${link} up`]);
}

/** Makes what is missing of a node's namespace and its port on the switch. */
export async function ensureNodeNetwork(id: string, node: NodeState): Promise<void> {
  const space = nodeNamespace(id, node.name);
  const ports = switchNamespace(id);
  if (!existsSync(namespacePath(space))) await must('ip', ['netns', 'add', space]);
  if (!(await hasLink(space, 'eth0')) || !(await hasLink(ports, node.name))) {
    await run('ip', ['-n', ports, 'link', 'delete', node.name]);
    await run('ip', ['-n', space, 'link', 'delete', 'eth0']);
    await batch(ports, [`link add name ${node.name} type veth peer name eth0 netns ${space}`]);
  }
  await batch(ports, [`link set ${node.name} master ${BRIDGE} up`]);
  // Also what somebody on the node may have taken down before it was killed.
  await batch(space, ['link set lo up', `address replace ${node.address}/24 dev eth0`, 'link set eth0 up']);
}

/** The lab's network namespaces that exist, switch included. */
export async function labNamespaces(id: string): Promise<string[]> {
  const listed = await run('ip', ['netns', 'list']);
  return listed.stdout
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith(`rml${id}-`));
}

/** Processes in a namespace. */
export async function processesIn(namespace: string): Promise<number[]> {
  const listed = await run('ip', ['netns', 'pids', namespace]);
  return listed.stdout.split('\n').filter(Boolean).map(Number);
}

/** Takes the network away; what is not there is no fault. */
export async function removeNetwork(id: string): Promise<void> {
  // By itself it would go only some time after its namespace has.
  await run('ip', ['link', 'delete', uplinkName(id)]);
  for (const namespace of await labNamespaces(id)) await run('ip', ['netns', 'delete', namespace]);
}

/** After a reboot the machine may have a network it did not have when the nodes got their addresses. */
async function refuseUsed(network: string): Promise<void> {
  const used = await usedNetworks();
  if (used.some((text) => text.startsWith(`${network}.`))) {
    throw new Error(
      `The lab's network ${network}.0/24 is now used by this machine. Take the lab down and up again: it gets another.`,
    );
  }
}

async function hasLink(namespace: string | null, link: string): Promise<boolean> {
  const inside = namespace === null ? [] : ['-n', namespace];
  return (await run('ip', [...inside, 'link', 'show', 'dev', link])).code === 0;
}

async function batch(namespace: string | null, lines: readonly string[]): Promise<void> {
  const inside = namespace === null ? [] : ['-n', namespace];
  await must('ip', [...inside, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
