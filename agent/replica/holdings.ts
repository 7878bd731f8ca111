/** What this node holds: its state, what it has promised, and how much of it is certainly the common history. */
import { ok, type Result } from '../result.ts';
import type { Hash } from '../tree/snapshot.ts';
import type { Errno } from '../tree/types.ts';
import { Database, type Submission } from './database.ts';
import type { Place, StateMessage } from './messages.ts';
import type { ReplicaImage, StoreRecord } from './types.ts';

type RecordOf<Kind extends StoreRecord['kind']> = Extract<StoreRecord, { kind: Kind }>;

export class Holdings {
  private current: Database;
  private promised: number;
  /** Up to this index of its epoch the history is certainly the view's (replica.ts). */
  private settled: number;
  private localFrom: number | null;
  private forgetful: boolean;

  private constructor(database: Database, image: ReplicaImage) {
    this.current = database;
    this.promised = Math.max(image.promised, database.version.epoch);
    // What a stopped process had on disk it may have acknowledged; not what it wrote in local mode.
    this.settled = image.localFrom ?? database.version.index;
    this.localFrom = image.localFrom;
    this.forgetful = image.forgetful === true;
  }

  /** What a stored image holds, or in words why it is damaged. */
  static load(image: ReplicaImage): Result<Holdings, string> {
    const database = Database.load(image);
    return database.ok ? ok(new Holdings(database.value, image)) : database;
  }

  get database(): Database {
    return this.current;
  }

  /** For the members of a view to choose the most advanced one by. */
  standing(hash: Hash): Omit<StateMessage, 'kind' | keyof Place> {
    const { current, settled, promised, forgetful } = this;
    const { version, branch } = current;
    return { version, branch, settled, promised, digest: current.digest(hash), forgetful };
  }

  promise(epoch: number): RecordOf<'promise'> {
    this.promised = epoch;
    return { kind: 'promise', promised: epoch };
  }

  /** Everything up to this index is on disk here, and another member of the view has acknowledged the same. */
  settle(index: number): void {
    this.settled = Math.max(this.settled, index);
  }

  /** Goes on in an epoch with the state there is. */
  enter(epoch: number, branch: string): RecordOf<'epoch'> {
    const record = this.current.enter(epoch, branch);
    this.begun();
    return record;
  }

  /**
   * Another state takes the place of this one, which becomes `lost` when it has something of its own. `since` brings
   * the state of the plan to where the order stands.
   */
  adopt(state: Database, since: (state: Database) => void): { record: RecordOf<'adopt'>; lost: ReplicaImage | null } {
    const before = this.current;
    const isKnown = state.includes(before) && this.settled >= before.version.index;
    const lost = isKnown ? null : before.image(this.promised, this.localFrom);
    since(state);
    const { nodes, ...rest } = state.image(this.promised, null);
    // Entries never change in place: what is the same object has not changed.
    const put = nodes.filter((node) => before.tree.get(node.inode) !== node);
    const gone = [...before.tree.all()].filter(({ inode }) => state.tree.get(inode) === undefined);
    this.current = state;
    this.begun();
    return { record: { kind: 'adopt', put, removed: gone.map(({ inode }) => inode), rest }, lost };
  }

  private begun(): void {
    [this.settled, this.localFrom, this.forgetful] = [0, null, false];
  }

  /** Applies without the others: what to store, in order. */
  applyAlone(submission: Submission): Result<readonly [...RecordOf<'local'>[], RecordOf<'operation'>], Errno> {
    const { index } = this.current.version;
    const done = this.current.apply(submission);
    if (!done.ok) return done;
    if (this.localFrom !== null) return ok([done.value]);
    // A cluster that went on without this node must win over what is written here alone.
    this.localFrom = index;
    return ok([{ kind: 'local', from: index }, done.value]);
  }
}
