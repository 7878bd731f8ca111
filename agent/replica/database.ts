/** The replicated state: the tree, where in the history it stands, and what it already contains. */
import { ok, type Result } from '../result.ts';
import type { NodeId } from '../totem/ids.ts';
import { applyOperation } from '../tree/apply.ts';
import { ByteWriter, Malformed, type ByteReader } from '../tree/bytes.ts';
import { readVersion, writeVersion } from '../tree/codec.ts';
import { digestTree, treeOf, type Hash } from '../tree/snapshot.ts';
import type { Tree } from '../tree/tree.ts';
import type { Errno, Operation, Version } from '../tree/types.ts';
import { readSessions, Sessions, writeSessions } from './sessions.ts';
import type { Era, ReplicaImage, StoreRecord } from './types.ts';

/** Closed epochs remembered; a node away for longer sets its state aside even where it need not. */
const LONGEST_LINEAGE = 256;

/** An operation as it is delivered, with what all members know of it. */
export interface Submission {
  readonly node: NodeId;
  readonly session: number;
  readonly counter: number;
  readonly floor: number;
  readonly mtimeS: number;
  readonly operation: Operation;
}

export class Database {
  readonly tree: Tree;
  private readonly sessions: Sessions;
  private at: Version;
  private name: string;
  private eras: readonly Era[];

  constructor(tree: Tree, image: Pick<ReplicaImage, 'version' | 'branch' | 'lineage' | 'sessions'>) {
    this.tree = tree;
    this.sessions = new Sessions(image.sessions);
    this.at = image.version;
    this.name = image.branch;
    this.eras = image.lineage;
  }

  /** The state of a stored image, or why it cannot be one. */
  static load(image: ReplicaImage): Result<Database, string> {
    const tree = treeOf(image.nodes, image.nextInode);
    return tree.ok ? ok(new Database(tree.value, image)) : tree;
  }

  get version(): Version {
    return this.at;
  }
  get branch(): string {
    return this.name;
  }

  contains(node: NodeId, session: number, counter: number): boolean {
    return this.sessions.contains(node, session, counter);
  }

  /** Applies as the next operation of this epoch: what to store, or the operation's errno and no change. */
  apply(submission: Submission): Result<Extract<StoreRecord, { kind: 'operation' }>, Errno> {
    const { node, session, counter, floor, mtimeS, operation } = submission;
    const version = { epoch: this.at.epoch, index: this.at.index + 1 };
    const stamp = { inode: this.tree.nextInode, mtimeS, writer: node, version };
    const outcome = applyOperation(this.tree, operation, stamp);
    if (!outcome.ok) return outcome;
    this.at = version;
    const row = this.sessions.note(node, session, floor, counter);
    return ok({ kind: 'operation', version, change: outcome.value, nextInode: this.tree.nextInode, session: row });
  }

  /** Closes the present epoch and begins the next one. */
  enter(epoch: number, branch: string): Extract<StoreRecord, { kind: 'epoch' }> {
    const closed: Era = { epoch: this.at.epoch, branch: this.name, end: this.at.index };
    this.eras = [...this.eras, closed].slice(-LONGEST_LINEAGE);
    this.at = { epoch, index: 0 };
    this.name = branch;
    return { kind: 'epoch', version: this.at, branch, lineage: this.eras };
  }

  /** Is every operation of `other` in here too, going by the history? Of local histories none is known. */
  includes(other: { readonly version: Version; readonly branch: string }): boolean {
    const { epoch, index } = other.version;
    if (epoch === 0) return index === 0;
    if (epoch === this.at.epoch && other.branch === this.name) return index <= this.at.index;
    return this.eras.some((era) => era.epoch === epoch && era.branch === other.branch && index <= era.end);
  }

  image(promised: number, localFrom: number | null): ReplicaImage {
    return {
      nodes: [...this.tree.all()],
      nextInode: this.tree.nextInode,
      version: this.at,
      branch: this.name,
      promised,
      localFrom,
      lineage: this.eras,
      sessions: this.sessions.all(),
    };
  }

  /** Equal for two replicas exactly when tree and sessions are equal. */
  digest(hash: Hash): Uint8Array {
    const out = new ByteWriter();
    out.raw(digestTree(this.tree, hash));
    writeSessions(out, this.sessions.all());
    return hash(out.done());
  }

  /** Everything but the entries. */
  rest(): DatabaseRest {
    const { at: version, name: branch, eras: lineage, sessions, tree } = this;
    return { version, branch, lineage, sessions: sessions.all(), nextInode: tree.nextInode };
  }
}

/** A state without its entries. */
export type DatabaseRest = Pick<ReplicaImage, 'version' | 'branch' | 'lineage' | 'sessions' | 'nextInode'>;

export function writeRest(out: ByteWriter, rest: DatabaseRest): void {
  writeVersion(out, rest.version);
  out.text(rest.branch);
  out.u32(rest.lineage.length);
  for (const era of rest.lineage) {
    out.integer(era.epoch);
    out.text(era.branch);
    out.integer(era.end);
  }
  writeSessions(out, rest.sessions);
  out.integer(rest.nextInode);
}

const readBranch = (input: ByteReader): string => {
  const branch = input.text(64);
  if (!/^[0-9a-f]*$/.test(branch)) throw new Malformed('an epoch has an odd name');
  return branch;
};

/** Throws Malformed: only for use inside `decoded`. */
export function readRest(input: ByteReader): DatabaseRest {
  const [version, branch] = [readVersion(input), readBranch(input)];
  const lineage = Array.from({ length: input.items(20) }, () => ({
    epoch: input.count(),
    branch: readBranch(input),
    end: input.count(),
  }));
  return { version, branch, lineage, sessions: readSessions(input), nextInode: input.count() };
}
