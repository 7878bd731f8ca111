/** Known incidents, written down in test/scenarios, come out as expected; and a wrong expectation is noticed. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BadLine, readScenario } from './scenario/language.ts';
import { play } from './scenario/play.ts';

const directory = join(dirname(dirname(fileURLToPath(import.meta.url))), 'scenarios');
const files = globSync(join(directory, '*.txt')).filter((file) => basename(file) !== 'README.txt');
assert.ok(files.length > 0, 'there are scenarios');

for (const file of files.sort()) {
  const text = readFileSync(file, 'utf8');
  const [title = ''] = text.split('\n');
  test(`${basename(file)}: ${title.replace(/^#\s*/, '')}`, () => {
    const failure = play(readScenario(text));
    assert.equal(failure, null, failure === null ? '' : `${basename(file)}, line ${failure.line}: ${failure.text}`);
  });
}

test('an expectation that does not come true is told with its line', () => {
  const failure = play(readScenario('nodes 3\nat 0 start all\n\nat 100 within 500 expect ring 1 2\n'));
  assert.equal(failure?.line, 4);
  assert.match(failure.text, /its view is \{1 2 3\}/);
});

test('a line that is not of the language is told with its number', () => {
  assert.throws(() => readScenario('nodes 2\nat 0 start 3\n'), BadLine);
  assert.throws(() => readScenario('nodes 2\nat 10 explode 1\n'), /line 2/);
});
