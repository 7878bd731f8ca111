/** What an apply on an adopted cluster would do: the agent's own plan, and what is different without an agent. Pure. */
import { planApply } from '../../../agent/cluster/apply/plan.ts';
import type { Wanted } from '../../../agent/cluster/apply/plan.ts';
import type { NodeFacts, TrialRecord } from '../../../agent/cluster/apply/trial.ts';
import { model, parse } from '../../../agent/conf/index.ts';
import type { EngineStatus } from '../../../agent/engine/engine.ts';
import { err, ok } from '../../../agent/result.ts';
import type { Result } from '../../../agent/result.ts';
import type { AdoptedManager, ApplyPlan } from '../api.ts';
import { clusterConf, versionOf } from './as-report.ts';
import type { AdoptedFacts } from './facts.ts';

export interface PlanGround {
  readonly manager: AdoptedManager;
  readonly nodes: readonly { readonly name: string; readonly nodeId: number; readonly facts: AdoptedFacts }[];
  readonly status: EngineStatus;
  readonly present: string;
}

/** The plan, or why it cannot be done: ready for a person. `digest` gives SHA-256 in hexadecimal. */
export function planAdopted(
  ground: PlanGround,
  wanted: Wanted,
  history: readonly TrialRecord[],
  digest: (text: string) => string,
): Result<ApplyPlan, string> {
  const { manager, nodes, status, present } = ground;
  const facts = new Map(nodes.map((node) => [node.nodeId, nodeFacts(node, digest)]));
  const planned = planApply({ status, present, facts, history, digest }, wanted);
  if (!planned.ok) return planned;
  const older = nodes.filter(({ facts: { major } }) => major !== null && major < 3);
  const { transport } = model(parse(planned.value.text)).totem;
  if (older.length > 0 && (transport === 'knet' || transport === 'sctp')) {
    const names = older.map(({ name, facts: { versions } }) => `${name} (${versions.corosync ?? 'Corosync 2'})`);
    return err(
      `${names.join(', ')} cannot speak knet: that came with Corosync 3. Keep this file until every node is upgraded, ` +
        'then put it there and restart all of them together.',
    );
  }
  const warnings = [...planned.value.warnings.map(withoutTree(manager)), ...ofManager(manager, planned.value, nodes)];
  if (older.length > 0) {
    warnings.push(
      'What a reload brings into effect was measured on Corosync 3: afterwards each node is asked what it runs.',
    );
  }
  const nodesOf = planned.value.nodes.map((node) =>
    node.state === 'absent' && manager !== 'proxmox'
      ? {
          ...node,
          effect: 'is not in the ring. It keeps its old file: put the new one there before Corosync starts on it.',
        }
      : node,
  );
  return ok({ ...planned.value, warnings, nodes: nodesOf });
}

function nodeFacts({ nodeId, name, facts }: PlanGround['nodes'][number], digest: (text: string) => string): NodeFacts {
  const text = clusterConf(facts);
  const running = Number(facts.cmap.get('totem.config_version') ?? 'NaN');
  return {
    nodeId,
    name,
    disk: text === null ? null : { version: versionOf(text), digest: digest(text) },
    running: Number.isSafeInteger(running) ? running : null,
  };
}

/** There is no tree outside of Proxmox VE; what stands still is what needs quorum. */
const withoutTree =
  (manager: AdoptedManager) =>
  (warning: string): string =>
    manager === 'proxmox'
      ? warning
      : warning
          .replace(/ and the tree is read-only\b/, '')
          .replace(/: the tree is read-only until/, ': there is no quorum until');

function ofManager(manager: AdoptedManager, { method }: ApplyPlan, nodes: PlanGround['nodes']): string[] {
  if (manager === 'proxmox') {
    const stuck =
      'The nodes go back through /etc/pve, which needs quorum. If the new file costs the quorum, each node restarts Corosync with the old settings after 20 s, and /etc/pve gets them then.';
    return method === 'reload'
      ? [stuck]
      : [
          stuck,
          'With HA a node that is without quorum for a minute restarts itself: stop HA guests, or their services, first.',
        ];
  }
  if (method === 'reload' || !nodes.some(({ facts }) => facts.running.pacemaker)) return [];
  return [
    'Pacemaker restarts with Corosync and stops the resources of that node. Put it into maintenance mode first: pcs property set maintenance-mode=true (crm configure property maintenance-mode=true).',
  ];
}
