/** The checkers of the fault runs: what a perfect store does is good, and what no store may do is found. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ALTERATIONS } from '../jepsen/alterations.ts';
import { composeFile, composeRecord, parseFile, parseRecords } from '../jepsen/client/values.ts';
import {
  operationsOf,
  type Action,
  type Event,
  type History,
  type Operation,
  type Outcome,
} from '../jepsen/history.ts';
import { CHECKERS, judge, tooFew } from '../jepsen/judge.ts';
import { perfectHistory } from '../jepsen/perfect-store.ts';
import { seeded } from '../sim/chance.ts';

const NOTHING: History = { placed: {}, operations: [], network: [], faults: [], finals: [] };

/** `ended` null: nobody knows whether it was done. A string instead of an outcome is the errno of what failed. */
function did(process: string, action: Action, begun: number, ended: number | null, came?: Outcome | string): Operation {
  const failed = typeof came === 'string';
  return {
    ...{ process, node: process.slice(0, 4), action, begun, ended: ended ?? Infinity, mount: 1 },
    type: ended === null ? 'info' : failed ? 'fail' : 'ok',
    error: failed ? came : '',
    outcome: came === undefined || failed ? null : came,
  };
}
const write = (value: string): Action => ({ f: 'write', key: 'r0', value, way: 'rename' });
const read = (mode: 'local' | 'fresh' | 'settled'): Action => ({ f: 'read', key: 'r0', mode });
const saw = (id: string): Outcome => ({ read: { kind: 'whole', id } });
const move = (from: string, to: string): Action => ({ f: 'move', key: '100', from, to });

function found(
  checker: keyof typeof CHECKERS,
  operations: readonly Operation[],
  more: Partial<History> = {},
): string[] {
  return CHECKERS[checker]({ ...NOTHING, ...more, operations });
}

describe('histories of a perfect store', () => {
  test('are good, whatever lags, fails or is not known', () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      for (const { name, violations } of judge(perfectHistory(seeded(seed)))) {
        assert.deepEqual(violations, [], `seed ${seed}: ${name}`);
      }
    }
  });

  for (const { name, caughtBy, alter } of ALTERATIONS) {
    test(`with one thing altered are not: ${name}`, () => {
      let tried = 0;
      for (let seed = 1; seed <= 30; seed += 1) {
        const altered = alter(perfectHistory(seeded(seed)));
        if (altered === null) continue;
        tried += 1;
        assert.notDeepEqual(CHECKERS[caughtBy](altered), [], `seed ${seed}`);
      }
      assert.ok(tried >= 10, `it could be tried ${tried} times only`);
    });
  }
});

describe('settled reads', () => {
  const checker = 'settled reads are linearizable, fresh reads are fresh';
  test('may see either of two writes at once', () => {
    for (const value of ['a', 'b'])
      assert.deepEqual(
        found(checker, [
          did('pve1.0', write('a'), 0, 10),
          did('pve2.0', write('b'), 5, 12),
          did('pve3.0', read('settled'), 20, 21, saw(value)),
        ]),
        [],
      );
  });
  test('may see what is of unknown outcome, late; and then nobody sees what was before', () => {
    const late = [
      did('pve1.0', write('a'), 0, null),
      did('pve2.0', write('b'), 5, 12),
      did('pve3.0', read('settled'), 20, 21, saw('b')),
      did('pve3.0', read('settled'), 30, 31, saw('a')),
    ];
    assert.deepEqual(found(checker, late), []);
    assert.notDeepEqual(found(checker, [...late, did('pve4.0', read('settled'), 40, 41, saw('b'))]), []);
  });
  test('never see what was overwritten, nor what was written later, nor what nobody wrote', () => {
    const writes = [did('pve1.0', write('a'), 0, 10), did('pve2.0', write('b'), 11, 12)];
    assert.notDeepEqual(found(checker, [...writes, did('pve3.0', read('settled'), 20, 21, saw('a'))]), []);
    assert.notDeepEqual(found(checker, [did('pve3.0', read('settled'), -5, -4, saw('b')), ...writes]), []);
    assert.notDeepEqual(found(checker, [...writes, did('pve3.0', read('settled'), 20, 21, saw('c'))]), []);
  });
});

describe('local reads', () => {
  const checker = 'each file has one order';
  const writes = [did('pve1.0', write('a'), 0, 10), did('pve2.0', write('b'), 5, 12)];
  test('may lag', () => {
    assert.deepEqual(found(checker, [...writes, did('pve3.0', read('local'), 90, 91, saw('first'))]), []);
  });
  test('come in one order for all readers', () => {
    const one = [did('pve3.0', read('local'), 20, 21, saw('a')), did('pve3.0', read('local'), 22, 23, saw('b'))];
    const other = [did('pve4.0', read('local'), 20, 21, saw('b')), did('pve4.0', read('local'), 22, 23, saw('a'))];
    assert.deepEqual(found(checker, [...writes, ...one]), []);
    assert.deepEqual(found(checker, [...writes, ...other]), []);
    assert.match(found(checker, [...writes, ...one, ...other]).join(), /no one order/);
  });
  test('may go back when the node was started again, and when what they saw was still under way', () => {
    const back = { ...did('pve3.0', read('local'), 30, 31, saw('a')), mount: 2 };
    const sequence = [did('pve3.0', read('local'), 20, 21, saw('a')), did('pve3.0', read('local'), 22, 23, saw('b'))];
    assert.deepEqual(found(checker, [...writes, ...sequence, back]), []);
    assert.notDeepEqual(found(checker, [...writes, ...sequence, { ...back, mount: 1 }]), []);
    const early = [did('pve4.0', read('local'), 6, 7, saw('b')), did('pve4.0', read('local'), 20, 21, saw('a'))];
    assert.deepEqual(found(checker, [...writes, ...early]), []);
  });
});

