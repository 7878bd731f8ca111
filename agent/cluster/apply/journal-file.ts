/** Where a node keeps the journal of the apply that is on trial on it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeLayout } from '../../node-layout.ts';
import { readJournal, type Journal } from './trial.ts';

export const journalFile = (layout: NodeLayout): string => join(layout.home, 'apply.json');

/** null when no file is on trial here. */
export function journalOf(layout: NodeLayout): Journal | null {
  try {
    return readJournal(readFileSync(journalFile(layout), 'utf8'));
  } catch {
    return null;
  }
}
