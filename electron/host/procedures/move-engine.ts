/** Moves a whole cluster to the other engine: Corosync first comes onto every node, then the cluster changes over. */
import type { EngineKind } from '../../../agent/engine/engine.ts';
import type { MovePlan } from '../../../agent/rpc/api.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { author, memberOf, type Workshop } from './start.ts';

const NAMES: Readonly<Record<EngineKind, string>> = { totem: 'the bundled engine', corosync: 'Corosync' };

/** What it would do. Changes nothing; rejects with why it cannot be done. */
export async function planMove({ fleet }: Workshop, clusterId: string, to: EngineKind): Promise<MovePlan> {
  refuseAdopted(fleet, clusterId);
  return memberOf(fleet, clusterId).planMove(to);
}

function refuseAdopted(fleet: Fleet, clusterId: string): void {
  const { name, adopted } = fleet.cluster(clusterId);
  if (adopted !== null) throw new Error(`${name} runs without the agent, and its engine is not changed from here.`);
}

export function moveEngine({ fleet, operations }: Workshop, clusterId: string, to: EngineKind): string {
  refuseAdopted(fleet, clusterId);
  const { name, members } = fleet.cluster(clusterId);
  const leader = memberOf(fleet, clusterId);
  const clients = members.map((member) => ({
    name: member.name,
    client: member.hostId === null ? null : fleet.link(member.hostId).client,
  }));
  return operations.start(
    { kind: 'move-engine', title: `Move ${name} to ${NAMES[to]}`, cancellable: true, holds: [clusterId] },
    async ({ id, signal }) => {
      let working = leader;
      const cancel = (): void => void working.cancel(id).catch(() => undefined);
      signal.addEventListener('abort', cancel);
      try {
        // Nodes that cannot be reached from here may have it all the same: each says so before anything is changed.
        for (const { client } of to === 'corosync' ? clients : []) {
          if (client === null || signal.aborted) continue;
          working = client;
          await client.installCorosync(id);
        }
        if (signal.aborted) throw new Error('Cancelled.');
        working = leader;
        await leader.moveEngine(id, { to, author: author() });
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    },
  );
}
