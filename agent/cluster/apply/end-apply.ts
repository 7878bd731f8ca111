/** The two ends of an apply that somebody chooses: it stays, or it is taken back. */
import type { NodePorts } from '../ports.ts';
import { sentence, type Say } from '../procedure.ts';
import { isOpen, type Trial } from './trial.ts';
import { changeTrial, endTrial, lastTrial } from './trial-store.ts';

const POLL_MS = 150;
/** Until every node has said that it is back. */
const BACK_MS = 120_000;

/** Confirms the apply that waits for it. Resolves to a sentence; rejects when there is none, or it is too late. */
export async function confirmApply(ports: NodePorts, author: string): Promise<string> {
  const trial = await lastTrial(ports);
  if (!isOpen(trial)) {
    const last = trial?.outcome ?? null;
    const words =
      last === null
        ? ''
        : ` The last one was ${last.kind === 'confirmed' ? 'confirmed' : 'taken back'} by ${last.by}: ${last.reason}.`;
    throw new Error(`no apply waits for a confirmation.${words}`);
  }
  if (trial.phase !== 'confirm') {
    throw new Error(`version ${trial.version} cannot be confirmed yet: it is not in effect on every node`);
  }
  const ended = await endTrial(ports, trial.id, {
    kind: 'confirmed',
    reason: 'it was confirmed',
    by: author,
    atMs: ports.clock.now(),
  });
  if (ended.outcome?.kind !== 'confirmed') {
    throw new Error(`it is too late: version ${trial.version} was taken back (${ended.outcome?.reason ?? 'unknown'})`);
  }
  ports.log('notice', `${author} confirmed corosync.conf version ${trial.version}`);
  return `Version ${trial.version} stays.`;
}

/** Takes the open apply back. Resolves to a sentence when every node is back. */
export async function revertApply(ports: NodePorts, author: string): Promise<string> {
  const trial = await lastTrial(ports);
  if (!isOpen(trial)) throw new Error('no apply is under way; there is nothing to take back');
  ports.log('notice', `${author} takes corosync.conf version ${trial.version} back`);
  if (trial.phase === 'prepare') {
    await endTrial(ports, trial.id, {
      kind: 'refused',
      reason: 'it was broken off',
      by: author,
      atMs: ports.clock.now(),
    });
    return 'It was broken off; nothing had been changed.';
  }
  return revertTrial(ports, trial.id, { by: author, reason: `${author} took it back` });
}

/** Has every node go back, and waits until they have. Resolves to a sentence. */
export async function revertTrial(
  ports: NodePorts,
  id: string,
  asked: { readonly by: string; readonly reason: string },
): Promise<string> {
  const { clock } = ports;
  const end = clock.now() + BACK_MS;
  for (let told = false; ; await clock.sleep(POLL_MS)) {
    try {
      const now = await lastTrial(ports);
      if (now?.id !== id) return 'The old file runs again on every node.';
      if (now.outcome !== null) {
        return now.outcome.kind === 'confirmed'
          ? `It was confirmed by ${now.outcome.by} meanwhile.`
          : `Version ${now.fromVersion} runs again on every node.`;
      }
      if (!told && now.phase !== 'revert') {
        await changeTrial(ports, id, (one) => ({ ...one, phase: 'revert', turn: null, asked }));
      }
      told = true;
    } catch (error) {
      if (clock.now() > end) throw error;
    }
    if (clock.now() > end) throw new Error('not every node has said that it is back');
  }
}

/**
 * The way back of whoever leads a trial that failed. `undo` runs it as a step of its procedure. Resolves to a sentence
 * on how it went; where the nodes could not be told, on when they go back by themselves.
 */
export async function takeBack(
  ports: NodePorts,
  undo: (work: (say: Say) => Promise<string>) => Promise<string>,
  { trial, written }: { readonly trial: Trial; readonly written: boolean },
  why: { readonly by: string; readonly reason: string },
): Promise<string> {
  try {
    return await undo(async (say) => {
      if (!written) {
        await endTrial(ports, trial.id, { kind: 'refused', ...why, atMs: ports.clock.now() });
        say('nothing had been changed');
        return 'Nothing was changed.';
      }
      const outcome = await revertTrial(ports, trial.id, why);
      say(outcome);
      return outcome;
    });
  } catch (error) {
    const seconds = Math.round((trial.rolloutMs + trial.confirmWithinMs) / 1000);
    return `The nodes go back by their own clocks within ${seconds} s (${sentence(error)}).`;
  }
}
