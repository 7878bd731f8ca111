/** An apply as a person says it. */
import type { ApplyMethod, OpenApply } from '../../electron/host/api.ts';

export const METHOD_WORDS: Readonly<Record<ApplyMethod, string>> = {
  reload: 'Every node loads the file. Nothing restarts.',
  'rolling-restart': 'The nodes restart their engine one after the other. Quorum holds all the time.',
  'whole-restart':
    'All nodes restart their engine at once. Until the ring is formed again there is no quorum and the tree is read-only.',
};

const PHASE_WORDS: Readonly<Record<OpenApply['phase'], string>> = {
  prepare: 'every node is asked whether it can take the file',
  install: 'the file is being put on every node',
  effect: 'the engines are taking it',
  confirm: 'every node runs it',
  revert: 'every node is going back',
};

export const phaseWords = ({ phase, version }: OpenApply): string => `Version ${version}: ${PHASE_WORDS[phase]}`;
