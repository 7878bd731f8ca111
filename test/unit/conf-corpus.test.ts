/**
 * The judge of validity is the real daemon: 520 files with the verdict of Corosync 3.1.7, the machine each was read
 * on, the line it named, and the keys and timers it ran with. Prints how our verdict stands beside its.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  applyEdits,
  cmapOf,
  diagnose,
  effectiveTimers,
  format,
  localKeys,
  parse,
  print,
  type Environment,
} from '../../agent/conf/index.ts';

interface Case {
  readonly rule: string;
  readonly verdict: 'ok' | 'rejected' | 'rejected-at-start-only' | 'crash';
  readonly reason: string;
  readonly text: string;
  /** The machine it was read on. */
  readonly env: Environment;
  /** The line that Corosync named. */
  readonly line?: number;
  /** What a start made of the file, keys of the machine's resources left out. */
  readonly cmap?: Readonly<Record<string, string>>;
  /** token, token_retransmit, hold, consensus, join */
  readonly timers?: readonly number[];
}

const cases = readFileSync(join(import.meta.dirname, '../fixtures/corosync-conf.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

/** Corosync says nothing of these and does something else than is meant: errors of ours on purpose. */
const STRICTER = new Set(['name-twice', 'address-twice', 'address-missing']);

const errorsOf = ({ text, env }: Case) =>
  diagnose(text, { environment: env }).filter(({ severity, rule }) => severity === 'error' && !STRICTER.has(rule));

/** Who runs it, and which files and users there are: in no text and in no list of addresses. */
const OF_THE_MACHINE = /Can't open logfile|Could not open|Cannot chdir|(user|group) .* not|'nosuch/;

const told = (list: readonly Case[]): string[] => list.map(({ rule, reason }) => `${rule}: ${reason}`);

describe('the corpus of Corosync’s verdicts', () => {
  test('every file comes back byte for byte', () => {
    for (const { text, rule } of cases) assert.equal(print(parse(text)), text, rule);
  });

  test('our verdict is Corosync’s', () => {
    const verdicts = ['ok', 'rejected', 'rejected-at-start-only', 'crash'] as const;
    const judged = cases.map((one) => ({
      one,
      refused: errorsOf(one).length > 0,
      machine: OF_THE_MACHINE.test(one.reason),
    }));
    console.log('    Corosync 3.1.7            files   we: good   we: error   of the machine');
    for (const verdict of verdicts) {
      const of = judged.filter(({ one }) => one.verdict === verdict);
      const [machine, rest] = [
        of.filter((one) => one.machine && !one.refused),
        of.filter((one) => !one.machine || one.refused),
      ];
      const columns = [
        of.length,
        rest.filter(({ refused }) => !refused).length,
        rest.filter(({ refused }) => refused).length,
      ];
      const shown = columns.map((count, index) => String(count).padStart([6, 11, 12][index] ?? 0)).join('');
      console.log(`    ${verdict.padEnd(24)} ${shown}${String(machine.length).padStart(17)}`);
    }
    assert.ok(cases.length > 500, 'enough of them for the rest to mean something');
    const wrong = judged.filter(({ one, refused }) => one.verdict === 'ok' && refused);
    assert.deepEqual(
      wrong.flatMap(({ one }) => errorsOf(one).map(({ rule, line }) => `${one.rule}: ${rule} ${line}`)),
      [],
    );
    const missed = judged.filter(({ one, refused, machine }) => one.verdict !== 'ok' && !refused && !machine);
    assert.deepEqual(told(missed.map(({ one }) => one)), []);
  });

  test('an error stands at the line that Corosync names', () => {
    const elsewhere = cases.filter((one) => {
      if (one.line === undefined || one.verdict === 'ok' || OF_THE_MACHINE.test(one.reason)) return false;
      return !errorsOf(one).some(({ line }) => line === one.line);
    });
    assert.deepEqual(
      elsewhere.map(({ rule, line, reason }) => `${rule} line ${line}: ${reason}`),
      [],
    );
  });

  test('the keys are those that Corosync makes of the file', () => {
    const counted = cases.filter(({ cmap }) => cmap !== undefined);
    assert.ok(counted.length > 250);
    for (const { rule, text, cmap = {} } of counted) {
      const ours = cmapOf(text);
      // Where this machine stands in the list is for Corosync to find out, whatever the file says.
      const { 'nodelist.local_node_pos': position, ...theirs } = cmap;
      ours.delete('nodelist.local_node_pos');
      for (const [key, value] of localKeys(ours, Number(position))) ours.set(key, value);
      // The recorded list has only the sections that Corosync itself reads.
      const known = [...ours].filter(([key]) => /^(totem|nodelist|quorum|logging|system|uidgid|nozzle)\./.test(key));
      assert.deepEqual(Object.fromEntries(known.sort()), Object.fromEntries(Object.entries(theirs).sort()), rule);
    }
  });

  test('the timers are those that it runs with', () => {
    for (const { rule, text, timers } of cases) {
      // Two addresses of one node for link 0: Corosync counts it as two nodes.
      if (timers === undefined || rule === 'nod-ring00') continue;
      const { token, retransmit, hold, consensus, join: joining } = effectiveTimers(parse(text));
      assert.deepEqual([token, retransmit, hold, consensus, joining], timers, rule);
    }
  });

  test('every fix changes the text, and leaves it without the error it is for or with fewer of them', () => {
    for (const { text, rule } of cases) {
      const before = diagnose(text);
      for (const found of before) {
        if (found.fix === null) continue;
        const fixed = applyEdits(text, found.fix.edits);
        assert.notEqual(fixed, text, `${rule}: ${found.rule}`);
        const same = (list: ReturnType<typeof diagnose>): number =>
          list.filter((one) => one.rule === found.rule).length;
        assert.ok(same(diagnose(fixed)) < same(before), `${rule}: ${found.rule} stays after "${found.fix.title}"`);
      }
    }
  });

  test('a file that is laid out anew means the same', () => {
    for (const one of cases) {
      if (one.verdict !== 'ok') continue;
      const laidOut = format(one.text);
      assert.deepEqual([...cmapOf(laidOut)], [...cmapOf(one.text)], one.rule);
      assert.equal(format(laidOut), laidOut, one.rule);
    }
  });
});
