/** The settings of a section as fields: each key once, with what is known of it. Pure. */
import { keysOf, parse, type KeyFact } from '../../../agent/conf/index.ts';
import { sectionsAt } from '../../../agent/conf/syntax.ts';

export interface Setting {
  readonly name: string;
  readonly value: string;
  /** Null: a key that nobody knows; it is shown, and stays as it is. */
  readonly fact: KeyFact | null;
}

/** In the order of the file. Of a key that stands twice the one that counts; in the nodelist every one. */
export function settingsOf(text: string, path: string): Setting[] {
  const facts = new Map(keysOf(path).map((fact) => [fact.name, fact]));
  const entries = sectionsAt(parse(text), path).flatMap((section) => section.entries);
  const shown = path === 'nodelist.node' ? entries : [...new Map(entries.map((entry) => [entry.name, entry])).values()];
  return shown.map(({ name, value }) => ({ name, value, fact: facts.get(name) ?? null }));
}