describe('a guest', () => {
  const checker = 'a guest is at one place';
  const [a, b, c] = ['nodes/a/lxc/100.conf', 'nodes/b/lxc/100.conf', 'nodes/c/lxc/100.conf'];
  const ends = (place: string): Partial<History> => ({
    placed: { 100: a },
    finals: [{ node: 'pve1', registers: {}, logs: {}, created: {}, guests: { 100: [place] }, digest: '' }],
  });
  test('moves from where it is', () => {
    const moves = [did('pve1.0', move(a, b), 0, 10), did('pve2.0', move(b, c), 5, 20)];
    assert.deepEqual(found(checker, moves, ends(c)), []);
    assert.notDeepEqual(found(checker, moves, ends(b)), []);
  });
  test('is not moved twice from one place', () => {
    const moves = [did('pve1.0', move(a, b), 0, 10), did('pve2.0', move(a, c), 5, 20)];
    assert.notDeepEqual(found(checker, moves, ends(c)), []);
    assert.deepEqual(found(checker, [...moves.slice(1), did('pve1.0', move(a, b), 0, null)], ends(c)), []);
    // The move that nobody heard of again may have been done, and undone by a third.
    assert.deepEqual(
      found(checker, [did('pve3.0', move(b, a), 1, 4), did('pve1.0', move(a, b), 0, null), ...moves.slice(1)], ends(c)),
      [],
    );
  });
});

test('a lock released by its holder may be taken by another, and no sooner', () => {
  const lock = { f: 'lock', key: 'j' } as const;
  const unlock = { f: 'unlock', key: 'j' } as const;
  const held = [did('pve1.0', lock, 0, 10), did('pve1.0', unlock, 20, 30)];
  assert.deepEqual(found('a lock has one holder', [...held, did('pve2.0', lock, 15, 25)]), []);
  assert.notDeepEqual(found('a lock has one holder', [...held, did('pve2.0', lock, 12, 19)]), []);
  assert.notDeepEqual(found('a lock has one holder', [...held.slice(0, 1), did('pve2.0', lock, 90, 91)]), []);
});

test('a name that exists was made by somebody', () => {
  const create = (value: string): Action => ({ f: 'create', key: 'x', value });
  const checker = 'an exclusive create has one winner';
  assert.notDeepEqual(found(checker, [did('pve1.0', create('a'), 0, 1, 'EEXIST')]), []);
  assert.deepEqual(
    found(checker, [did('pve1.0', create('a'), 2, 3, 'EEXIST'), did('pve2.0', create('b'), 0, null)]),
    [],
  );
});

test('events become operations; what never ended is of unknown outcome', () => {
  const invoke = (process: string, time: number): Event => ({
    type: 'invoke',
    time,
    process,
    node: 'pve1',
    action: write('a'),
  });
  const operations = operationsOf([
    invoke('p', 1),
    { type: 'ok', time: 2, process: 'p', mount: 1 },
    invoke('p', 3),
    invoke('q', 4),
  ]);
  assert.deepEqual(
    operations.map(({ begun, ended, type }) => [begun, ended, type]),
    [
      [1, 2, 'ok'],
      [3, Infinity, 'info'],
      [4, Infinity, 'info'],
    ],
  );
});

test('a run in which hardly anything was done is no proof', () => {
  assert.equal(tooFew(perfectHistory(seeded(1)), 0.01).length, 0);
  assert.ok(tooFew(NOTHING, 1).length > 5);
});

describe('values', () => {
  test('survive, and any byte that is missing, added or another shows', () => {
    const text = composeFile('pve1.0.7', 300);
    assert.deepEqual(parseFile(text), { kind: 'whole', id: 'pve1.0.7' });
    const damaged = [
      '',
      text.slice(0, -1),
      `${text}x`,
      text.replace(/.$/, '#'),
      composeFile('other', 300).slice(0, 150) + text.slice(150),
    ];
    for (const each of damaged) assert.equal(parseFile(each).kind, 'torn', each.slice(0, 40));
  });
  test('of records: all of them, up to the first that is not whole', () => {
    const [one, two] = [composeRecord('a', 50), composeRecord('b', 500)];
    assert.deepEqual(parseRecords(one + two), { ids: ['a', 'b'], torn: null });
    assert.deepEqual(parseRecords(one + two.slice(0, -1)).ids, ['a']);
    assert.notEqual(parseRecords(one + two.slice(0, -1)).torn, null);
    assert.notEqual(parseRecords(one + two.slice(3)).torn, null);
  });
});
