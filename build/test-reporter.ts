/** A reporter for `node --test`: one line of JSON for each test that ended, for build/test-files.ts to count. */
import type { EventData } from 'node:test';

type Ended = EventData.TestPass | EventData.TestFail;

/** What is told of one test. A suite (`describe`) is told only when it failed by itself. */
export interface Told {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped; empty when the test does not say. */
  readonly reason: string;
}

export default async function* told(
  source: AsyncIterable<{ readonly type: string; readonly data?: unknown }>,
): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const line = toldOf(event.type, event.data as Ended);
    if (line !== null) yield `${JSON.stringify(line)}\n`;
  }
}

function toldOf(type: 'test:pass' | 'test:fail', data: Ended): Told | null {
  if (type === 'test:fail') {
    return data.details.type === 'suite' ? null : { name: data.name, outcome: 'failed', reason: '' };
  }
  const { skip } = data;
  const skipped = skip !== undefined && skip !== false;
  // A skipped suite has no tests that could be told of: it stands for them.
  if (data.details.type === 'suite' && !skipped) return null;
  if (!skipped) return { name: data.name, outcome: 'passed', reason: '' };
  return { name: data.name, outcome: 'skipped', reason: skip === true ? '' : skip };
}
