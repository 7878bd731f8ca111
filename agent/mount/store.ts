/**
 * The replica's stable storage: one SQLite file. What `commit` has returned from survives a crash of the
 * process, of the machine, or of its power (WAL with synchronous=FULL).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { decodeName, encodeName } from '../tree/names.ts';
import { treeOf } from '../tree/snapshot.ts';
import { Tree } from '../tree/tree.ts';
import { NEVER, type Change, type TreeNode, type Version } from '../tree/types.ts';

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
    next_inode INTEGER NOT NULL
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
  readonly #state: StatementSync;

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
      if (/locked|busy/i.test(words)) throw new Error(`another pmxcfs of this node is running: ${file} is locked`);
      throw new StoreDamaged(damaged(file, words));
    }
  }

  private constructor(directory: string, database: DatabaseSync) {
    this.#directory = directory;
    this.#database = database;
    this.#put = database.prepare('INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#remove = database.prepare('DELETE FROM entry WHERE inode = ?');
    this.#state = database.prepare('INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)');
  }

  /** What the file holds; an empty tree at version (0, 0) for a new one. Throws StoreDamaged. */
  load(): { readonly tree: Tree; readonly version: Version } {
    const state = this.#database.prepare('SELECT format, epoch, position, next_inode FROM state').get() as
      { format: number; epoch: number; position: number; next_inode: number } | undefined;
    if (state === undefined) return { tree: new Tree(), version: NEVER };
    const file = join(this.#directory, FILE);
    if (state.format !== FORMAT) {
      throw new StoreDamaged(
        `${file} has format ${state.format}; this version reads format ${FORMAT}. Install a newer agent.`,
      );
    }
    const rows = this.#database.prepare('SELECT * FROM entry').all() as unknown as Row[];
    const tree = treeOf(rows.map(nodeOf), state.next_inode);
    if (!tree.ok) throw new StoreDamaged(damaged(file, tree.error));
    return { tree: tree.value, version: { epoch: state.epoch, index: state.position } };
  }

  /** All or nothing, and on stable storage when it returns. `changes` in order. */
  commit(changes: readonly Change[], version: Version, nextInode: number): void {
    this.#transaction(() => {
      for (const change of changes) {
        for (const inode of change.removed) this.#remove.run(inode);
        for (const { node } of change.put) this.#write(node);
      }
      this.#state.run(FORMAT, version.epoch, version.index, nextInode);
    });
  }

  /** Puts another tree in place of all there is. */
  replace(tree: Tree, version: Version): void {
    this.#transaction(() => {
      this.#database.exec('DELETE FROM entry');
      for (const node of tree.all()) this.#write(node);
      this.#state.run(FORMAT, version.epoch, version.index, tree.nextInode);
    });
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

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #write(node: TreeNode): void {
    const { inode, parent, kind, mtimeS, version, writer, data } = node;
    const directory = kind === 'directory' ? 1 : 0;
    this.#put.run(inode, parent, encodeName(node.name), directory, mtimeS, version.epoch, version.index, writer, data);
  }
}

interface Row {
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

const nodeOf = (row: Row): TreeNode => ({
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
