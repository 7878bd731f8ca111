/** What `pvecm conf` prints of plans and applies. Pure. */
import type { ApplyPlan, EndedApply, OpenApply } from '../rpc/api.ts';

const METHOD: Readonly<Record<ApplyPlan['method'], string>> = {
  reload: 'Every node loads the file. Nothing restarts.',
  'rolling-restart': 'The nodes restart their engine one after the other, while quorum holds.',
  'whole-restart': 'ALL nodes restart their engine at once: no quorum until the ring is formed again.',
};

const EFFECT = {
  none: 'changes nothing that runs',
  live: 'live',
  'rolling-restart': 'needs a restart of each node',
  'whole-restart': 'needs a restart of all nodes at once',
} as const;

export function formatPlan(plan: ApplyPlan): string {
  const { fromVersion, version, changes, nodes, warnings, merged, method } = plan;
  const lines = [
    `corosync.conf version ${fromVersion} becomes version ${version}:`,
    ...(changes.length === 0 ? ['  Comments or order only.'] : []),
    ...changes.map(
      ({ sentence, effect, silent }) =>
        `  ${sentence} [${EFFECT[effect]}${silent ? '; a reload alone would change nothing' : ''}]`,
    ),
    METHOD[method],
    ...(merged ? ['Somebody has changed the file since yours was made: both changes are in it.'] : []),
    ...nodes.map(({ name, effect, drift }) => `  ${name} ${effect}${drift === null ? '' : ` It ${drift}.`}`),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

const time = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

export function formatOpen({ author, leader, version, phase, remainingMs, startedMs }: OpenApply): string {
  const left = remainingMs === null ? '' : `, goes back in ${Math.ceil(remainingMs / 1000)} s`;
  const state = phase === 'confirm' ? `waits for its confirmation${left}` : `is under way (${phase})`;
  return `${time(startedMs)}  version ${version} by ${author} on ${leader} ${state}\n`;
}

export function formatHistory(ended: readonly EndedApply[]): string {
  if (ended.length === 0) return 'Nothing was applied yet.\n';
  const lines = ended.flatMap(({ startedMs, fromVersion, version, author, leader, outcome, by, reason, changes }) => [
    `${time(startedMs)}  version ${fromVersion} -> ${version}  ${outcome} by ${by}${outcome === 'confirmed' ? '' : `: ${reason}`}`,
    `  applied by ${author} on ${leader}`,
    ...changes.map((change) => `  ${change}`),
  ]);
  return `${lines.join('\n')}\n`;
}
