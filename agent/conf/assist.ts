/** What an editor offers while a person types: names, values, and what they mean. */
import { keyFact, keysOf, SECTIONS, type KeyFact } from './keys.ts';
import { allSections, nameRange, parse, valueRange, type ConfDocument, type Range, type Section } from './syntax.ts';

export interface Completion {
  readonly label: string;
  readonly detail: string;
  readonly insert: string;
}

export interface Hover {
  readonly title: string;
  readonly body: string;
  readonly range: Range;
}

/** The innermost section around a line. */
function sectionAround(document: ConfDocument, line: number): Section {
  let found = document.root;
  for (const section of allSections(document.root)) {
    if (section.line < line && (section.closeLine === null || section.closeLine >= line)) found = section;
  }
  return found;
}

/** What may stand at this place. `column` is where the next letter goes. */
export function completions(text: string, line: number, column: number): Completion[] {
  const document = parse(text);
  const here = (document.lines[line - 1]?.text ?? '').slice(0, column - 1);
  const section = sectionAround(document, line);
  const colon = here.indexOf(':');
  if (colon >= 0) {
    const fact = keyFact(section.path, here.slice(0, colon).trim());
    return fact === null ? [] : values(fact);
  }
  // A name is one word: behind it only ":" or "{" may follow, and "Enter" must not put another one there.
  if (/[{}#]/.test(here) || /[ \t]/.test(here.trimStart())) return [];
  const taken = new Set(section.entries.filter((entry) => entry.line !== line).map((entry) => entry.name));
  const keys = keysOf(section.path)
    .filter((fact) => !taken.has(fact.name) && fact.effect !== 'none')
    .map((fact) => ({ label: fact.name, detail: fact.about, insert: `${fact.name}: ` }));
  const below = Object.entries(SECTIONS).filter(([path]) => parentOf(path) === section.path);
  const sections = below.map(([path, detail]) => {
    const name = path.split('.').at(-1) ?? path;
    return { label: `${name} { }`, detail, insert: `${name} {\n  \n}` };
  });
  return [...keys, ...sections];
}

const parentOf = (path: string): string => path.split('.').slice(0, -1).join('.');

function values({ type, standard }: KeyFact): Completion[] {
  if (type.kind === 'choice') {
    return type.values.map((value) => ({
      label: value,
      detail: value === standard ? 'the default' : '',
      insert: value,
    }));
  }
  const flag = type.kind === 'number' && type.max === 255;
  return flag ? ['0', '1'].map((value) => ({ label: value, detail: value === '1' ? 'on' : 'off', insert: value })) : [];
}

const EFFECT = {
  live: 'A change applies while the cluster runs.',
  restart: 'A change waits until the engine restarts on every node.',
  none: '',
} as const;

/** What stands at this place means, or null where there is nothing to say. */
export function hover(text: string, line: number, column: number): Hover | null {
  const document = parse(text);
  const inside = (range: Range): boolean => range.line === line && column >= range.column && column <= range.endColumn;
  for (const section of allSections(document.root)) {
    const about = SECTIONS[section.path];
    if (about !== undefined && section.line === line && inside(nameRange(section))) {
      return { title: section.path.replace('.', ' > '), body: about, range: nameRange(section) };
    }
    const entry = section.entries.find((one) => one.line === line);
    if (entry === undefined || (!inside(nameRange(entry)) && !inside(valueRange(entry)))) continue;
    const fact = keyFact(section.path, entry.name);
    if (fact === null) return null;
    const parts = [
      fact.about,
      allowed(fact),
      fact.standard === null ? '' : `Default: ${fact.standard}.`,
      EFFECT[fact.effect],
    ];
    return {
      title: `${section.path}.${entry.name}`,
      body: parts.filter((part) => part !== '').join(' '),
      range: nameRange(entry),
    };
  }
  return null;
}

function allowed({ type }: KeyFact): string {
  if (type.kind === 'choice') return `One of: ${type.values.join(', ')}.`;
  if (type.kind === 'number') return `A whole number${type.max > 1_000_000 ? '' : ` from ${type.min} to ${type.max}`}.`;
  return '';
}
