/**
 * Cuts in the network between nodes: frames from one group's ports to another's are dropped on the
 * switch. The line to this machine belongs to no group, so that every node stays within reach of SSH.
 */
import { must } from '../run.ts';
import type { NodeState } from '../state.ts';
import { switchNamespace } from './network.ts';

/** Puts the named nodes into a group of their own, out of whatever group they were in. Pure. */
export function cutOff(nodes: readonly NodeState[], names: readonly string[]): NodeState[] {
  const group = Math.max(0, ...nodes.map((node) => node.group)) + 1;
  return nodes.map((node) => (names.includes(node.name) ? { ...node, group } : node));
}

/** Everybody together again. Pure. */
export const healed = (nodes: readonly NodeState[]): NodeState[] => nodes.map((node) => ({ ...node, group: 0 }));

/** The nft script that makes the switch do so, whatever it did before. Pure. */
export function partitionRules(nodes: readonly NodeState[]): string {
  const table = 'table bridge ringmaster';
  const rules: string[] = [];
  for (const group of new Set(nodes.map((node) => node.group))) {
    const inside = nodes.filter((node) => node.group === group);
    const outside = nodes.filter((node) => node.group !== group);
    if (outside.length > 0) rules.push(`iifname ${set(inside)} oifname ${set(outside)} drop`);
  }
  const chain = `{ chain forward { type filter hook forward priority 0; policy accept; ${rules.join('; ')}; }; }`;
  // Deleting what is not there is an error in nft, so it is made first.
  return `${table}\ndelete ${table}\n${rules.length === 0 ? '' : `${table} ${chain}\n`}`;
}

const set = (nodes: readonly NodeState[]): string => `{ ${nodes.map(({ name }) => `"${name}"`).join(', ')} }`;

export async function applyPartition(id: string, nodes: readonly NodeState[]): Promise<void> {
  await must('ip', ['netns', 'exec', switchNamespace(id), 'nft', '-f', '-'], { input: partitionRules(nodes) });
}
