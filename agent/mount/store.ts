/**
 * The replica's stable storage: one SQLite file. What `commit` has returned from survives a crash of the
 * process, of the machine, or of its power (WAL with synchronous=FULL).
 *
 * What a killed process had written and not yet synced is read back from the page cache and looks stored.
 * The same goes for pages whose fsync failed. So opening writes the whole log into the file anew and syncs
 * that, before anybody rests on what was read.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { backup, DatabaseSync, type StatementSync } from 'node:sqlite';
import { nodeId } from '../totem/ids.ts';
import { decodeName, encodeName } from '../tree/names.ts';
import { FRESH_IMAGE, type Era, type ReplicaImage, type SessionRow, type StoreRecord } from '../replica/types.ts';
import type { TreeNode } from '../tree/types.ts';
import { fileStamp, syncDirectory, syncFile, syncLater } from './stable-files.ts';

export const DATABASE = 'config.db';
/** Beside the database while `pmxcfs restore` puts another in its place. */
export const UNFINISHED_RESTORE = `${DATABASE}.restored.unfinished`;
const FORMAT = 1;
/** Of 4 KiB: what a commit may have to wait for while a backup is made. */
const PAGES_AT_ONCE = 64;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS entry (
    inode INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,
    name BLOB NOT NULL,
    directory INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    position INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    format INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    position INTEGER NOT NULL,
    branch TEXT NOT NULL,
    promised INTEGER NOT NULL,
    local_from INTEGER,
    lineage TEXT NOT NULL,
    next_inode INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS session (
    node INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    done TEXT NOT NULL
  ) STRICT;
`;
/** A row: what this node acknowledged may not be in here (ReplicaImage). A table of its own, so that every backup can get it. */
const FORGETFUL = 'CREATE TABLE IF NOT EXISTS forgetful (only INTEGER PRIMARY KEY CHECK (only = 1)) STRICT;';

/** The file cannot be used as it is. The message says what to do. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged';
}

/** Another pmxcfs of this node has the file open. */
export class StoreHeld extends Error {
  override readonly name = 'StoreHeld';
}

/** The disk did not take or give what it was asked for. `full`: it has no space, and what is there is whole. */
export class DiskRefuses extends Error {
  override readonly name = 'DiskRefuses';
  readonly full: boolean;

  constructor(words: string, full: boolean, cause: unknown) {
    super(words, { cause });
    this.full = full;
  }
}

/** Result codes of SQLite, the low byte of `errcode`. */
const [BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN] = [5, 6, 8, 10, 13, 14];

const codeOf = (error: unknown): number =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : 0;
const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function diskRefuses(file: string, error: unknown): DiskRefuses | null {
  const code = codeOf(error);
  if (code === FULL) return new DiskRefuses(`the disk of ${file} is full`, true, error);
  if (code !== IOERR && code !== READONLY && code !== CANTOPEN) return null;
  return new DiskRefuses(`the disk of ${file} reports an error (${wordsOf(error)})`, false, error);
}

export class Store {
  readonly #directory: string;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #session: StatementSync;
  readonly #begin: StatementSync;
  readonly #place: StatementSync;

  /** Opens or makes `config.db`. Throws StoreDamaged, StoreHeld, DiskRefuses. */
  static open(directory: string): Store {
    const isNew = !existsSync(directory);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (isNew) syncDirectory(dirname(directory));
    const file = join(directory, DATABASE);
    if (!existsSync(file) && existsSync(join(directory, UNFINISHED_RESTORE)))
      throw new StoreDamaged(`a restore of ${file} was broken off: run \`pmxcfs restore\` again`);
    let database: DatabaseSync | null = null;
    try {
      database = new DatabaseSync(file);
      // Nobody else may write: two processes with one replica's file would each believe in their own tree.
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      database.exec('BEGIN EXCLUSIVE; COMMIT;');
      const check = database.prepare('PRAGMA quick_check(1)').get() as { quick_check?: string } | undefined;
      if (check?.quick_check !== 'ok') throw new StoreDamaged(damaged(file, check?.quick_check ?? 'no answer'));
      database.exec(SCHEMA + FORGETFUL);
      const written = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy?: number } | undefined;
      if (written?.busy !== 0) throw new DiskRefuses(`the log of ${file} cannot be written back`, false, null);
      syncDirectory(directory);
      return new Store(directory, database);
    } catch (error) {
      closeQuietly(database);
      if (error instanceof StoreDamaged || error instanceof DiskRefuses) throw error;
      if (codeOf(error) === BUSY || codeOf(error) === LOCKED)
        throw new StoreHeld(`another pmxcfs of this node is running: ${file} is locked`, { cause: error });
      throw diskRefuses(file, error) ?? new StoreDamaged(damaged(file, wordsOf(error)));
    }
  }

  private constructor(directory: string, database: DatabaseSync) {
    this.#directory = directory;
    this.#database = database;
    this.#put = database.prepare('INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#remove = database.prepare('DELETE FROM entry WHERE inode = ?');
    this.#session = database.prepare('INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?)');
    this.#begin = database.prepare("INSERT OR IGNORE INTO state VALUES (1, ?, 0, 0, '', 0, NULL, '[]', ?)");
    this.#place = database.prepare('UPDATE state SET epoch = ?, position = ?, next_inode = ?');
  }

  /** What the file holds; FRESH_IMAGE for a new one. Throws StoreDamaged. */
  load(): ReplicaImage {
    const isForgetful = this.#database.prepare('SELECT * FROM forgetful').get() !== undefined;
    const forgetful = isForgetful ? ({ forgetful: true } as const) : {};
    const state = this.#database.prepare('SELECT * FROM state').get() as StateRow | undefined;
    if (state === undefined) return { ...FRESH_IMAGE, ...forgetful };
    const file = join(this.#directory, DATABASE);
    if (state.format !== FORMAT) {
      throw new StoreDamaged(
        `${file} has format ${state.format}; this version reads format ${FORMAT}. Install a newer agent.`,
      );
    }
    const entries = this.#database.prepare('SELECT * FROM entry').all() as unknown as EntryRow[];
    const sessions = this.#database.prepare('SELECT * FROM session ORDER BY node').all() as unknown as SessionText[];
    try {
      return {
        nodes: entries.map(nodeOf),
        nextInode: state.next_inode,
        version: { epoch: state.epoch, index: state.position },
        branch: state.branch,
        promised: state.promised,
        localFrom: state.local_from,
        lineage: JSON.parse(state.lineage) as Era[],
        sessions: sessions.map((row): SessionRow => ({
          node: nodeId(row.node),
          session: row.session,
          floor: row.floor,
          done: JSON.parse(row.done) as number[],
        })),
        ...forgetful,
      };
    } catch (error) {
      throw new StoreDamaged(damaged(file, error instanceof Error ? error.message : String(error)));
    }
  }

  /**
   * All of them or none, in order, and on stable storage when it returns. Throws DiskRefuses: then what was to be
   * written may or may not be in the file, and this store must not be written to any more.
   */
  commit(records: readonly StoreRecord[]): void {
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      let from = 0;
      while (from < records.length) from = this.#write(records, from);
      this.#database.exec('COMMIT');
    } catch (error) {
      // A failed COMMIT may have ended the transaction already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw diskRefuses(join(this.#directory, DATABASE), error) ?? error;
    }
  }

  /** Writes what begins at `from`, and gives where the rest begins. */
  #write(records: readonly StoreRecord[], from: number): number {
    const record = records[from];
    if (record === undefined) return records.length;
    if (record.kind !== 'operation') {
      this.#other(record);
      return from + 1;
    }
    const run: OperationRecord[] = [];
    for (const each of records.slice(from)) {
      if (each.kind !== 'operation') break;
      run.push(each);
    }
    this.#operations(run);
    return from + run.length;
  }

  /** Of a row that several of them change the last state counts. */
  #operations(run: readonly OperationRecord[]): void {
    const entries = new Map<number, TreeNode | null>();
    const sessions = new Map<number, SessionRow>();
    for (const { change, session } of run) {
      for (const inode of change.removed) entries.set(inode, null);
      for (const { node } of change.put) entries.set(node.inode, node);
      sessions.set(session.node, session);
    }
    for (const [inode, node] of entries) {
      if (node === null) this.#remove.run(inode);
      else this.#entry(node);
    }
    for (const row of sessions.values()) this.#row(row);
    const last = run.at(-1);
    if (last === undefined) return;
    this.#begin.run(FORMAT, FRESH_IMAGE.nextInode);
    this.#place.run(last.version.epoch, last.version.index, last.nextInode);
  }

  #other(record: Exclude<StoreRecord, OperationRecord>): void {
    switch (record.kind) {
      case 'promise':
        return this.#set('promised = ?', record.promised);
      case 'local':
        return this.#set('local_from = ?', record.from);
      case 'epoch': {
        this.#database.exec('DELETE FROM forgetful');
        const { version, branch, lineage } = record;
        const columns = 'epoch = ?, position = ?, branch = ?, lineage = ?, local_from = NULL';
        return this.#set(columns, version.epoch, version.index, branch, JSON.stringify(lineage));
      }
      case 'adopt':
        return this.#adopt(record);
    }
  }

  #adopt({ put, removed, rest }: Extract<StoreRecord, { kind: 'adopt' }>): void {
    for (const inode of removed) this.#remove.run(inode);
    for (const node of put) this.#entry(node);
    this.#database.exec('DELETE FROM session; DELETE FROM state; DELETE FROM forgetful;');
    for (const row of rest.sessions) this.#row(row);
    const { version, branch, promised, localFrom, nextInode } = rest;
    const columns = 'epoch = ?, position = ?, branch = ?, promised = ?, local_from = ?, lineage = ?, next_inode = ?';
    const lineage = JSON.stringify(rest.lineage);
    this.#set(columns, version.epoch, version.index, branch, promised, localFrom, lineage, nextInode);
  }

  #set(columns: string, ...values: (string | number | null)[]): void {
    // The first record of a new file finds no row to change.
    this.#begin.run(FORMAT, FRESH_IMAGE.nextInode);
    this.#database.prepare(`UPDATE state SET ${columns}`).run(...values);
  }

  #row(row: SessionRow): void {
    this.#session.run(row.node, row.session, row.floor, JSON.stringify(row.done));
  }

  #entry(node: TreeNode): void {
    const { inode, parent, kind, mtimeS, version, writer, data } = node;
    const directory = kind === 'directory' ? 1 : 0;
    this.#put.run(inode, parent, encodeName(node.name), directory, mtimeS, version.epoch, version.index, writer, data);
  }

  /** Copies what is there now into a file beside it, on stable storage; a commit has to wait. Gives the copy's path. */
  setAside(why: string): string {
    const base = join(this.#directory, `${DATABASE}.${why}-${fileStamp(new Date())}`);
    let file = base;
    for (let count = 2; existsSync(file); count += 1) file = `${base}-${count}`;
    this.#copyTo(file);
    return file;
  }

  /** Writes a copy that is whole or not there at all. Throws DiskRefuses. */
  #copyTo(file: string): void {
    const unfinished = `${file}.unfinished`;
    rmSync(unfinished, { force: true });
    try {
      this.#database.prepare('VACUUM INTO ?').run(unfinished);
      syncFile(unfinished);
      renameSync(unfinished, file);
      syncDirectory(dirname(file));
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw diskRefuses(file, error) ?? error;
    }
  }

  /**
   * The same without holding up commits for longer than a few pages take; it has what is committed meanwhile, too.
   * Rejects with DiskRefuses, or when this store is closed before the end.
   */
  async backUp(file: string): Promise<void> {
    const unfinished = `${file}.unfinished`;
    rmSync(unfinished, { force: true });
    try {
      await backup(this.#database, unfinished, { rate: PAGES_AT_ONCE });
      await syncLater(unfinished);
      renameSync(unfinished, file);
      syncDirectory(dirname(file));
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw diskRefuses(file, error) ?? error;
    }
  }

  close(): void {
    closeQuietly(this.#database);
  }
}

/** Notes in a database that nobody has open that what its node acknowledged may not be in it. Makes an empty one. */
export function markForgetful(file: string): void {
  const database = new DatabaseSync(file);
  try {
    database.exec(`PRAGMA synchronous = FULL; ${FORGETFUL} INSERT OR IGNORE INTO forgetful VALUES (1);`);
    // Into the file itself: it is about to get another name, and its log is not.
    database.exec('PRAGMA journal_mode = DELETE');
  } finally {
    database.close();
  }
}

/** What cannot be written back on closing is in the log, or was never promised. */
function closeQuietly(database: DatabaseSync | null): void {
  try {
    database?.close();
  } catch {
    // A disk that refuses must not keep the process from ending.
  }
}

type OperationRecord = Extract<StoreRecord, { kind: 'operation' }>;

interface StateRow {
  readonly format: number;
  readonly epoch: number;
  readonly position: number;
  readonly branch: string;
  readonly promised: number;
  readonly local_from: number | null;
  readonly lineage: string;
  readonly next_inode: number;
}

interface SessionText {
  readonly node: number;
  readonly session: number;
  readonly floor: number;
  readonly done: string;
}

interface EntryRow {
  readonly inode: number;
  readonly parent: number;
  readonly name: Uint8Array;
  readonly directory: number;
  readonly mtime: number;
  readonly epoch: number;
  readonly position: number;
  readonly writer: number;
  readonly data: Uint8Array;
}

const nodeOf = (row: EntryRow): TreeNode => ({
  inode: row.inode,
  kind: row.directory === 1 ? 'directory' : 'file',
  parent: row.parent,
  name: decodeName(row.name),
  mtimeS: row.mtime,
  version: { epoch: row.epoch, index: row.position },
  writer: row.writer,
  data: row.data,
});

const damaged = (file: string, words: string): string =>
  `${file} is damaged (${words}). \`pmxcfs check\` says more. \`pmxcfs restore --list\` shows the backups, \`pmxcfs restore FILE\` puts one in its place; a node of a cluster can take the tree from the others: \`pmxcfs restore --from-cluster\`.`;
