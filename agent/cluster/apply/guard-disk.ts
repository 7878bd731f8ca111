/** The guard's files: the journal, the staged corosync.conf, and the copy of the one before. */
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { chooseEngine } from '../../engine/choice.ts';
import type { NodeLayout } from '../../node-layout.ts';
import { nodeFiles } from '../node-ports.ts';
import type { GuardDisk } from './guard-ports.ts';
import { journalFile, journalOf } from './journal-file.ts';
import type { Journal } from './trial.ts';

interface Paths {
  readonly conf: string;
  readonly staged: string;
  readonly saved: string;
  readonly journal: string;
  readonly stagedJournal: string;
}

/** The copies lie beside corosync.conf: a rename within one file system needs no room. */
function pathsOf(layout: NodeLayout): Paths {
  const conf = layout.corosyncConf;
  const journal = journalFile(layout);
  return { conf, staged: `${conf}.staged`, saved: `${conf}.before-apply`, journal, stagedJournal: `${journal}.staged` };
}

/** Where the staged file lies, for a look at it by Corosync itself. */
export const stagedConf = (layout: NodeLayout): string => pathsOf(layout).staged;

export function guardDisk(layout: NodeLayout): GuardDisk {
  const paths = pathsOf(layout);
  const { readConf, writeConf } = nodeFiles(layout);
  const writeJournal = (journal: Journal): void => {
    writeSynced(paths.stagedJournal, JSON.stringify(journal));
    renameSync(paths.stagedJournal, paths.journal);
    syncFolder(paths.journal);
  };
  const remove = (...files: string[]): void => files.forEach((file) => rmSync(file, { force: true }));
  return {
    readConf,
    writeConf,
    stage: (text, journal) => {
      try {
        writeSynced(paths.staged, text);
        writeSynced(paths.stagedJournal, JSON.stringify(journal));
        copyFileSync(paths.conf, paths.saved);
        syncFile(paths.saved);
      } catch (error) {
        remove(paths.staged, paths.stagedJournal, paths.saved);
        throw error;
      }
    },
    install: () => {
      // The journal first: a node that stops between the two goes back from what it has not done yet.
      renameSync(paths.stagedJournal, paths.journal);
      syncFolder(paths.journal);
      renameSync(paths.staged, paths.conf);
      syncFolder(paths.conf);
    },
    begin: () => {
      renameSync(paths.stagedJournal, paths.journal);
      syncFolder(paths.journal);
    },
    place: (text) => {
      try {
        renameSync(paths.staged, paths.conf);
        syncFolder(paths.conf);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        // A start before this one got so far.
        if (readConf() !== text) writeConf(text);
      }
    },
    putBack: (before) => putBack(paths, before, writeConf),
    readJournal: () => journalOf(layout),
    writeJournal,
    clear: () => remove(paths.journal, paths.stagedJournal, paths.staged, paths.saved),
  };
}

function putBack(paths: Paths, before: string, writeConf: (text: string) => void): void {
  try {
    renameSync(paths.saved, paths.conf);
    syncFolder(paths.conf);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (readFileSync(paths.conf, 'utf8') !== before) writeConf(before);
  }
}

/**
 * Before the engine starts: a node that was off while its trial ran out begins with the old file. What
 * else there is to do the guard does once it runs. Returns the sentence for the log, or null.
 */
export function putBackOverdue(layout: NodeLayout, nowMs: number): string | null {
  const paths = pathsOf(layout);
  const journal = journalOf(layout);
  if (journal === null || journal.givenUp || nowMs < journal.deadlineWallMs) return null;
  putBack(paths, journal.before, nodeFiles(layout).writeConf);
  if (journal.engine !== undefined) chooseEngine(layout, journal.engine.from);
  return 'an apply of corosync.conf ran out while this node was off: it starts with the old file';
}

function writeSynced(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o644, flush: true });
}

function syncFile(file: string): void {
  const descriptor = openSync(file, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** So that the rename itself is on the disk. */
const syncFolder = (file: string): void => syncFile(dirname(file));
