/**
 * The judge of validity is the real daemon: 520 files with the verdict of Corosync 3.1.7. What it takes we
 * never call an error. What it refuses we refuse, but for what depends on the machine that reads the file.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { applyEdits, diagnose, parse, print } from '../../agent/conf/index.ts';

interface Case {
  readonly rule: string;
  readonly verdict: 'ok' | 'rejected' | 'rejected-at-start-only' | 'crash';
  readonly reason: string;
  readonly text: string;
}

const cases = readFileSync(join(import.meta.dirname, '../fixtures/corosync-conf.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

/** Corosync says nothing of these and does something else than is meant: errors of ours on purpose. */
const STRICTER = new Set(['name-twice', 'address-twice', 'address-missing']);

const errors = (text: string): string[] =>
  diagnose(text)
    .filter(({ severity, rule }) => severity === 'error' && !STRICTER.has(rule))
    .map(({ rule, line, message }) => `${rule} line ${line}: ${message}`);

/** Who runs it, which files and users there are, what names resolve to: not to be seen in the text. */
const OF_THE_MACHINE =
  /No valid name found|No multicast port|Can't open logfile|Could not open|Cannot chdir|user .* not|'nosuch|failed to parse|bound to localhost/;

describe('the corpus of Corosync’s verdicts', () => {
  test('there are enough of them for the rest to mean something', () => {
    assert.ok(cases.length > 500);
  });

  test('every file comes back byte for byte', () => {
    for (const { text, rule } of cases) assert.equal(print(parse(text)), text, rule);
  });

  test('what Corosync takes is never called an error', () => {
    const wrong = cases
      .filter(({ verdict }) => verdict === 'ok')
      .flatMap(({ rule, text }) => errors(text).map((one) => `${rule}: ${one}`));
    assert.deepEqual(wrong, []);
  });

  test('of what Corosync refuses for its text, all but a handful is refused', () => {
    const missed = cases
      .filter(
        ({ verdict, reason, text }) => verdict !== 'ok' && !OF_THE_MACHINE.test(reason) && errors(text).length === 0,
      )
      .map(({ rule, reason }) => `${rule}: ${reason}`);
    assert.deepEqual(missed, []);
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
});
