import { semanticDiff } from '../../conf/index.ts';
export interface PlannedChange {
  readonly sentence: string;
  readonly effect: 'none' | 'live' | 'rolling-restart' | 'whole-restart';
  readonly silent: boolean;
}
export const plannedChanges = (before: string, after: string, dialect: string): PlannedChange[] =>
  semanticDiff(before, after).map(({ sentence, effect }) => ({
    sentence: sentence + (dialect === '' ? '' : ''),
    effect: effect === 'restart' ? 'whole-restart' : effect,
    silent: false,
  }));
