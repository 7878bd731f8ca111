/**
 * The replica's stable storage: one SQLite file. What `commit` has returned from survives a crash of the
 * process, of the machine, or of its power (WAL with synchronous=FULL).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { nodeId } from '../totem/ids.ts';
import { decodeName, encodeName } from '../tree/names.ts';
import { FRESH_IMAGE, type Era, type ReplicaImage, type SessionRow, type StoreRecord } from '../replica/types.ts';
import type { TreeNode } from '../tree/types.ts';

const FILE = 'config.db';
const FORMAT = 1;

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

/** The file cannot be used as it is. The message says what to do. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged';
}

export class Store {
  readonly #directory: string;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #session: StatementSync;

  /** Opens or makes `config.db`. Throws StoreDamaged, or when another pmxcfs holds it. */
  static open(directory: string): Store {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const file = join(directory, FILE);
    let database: DatabaseSync | null = null;
    try {
      database = new DatabaseSync(file);
      // Nobody else may write: two processes with one replica's file would each believe in their own tree.
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      database.exec('BEGIN EXCLUSIVE; COMMIT;');
      const check = database.prepare('PRAGMA quick_check(1)').get() as { quick_check?: string } | undefined;
      if (check?.quick_check !== 'ok') throw new StoreDamaged(damaged(file, check?.quick_check ?? 'no answer'));
      database.exec(SCHEMA);
      return new Store(directory, database);
    } catch (error) {
      database?.close();
      if (error instanceof StoreDamaged) throw error;
      const words = error instanceof Error ? error.message : String(error);
      if (/locked|busy/i.test(words))
        throw new Error(`another pmxcfs of this node is running: ${file} is locked`, { cause: error });
      throw new StoreDamaged(damaged(file, words));
    }
  }

  private constructor(directory: string, database: DatabaseSync) {
    this.#directory = directory;
    this.#database = database;
    this.#put = database.prepare('INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#remove = database.prepare('DELETE FROM entry WHERE inode = ?');
    this.#session = database.prepare('INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?)');
  }

  /** What the file holds; FRESH_IMAGE for a new one. Throws StoreDamaged. */
  load(): ReplicaImage {
    const state = this.#database.prepare('SELECT * FROM state').get() as StateRow | undefined;
    if (state === undefined) return FRESH_IMAGE;
    const file = join(this.#directory, FILE);
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
      };
    } catch (error) {
      throw new StoreDamaged(damaged(file, error instanceof Error ? error.message : String(error)));
    }
  }

  /** The words for an image that is no tree (Replica.open). */
  damaged(words: string): StoreDamaged {
    return new StoreDamaged(damaged(join(this.#directory, FILE), words));
  }

  /** All of them or none, in order, and on stable storage when it returns. */
  commit(records: readonly StoreRecord[]): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const record of records) this.#write(record);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #write(record: StoreRecord): void {
    switch (record.kind) {
      case 'operation': {
        for (const inode of record.change.removed) this.#remove.run(inode);
        for (const { node } of record.change.put) this.#entry(node);
        this.#row(record.session);
        const { version, nextInode } = record;
        this.#set('epoch = ?, position = ?, next_inode = ?', version.epoch, version.index, nextInode);
        return;
      }
      case 'promise':
        return this.#set('promised = ?', record.promised);
      case 'local':
        return this.#set('local_from = ?', record.from);
      case 'epoch': {
        const { version, branch, lineage } = record;
        const columns = 'epoch = ?, position = ?, branch = ?, lineage = ?, local_from = NULL';
        return this.#set(columns, version.epoch, version.index, branch, JSON.stringify(lineage));
      }
      case 'replace':
        return this.#replace(record.image);
    }
  }

  #replace(image: ReplicaImage): void {
    this.#database.exec('DELETE FROM entry; DELETE FROM session; DELETE FROM state;');
    for (const node of image.nodes) this.#entry(node);
    for (const row of image.sessions) this.#row(row);
    const { version, branch, promised, localFrom, nextInode } = image;
    const columns = 'epoch = ?, position = ?, branch = ?, promised = ?, local_from = ?, lineage = ?, next_inode = ?';
    const lineage = JSON.stringify(image.lineage);
    this.#set(columns, version.epoch, version.index, branch, promised, localFrom, lineage, nextInode);
  }

  #set(columns: string, ...values: (string | number | null)[]): void {
    // The first record of a new file finds no row to change.
    this.#database
      .prepare("INSERT OR IGNORE INTO state VALUES (1, ?, 0, 0, '', 0, NULL, '[]', ?)")
      .run(FORMAT, FRESH_IMAGE.nextInode);
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

  /** Copies what is there now into a file beside it. Gives the copy's path. */
  setAside(why: string): string {
    const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const base = join(this.#directory, `${FILE}.${why}-${stamp}`);
    let file = base;
    for (let count = 2; existsSync(file); count += 1) file = `${base}-${count}`;
    this.#database.prepare('VACUUM INTO ?').run(file);
    return file;
  }

  close(): void {
    this.#database.close();
  }
}

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
  `${file} is damaged (${words}). Move it aside and start pmxcfs again: a node of a cluster then takes the tree from the others.`;
