/** Deliberate defects of the ring and of the votes, each one line, and the invariant that catches each. */
import type { Invariant } from '../checkers/checker.ts';

export interface Defect {
  /** What the mutated code does wrong. */
  readonly name: string;
  /** File of the core, from the project's root. */
  readonly file: string;
  /** Text that is in the file exactly once, and what stands there instead. */
  readonly find: string;
  readonly replace: string;
  readonly caughtBy: Invariant;
  readonly nodes: number;
  /** Milliseconds between two incidents, where the plans' own are too rare for this one. */
  readonly incidents?: number;
}

const totem = (file: string): string => `agent/totem/${file}.ts`;

export const defects: readonly Defect[] = [
  {
    name: 'a safe message is delivered without waiting for anybody',
    ...{ file: totem('message-log'), find: '(message.safe && message.seq > stable)', replace: 'false' },
    ...{ caughtBy: 'safe-delivery', nodes: 3 },
  },
  {
    name: 'one sight of the token proves that all have a message',
    ...{
      file: totem('rotation'),
      find: 'const stable = Math.min(aru, this.aruBefore);',
      replace: 'const stable = aru;',
    },
    ...{ caughtBy: 'safe-delivery', nodes: 3 },
  },
  {
    name: 'a token that rested counts as one that went round',
    ...{
      file: totem('rotation'),
      find: 'if (!rested) this.aruBefore = this.lastAru;',
      replace: 'this.aruBefore = this.lastAru;',
    },
    ...{ caughtBy: 'safe-delivery', nodes: 3 },
  },
  {
    name: 'the transitional configuration delivers sender by sender',
    file: totem('delivery'),
    find: 'this.deliverUpTo(Infinity);',
    replace: 'for (const one of this.log.remainder().sort((a, b) => b.sender - a.sender)) this.handOver(one);',
    caughtBy: 'agreement-and-order',
    nodes: 4,
  },
  {
    name: 'each node ends the old regular configuration where it stands',
    ...{ file: totem('delivery'), find: 'this.stable = Math.max(this.stable, stable);', replace: '' },
    ...{ caughtBy: 'virtual-synchrony', nodes: 3 },
  },
  {
    name: 'nothing of the old ring is resent',
    ...{ file: totem('recovery'), find: 'keeper === self)', replace: 'false)' },
    ...{ caughtBy: 'virtual-synchrony', nodes: 3 },
  },
  {
    name: 'recovery ends before everybody has everything',
    ...{ file: totem('rotation'), find: 'lacksNothing && visitor.waiting() === 0', replace: 'visitor.waiting() === 0' },
    ...{ caughtBy: 'virtual-synchrony', nodes: 3 },
  },
  {
    name: 'a restarted node takes itself for a member of the ring that it formed last',
    ...{ file: totem('ring'), find: 'sequence: config.sequence + 1 }', replace: 'sequence: config.sequence }' },
    ...{ caughtBy: 'delivery', nodes: 3, incidents: 60 },
  },
  {
    name: 'nodes of other rings count as those who come along',
    ...{ file: totem('recovery'), find: 'sameRing(entry.old.ring, ring)', replace: 'ring !== null' },
    ...{ caughtBy: 'virtual-synchrony', nodes: 3 },
  },
  {
    name: 'an old token is taken again',
    ...{ file: totem('token-holder'), find: '|| token.hop <= this.lastHop', replace: '' },
    ...{ caughtBy: 'delivery', nodes: 3 },
  },
  {
    name: 'a receiver that is behind does not hold the others back',
    ...{ file: totem('rotation'), find: 'if (log.aru < aru || ', replace: 'if (' },
    ...{ caughtBy: 'safe-delivery', nodes: 3 },
  },
  {
    name: 'what is missing is never asked for',
    ...{
      file: totem('rotation'),
      find: 'const own = log.missing(overdue, most);',
      replace: 'const own: number[] = [];',
    },
    ...{ caughtBy: 'delivery', nodes: 3 },
  },
  {
    name: 'what the old ring delivered is said again on the new one',
    ...{ file: totem('packing'), find: 'this.underway.shift();', replace: '' },
    ...{ caughtBy: 'delivery', nodes: 3 },
  },
  {
    name: 'what waited for the token is forgotten with the ring',
    ...{ file: totem('packing'), find: ', ...this.queue.take()]', replace: ']' },
    ...{ caughtBy: 'delivery', nodes: 3 },
  },
  {
    name: 'a payload is given out with its first piece',
    ...{ file: totem('packing'), find: 'if ((flags & LAST) === 0) continue;', replace: '' },
    ...{ caughtBy: 'delivery', nodes: 3 },
  },
  {
    name: 'the sequence of a new ring is not written down',
    ...{
      file: totem('ring'),
      find: "kind: 'persist', sequence: ring.sequence",
      replace: "kind: 'persist', sequence: 4",
    },
    ...{ caughtBy: 'views', nodes: 3 },
  },
  {
    name: 'all lives of a node choose from the same sequences',
    ...{ file: totem('ids'), find: ' + (first % STRIDE) - (first % 4);', replace: ';' },
    ...{ caughtBy: 'views', nodes: 2 },
  },
  {
    name: 'a ring does not make itself known to those who are not in it',
    ...{ file: totem('ring'), find: 'if (this.isRepresentative()) {', replace: 'if (this.members.length === 0) {' },
    ...{ caughtBy: 'liveness', nodes: 3 },
  },
  {
    name: 'an older version never steps back',
    ...{ file: totem('versions'), find: "this.quorate ? 'kept-out' : 'step-back'", replace: "'kept-out'" },
    ...{ caughtBy: 'liveness', nodes: 3 },
  },
  {
    name: 'a node that was given up is waited for all the same',
    ...{ file: totem('gathering'), find: '.filter((node) => !this.fail.has(node))', replace: '' },
    ...{ caughtBy: 'delivery', nodes: 3 },
  },
  {
    name: 'half of the votes is a majority',
    file: 'agent/quorum/quorum.ts',
    ...{
      find: 'rules.lowers ? fresh : members) * 2 > whole',
      replace: 'rules.lowers ? fresh : members) * 2 >= whole',
    },
    ...{ caughtBy: 'quorum-unique', nodes: 2 },
  },
];
