/** Deliberate defects of the replica, each one text, and the invariant that catches each. */
import type { Mutation } from '../../defects/mutant.ts';
import type { ReplicaInvariant } from '../checkers/checker.ts';

export interface ReplicaDefect extends Mutation {
  /** What the mutated code does wrong. */
  readonly name: string;
  readonly caughtBy: ReplicaInvariant;
  readonly nodes: number;
}

const core = (file: string): string => `agent/replica/${file}.ts`;

export const defects: readonly ReplicaDefect[] = [
  {
    name: 'one disk is enough',
    ...{ file: core('acks'), find: 'if (sum >= quorum.needed && sum * 2 > total) return', replace: 'return' },
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'what is applied counts as stored',
    ...{ file: core('replica'), find: 'const index = this.acks.safe(view.members, this.quorum);' },
    replace: 'const { index } = this.database.version;',
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'an operation is acknowledged to the others before it is on disk',
    ...{ file: core('replica'), find: "this.store(done.value, { kind: 'ack', version: this.database.version });" },
    replace:
      "this.store(done.value, { kind: 'nothing' }); this.ownAcks.stored(this.database.version.index); this.acknowledge();",
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'the least advanced state wins',
    ...{ file: core('agreement'), find: 'advance(state, best.state) > 0', replace: 'advance(state, best.state) < 0' },
    ...{ caughtBy: 'acknowledged-kept', nodes: 3 },
  },
  {
    name: 'an operation of unknown fate is taken for done',
    ...{ file: core('replica'), find: 'if (this.database.contains(self, session, entry.counter)) {' },
    replace: "if (entry.progress.kind === 'unknown' || this.database.contains(self, session, entry.counter)) {",
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'a state taken from another is not put on disk',
    ...{ file: core('replica'), find: 'if (this.database === before) this.store(record, then);' },
    replace: 'if (before !== null) this.store(record, then);',
    ...{ caughtBy: 'acknowledged-kept', nodes: 3 },
  },
  {
    name: 'a view has quorum until it is told that it has none',
    ...{ file: core('replica'), find: 'this.quorum = quorum;\n    this.views += 1;' },
    replace: 'this.quorum = { ...quorum, quorate: true, needed: 1 };\n    this.views += 1;',
    ...{ caughtBy: 'quorum-only', nodes: 3 },
  },
  {
    name: 'what may have been done is answered as not done',
    ...{ file: core('replica'), find: "entry.progress.kind === 'held' ? 'EACCES' : 'EIO'", replace: "'EACCES'" },
    ...{ caughtBy: 'refused-not-done', nodes: 3 },
  },
  {
    name: 'one member that has promised opens the epoch for all',
    ...{ file: core('agreement'), find: 'this.active = this.promises.size === this.members.length;' },
    replace: 'this.active = true;',
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'a new view goes on in the epoch of the last one',
    ...{ file: core('agreement'), find: 'epoch: highest + 1', replace: 'epoch: Math.max(1, state.version.epoch)' },
    ...{ caughtBy: 'one-order', nodes: 3 },
  },
  {
    name: 'those behind keep the state they have',
    ...{ file: core('replica'), find: 'this.database = incoming;', replace: '' },
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'the last record of a commit is waited for with the next one',
    ...{ file: core('journal'), find: 'each.ticket > ticket', replace: 'each.ticket >= ticket' },
    ...{ caughtBy: 'everybody-answered', nodes: 3 },
  },
  {
    name: 'what was asked for before the view is forgotten',
    ...{ file: core('replica'), find: 'else this.send(view, entry);', replace: 'else entry.deadline = Infinity;' },
    ...{ caughtBy: 'everybody-answered', nodes: 3 },
  },
  {
    name: 'each replica stamps with a clock of its own',
    ...{ file: core('database'), find: 'inode: this.tree.nextInode, mtimeS,' },
    replace: 'inode: this.tree.nextInode, mtimeS: mtimeS + Math.floor(Math.random() * 9),',
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'a lock that is there is made again',
    file: 'agent/tree/apply.ts',
    find: "if (at.value.node !== undefined || isReserved(at.value.names)) return err('EEXIST');",
    replace: 'if (at.value.node !== undefined) return ok(NOTHING);',
    ...{ caughtBy: 'one-winner', nodes: 3 },
  },
];
