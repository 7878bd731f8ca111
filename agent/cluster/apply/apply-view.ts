/** Applies as the desktop and the command line show them. */
import type { EndedApply, OpenApply } from '../../rpc/api.ts';
import type { NodePorts } from '../ports.ts';
import { isOpen } from './trial.ts';
import { history, lastTrial } from './trial-store.ts';

/** The apply that is not over, or null; also null where the tree cannot be read. */
export async function openApply(ports: Pick<NodePorts, 'tree' | 'clock' | 'onTrial'>): Promise<OpenApply | null> {
  const trial = await lastTrial(ports).catch(() => null);
  if (!isOpen(trial)) return null;
  const here = ports.onTrial();
  const { id, author, leader, startedMs, fromVersion, version, method, phase, changes } = trial;
  const remainingMs = here?.id === id ? Math.max(0, here.deadlineWallMs - ports.clock.now()) : null;
  return { id, author, leader, startedMs, fromVersion, version, method, phase, changes, remainingMs };
}

/** Ended applies, the newest first. */
export async function endedApplies(ports: Pick<NodePorts, 'tree'>): Promise<EndedApply[]> {
  return (await history(ports)).flatMap(({ trial }): EndedApply[] => {
    if (trial.outcome === null) return [];
    const { id, author, leader, startedMs, fromVersion, version, method, changes, before, after } = trial;
    const { kind: outcome, reason, by, atMs: endedMs } = trial.outcome;
    const what = { id, author, leader, startedMs, endedMs, fromVersion, version, method, changes };
    return [{ ...what, outcome, reason, by, before, after }];
  });
}
