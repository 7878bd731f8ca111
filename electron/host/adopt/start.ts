/** Each procedure on an adopted cluster, as an operation with live steps where it takes time. */
import { author } from '../procedures/start.ts';
import type { Workshop } from '../procedures/start.ts';
import type { ApplyOrder, ApplyPlan, Check, OpenedConf } from '../api.ts';
import { joinAdopted, preflightAdopted } from './add-node.ts';
import { applyAdopted, confirmAdopted, openAdopted, planAdoptedConf, revertAdopted } from './apply.ts';
import { survey } from './ground.ts';
import type { AdoptedHistory } from './history.ts';
import { expectVotesAdopted, removeAdopted } from './remove-node.ts';

export interface AdoptedWorkshop extends Workshop {
  readonly history: AdoptedHistory;
}

/** Without quorum nothing is written from here. */
export const NO_EMERGENCY =
  'Without the agent this is done by hand: put one and the same file into /etc/corosync on every node, compare the copies, and restart Corosync on all of them.';

export const open = ({ fleet }: AdoptedWorkshop, clusterId: string): Promise<OpenedConf> =>
  openAdopted(fleet, clusterId);

export async function plan(
  { fleet, history }: AdoptedWorkshop,
  clusterId: string,
  wanted: { readonly text: string; readonly baseDigest: string },
): Promise<ApplyPlan> {
  return (await planAdoptedConf(fleet, history, clusterId, wanted)).plan;
}

export function apply({ fleet, history, operations }: AdoptedWorkshop, clusterId: string, order: ApplyOrder): string {
  const { name } = fleet.cluster(clusterId);
  return operations.start(
    { kind: 'apply-conf', title: `Apply corosync.conf to ${name}`, cancellable: true, holds: [clusterId] },
    ({ step, signal }) => {
      const watch = { onStep: step, signal };
      return applyAdopted(fleet, history, clusterId, { ...order, author: author() }, watch);
    },
  );
}

export const confirm = ({ fleet, history }: AdoptedWorkshop, clusterId: string): Promise<string> =>
  confirmAdopted(fleet, history, clusterId, author());

export const revert = ({ fleet, history }: AdoptedWorkshop, clusterId: string): Promise<string> =>
  revertAdopted(fleet, history, clusterId, author());

export async function expectVotes(
  { fleet }: AdoptedWorkshop,
  clusterId: string,
  hostId: string,
  votes: number,
): Promise<void> {
  const ground = await survey(fleet, clusterId);
  const node = ground.nodes.find(({ link }) => link.id === hostId);
  if (node === undefined) throw new Error('That node cannot be reached now.');
  await expectVotesAdopted(ground, node.nodeId, votes);
}

export const preflightJoin = (
  { fleet }: AdoptedWorkshop,
  clusterId: string,
  hostId: string,
): Promise<{ checks: Check[]; nodeId: number; ring0Addr: string }> =>
  preflightAdopted(fleet, clusterId, fleet.link(hostId));

export function join({ fleet, operations }: AdoptedWorkshop, clusterId: string, hostId: string): string {
  const { name } = fleet.cluster(clusterId);
  const link = fleet.link(hostId);
  return operations.start(
    { kind: 'join', title: `Join ${link.host.name} to ${name}`, cancellable: true, holds: [clusterId, hostId] },
    ({ step, signal }) => joinAdopted(fleet, clusterId, link, { onStep: step, signal, author: author() }),
  );
}

export function removeNode({ fleet, operations }: AdoptedWorkshop, clusterId: string, nodeId: number): string {
  const { name, members } = fleet.cluster(clusterId);
  const node = members.find((one) => one.nodeId === nodeId)?.name ?? `node ${nodeId}`;
  return operations.start(
    { kind: 'remove-node', title: `Remove ${node} from ${name}`, cancellable: true, holds: [clusterId] },
    ({ step, signal }) => removeAdopted(fleet, clusterId, nodeId, { onStep: step, signal, author: author() }),
  );
}
