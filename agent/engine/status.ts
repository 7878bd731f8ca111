/** Puts a status together from the configuration and what an engine has seen. */
import type { QuorumStatus } from '../quorum/quorum.ts';
import type { NodeId, RingId } from '../totem/ids.ts';
import type { EngineKind, EngineState, EngineStatus, LinkStatus, MemberStatus } from './engine.ts';
import type { EngineSettings } from './settings.ts';

export interface Seen {
  readonly state: EngineState;
  readonly ringId: RingId | null;
  readonly members: readonly NodeId[];
  readonly links: readonly LinkStatus[];
  readonly quorum: QuorumStatus;
}

export function statusFrom(
  settings: EngineSettings,
  localNode: NodeId,
  seen: Seen,
  engine: EngineKind = 'totem',
): EngineStatus {
  const listed = settings.nodes.map((node): MemberStatus => ({
    ...node,
    state: seen.members.includes(node.nodeId) ? 'member' : 'absent',
    local: node.nodeId === localNode,
  }));
  const { clusterName, configVersion, transport } = settings;
  const { state, ringId, links, quorum } = seen;
  return { engine, state, clusterName, configVersion, transport, localNode, ringId, members: listed, links, quorum };
}
