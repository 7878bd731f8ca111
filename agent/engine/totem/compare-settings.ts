/** What a reload changes at once and what waits for a restart of the engine. */
import type { NodeId } from '../../totem/ids.ts';
import type { EngineNode, EngineSettings } from '../settings.ts';

export interface Comparison {
  readonly live: readonly string[];
  readonly needsRestart: readonly string[];
  /** What the engine runs with from now on: the new settings but for what needs a restart. */
  readonly effective: EngineSettings;
}

export function compareSettings(before: EngineSettings, after: EngineSettings, self: NodeId): Comparison {
  const live: string[] = [];
  const needsRestart: string[] = [];
  const waits = (what: string, old: string | number, next: string | number): void => {
    if (old !== next)
      needsRestart.push(`${what} changes from ${old} to ${next} when the engine restarts on every node`);
  };
  waits('cluster_name', before.clusterName, after.clusterName);
  waits('transport', before.transport, after.transport);
  waits('the port', before.port, after.port);
  const nodes = after.nodes.map((node) => {
    const old = before.nodes.find((entry) => entry.nodeId === node.nodeId);
    if (old === undefined) live.push(`node ${nameOf(node)} is in the nodelist`);
    else if (old.votes !== node.votes) live.push(`node ${nameOf(node)} has ${node.votes} votes`);
    if (old === undefined || addressOf(old) === addressOf(node)) return node;
    if (node.nodeId !== self) {
      live.push(`node ${nameOf(node)} is reached at ${addressOf(node)}`);
      return node;
    }
    needsRestart.push(`this node listens on ${addressOf(node)} when its engine restarts`);
    return { ...node, addresses: old.addresses };
  });
  for (const old of before.nodes) {
    if (!after.nodes.some((node) => node.nodeId === old.nodeId)) live.push(`node ${nameOf(old)} is no longer listed`);
  }
  if (before.timeouts.token !== after.timeouts.token) live.push(`the token timeout is ${after.timeouts.token} ms`);
  if (before.timeouts.consensus !== after.timeouts.consensus)
    live.push(`the consensus timeout is ${after.timeouts.consensus} ms`);
  const { clusterName, transport, port } = before;
  return { live, needsRestart, effective: { ...after, clusterName, transport, port, nodes } };
}

const nameOf = (node: EngineNode): string => node.name ?? String(node.nodeId);
const addressOf = (node: EngineNode): string => node.addresses[0]?.address ?? '';
