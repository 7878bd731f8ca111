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
    ...{
      file: core('acks'),
      find: 'if (isEnough(sum, total, quorum)) return each.index;',
      replace: 'return each.index;',
    },
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'what is applied counts as stored',
    ...{ file: core('membership'), find: 'const index = this.acks.safe(this.view.members, this.quorum);' },
    replace: 'const { index } = this.port.holdings.database.version;',
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'an operation is acknowledged to the others before it is on disk',
    ...{
      file: core('membership'),
      find: "this.port.store(done.value, { kind: 'ack', version: database.version }, awaited);",
    },
    replace:
      "this.port.store(done.value, { kind: 'nothing' }); this.ownAcks.stored(database.version.index); this.acknowledge();",
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'the least advanced state wins',
    ...{ file: core('agreement'), find: 'advance(state, best.state) > 0', replace: 'advance(state, best.state) < 0' },
    ...{ caughtBy: 'acknowledged-kept', nodes: 3 },
  },
  {
    name: 'an operation of unknown fate is taken for done',
    ...{ file: core('own-operations'), find: 'if (database.contains(self, session, entry.counter)) {' },
    replace: "if (entry.progress.kind === 'unknown' || database.contains(self, session, entry.counter)) {",
    ...{ caughtBy: 'stored-by-majority', nodes: 3 },
  },
  {
    name: 'a state taken from another is not put on disk',
    ...{ file: core('holdings'), find: "record: { kind: 'adopt', put," },
    replace: "record: { kind: 'adopt', put: [],",
    ...{ caughtBy: 'acknowledged-kept', nodes: 3 },
  },
  {
    name: 'a view has quorum until it is told that it has none',
    ...{ file: core('membership'), find: 'this.quorum = quorum;\n    this.port = port;' },
    replace: 'this.quorum = { ...quorum, quorate: true, needed: 1 };\n    this.port = port;',
    ...{ caughtBy: 'quorum-only', nodes: 3 },
  },
  {
    name: 'what may have been done is answered as not done',
    ...{ file: core('own-operations'), find: "entry.progress.kind === 'held' ? 'EACCES' : 'EIO'", replace: "'EACCES'" },
    ...{ caughtBy: 'refused-not-done', nodes: 3 },
  },
  {
    name: 'a new view goes on in the epoch of the last one',
    ...{ file: core('agreement'), find: 'epoch: highest + 1', replace: 'epoch: Math.max(1, state.version.epoch)' },
    ...{ caughtBy: 'one-order', nodes: 3 },
  },
  {
    name: 'those behind keep the state they have',
    ...{ file: core('holdings'), find: 'this.current = state;', replace: '' },
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'the last record of a commit is waited for with the next one',
    ...{ file: core('journal'), find: 'each.ticket > ticket', replace: 'each.ticket >= ticket' },
    ...{ caughtBy: 'everybody-answered', nodes: 3 },
  },
  {
    name: 'what was asked for before the view is forgotten',
    ...{ file: core('own-operations'), find: "entry.progress = { kind: 'held' };\n        entry.deadline = Infinity;" },
    replace: 'entry.deadline = Infinity;',
    ...{ caughtBy: 'everybody-answered', nodes: 3 },
  },
  {
    name: 'what was heard while the state was on its way is forgotten',
    ...{
      file: core('membership'),
      find: 'for (const { sender, message } of heard) this.apply(database, sender, message);',
    },
    ...{ replace: 'void heard;', caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'one that is behind takes what it hears for its own state',
    ...{
      file: core('membership'),
      find: 'if (this.catchingUp !== null) {\n      if (this.catchingUp.hear(node, message)) return;',
    },
    replace:
      'if (this.catchingUp !== null && this.catchingUp.state !== null) {\n      if (this.catchingUp.hear(node, message)) return;',
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'the leader sends what it has now and not what the plan was made of',
    ...{ file: core('transfer'), find: 'this.frozen = { nodes: [...database.tree.all()], rest: database.rest() };' },
    replace:
      'this.frozen = { get nodes() { return [...database.tree.all()]; }, get rest() { return database.rest(); } };',
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'entries that the leader has not are left with those behind',
    ...{ file: core('transfer'), find: 'if (!ours.has(inode)) foreign.add(inode);', replace: 'void inode;' },
    ...{ caughtBy: 'replicas-identical', nodes: 3 },
  },
  {
    name: 'operations that wait for room are never sent',
    ...{
      file: core('membership'),
      find: 'if (entry !== undefined) this.sendHeld();',
      replace: '',
    },
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
