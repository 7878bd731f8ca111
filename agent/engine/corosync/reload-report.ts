/** What a reload of Corosync has brought into effect: it says "Done" to much that it does not carry out. */
import { plannedChanges, type Effect } from '../../conf/index.ts';
import type { ReloadReport } from '../engine.ts';

/**
 * `started`: the file that Corosync started with, as far as known. `loaded`: the file before this reload. What an
 * earlier reload left for a restart still waits for it.
 */
export function reloadReport(started: string, loaded: string, text: string, configVersion: number): ReloadReport {
  const live = plannedChanges(loaded, text).filter(({ effect, reload }) => effect === 'live' && reload === 'takes');
  const waiting = plannedChanges(started, text).filter(({ reload }) => reload !== 'takes');
  return {
    configVersion,
    live: live.map(({ sentence }) => sentence),
    needsRestart: waiting.map(({ sentence, effect }) => `${sentence} ${WHEN[effect]}`.trim()),
  };
}

const WHEN: Readonly<Record<Effect, string>> = {
  none: '',
  live: '',
  'rolling-restart': 'In effect when Corosync of each node has restarted, one after the other.',
  'whole-restart': 'In effect when Corosync has restarted on all nodes together.',
};
