/** Looks through a database for damage, on a copy: what is damaged stays as it is. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { treeOf } from '../tree/snapshot.ts';
import { DATABASE, Store } from './store.ts';

export interface CheckReport {
  /** Sentences, the worst first; none: it is whole. */
  readonly problems: readonly string[];
  /** Null where it cannot be read so far. */
  readonly holds: {
    readonly entries: number;
    readonly bytes: number;
    readonly version: { readonly epoch: number; readonly index: number };
  } | null;
}

const MOST_PROBLEMS = 20;

/** `file` must exist, and nobody may write to it meanwhile (holderOf). Throws where there is no room for the copy. */
export function checkDatabase(file: string): CheckReport {
  const folder = mkdtempSync(join(dirname(file), 'check-'));
  try {
    const copy = join(folder, DATABASE);
    copyFileSync(file, copy);
    if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${copy}-wal`);
    return check(folder, copy);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function check(folder: string, copy: string): CheckReport {
  const problems = pageProblems(copy);
  try {
    const store = Store.open(folder);
    try {
      const image = store.load();
      const tree = treeOf(image.nodes, image.nextInode);
      if (!tree.ok) return { problems: [...problems, `the entries make no tree: ${tree.error}`], holds: null };
      const { entries, bytes } = tree.value;
      return { problems, holds: { entries, bytes, version: image.version } };
    } finally {
      store.close();
    }
  } catch (error) {
    if (problems.length > 0) return { problems, holds: null };
    // Its words speak of the copy.
    return {
      problems: [
        wordsOf(error)
          .replaceAll(folder, '')
          .replace(/\. `pmxcfs .*/s, ''),
      ],
      holds: null,
    };
  }
}

/** What SQLite says of each page and row. */
function pageProblems(file: string): string[] {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(file);
    const rows = database.prepare(`PRAGMA integrity_check(${MOST_PROBLEMS})`).all() as { integrity_check?: string }[];
    return rows.map((row) => row.integrity_check ?? 'no answer').filter((words) => words !== 'ok');
  } catch (error) {
    return [wordsOf(error)];
  } finally {
    database?.close();
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The process that holds the database open for writing; null when none does. */
export function holderOf(file: string): number | null {
  if (!existsSync(file)) return null;
  const { ino } = statSync(file);
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const [, kind, , access, pid, place] = line.split(/\s+/);
    if (kind === 'POSIX' && access === 'WRITE' && place?.endsWith(`:${ino}`) === true) return Number(pid);
  }
  return null;
}
