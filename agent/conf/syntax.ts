/**
 * corosync.conf as lines and sections. Reading never fails and loses nothing: what a line is follows
 * Corosync's own parser (coroparse.c), which looks for `{`, then `:`, then `}`.
 */

/** 1-based; the end is exclusive. */
export interface Range {
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
}

interface Placed {
  /** 1-based number of the line. */
  readonly line: number;
  /** The line as it is, without its line feed. */
  readonly text: string;
}

export type Line =
  | (Placed & { readonly kind: 'blank' | 'comment' | 'bad' | 'close' })
  | (Placed & { readonly kind: 'open'; readonly name: string; readonly nameColumn: number; readonly after: string })
  | (Placed & { readonly kind: 'key' } & KeyText);

interface KeyText {
  readonly name: string;
  readonly nameColumn: number;
  readonly value: string;
  readonly valueColumn: number;
}

export interface Entry extends KeyText {
  readonly line: number;
}

export interface Section {
  readonly name: string;
  readonly nameColumn: number;
  /** Names from the outermost section to this one, joined by dots; '' for the file itself. */
  readonly path: string;
  /** Line of the opening brace; 0 for the file itself. */
  readonly line: number;
  /** Line of the closing brace; null while it is missing. */
  closeLine: number | null;
  readonly entries: Entry[];
  readonly sections: Section[];
}

export interface ConfDocument {
  readonly lines: readonly Line[];
  /** The file itself, with everything in it. */
  readonly root: Section;
  /** Closing braces that close nothing. */
  readonly strayCloses: readonly number[];
}

const BLANK = /^[ \t]*$/;
const OUTER_BLANKS = /^[ \t]+|[ \t]+$/g;

function classify(whole: string, line: number): Line {
  // One carriage return before the line feed goes, and no other (measured).
  const kind = classifyText(whole.endsWith('\r') ? whole.slice(0, -1) : whole, line);
  return { ...kind, text: whole };
}

function classifyText(text: string, line: number): Line {
  if (BLANK.test(text)) return { kind: 'blank', line, text };
  if (/^[ \t]*#/.test(text)) return { kind: 'comment', line, text };
  const brace = text.indexOf('{');
  if (brace >= 0) {
    const name = text
      .slice(0, brace)
      .replace(/[ \t:]+$/, '')
      .replace(OUTER_BLANKS, '');
    const nameColumn = text.search(/[^ \t]/) + 1;
    return { kind: 'open', line, text, name, nameColumn, after: text.slice(brace + 1).replace(OUTER_BLANKS, '') };
  }
  const colon = text.indexOf(':');
  if (colon >= 0) {
    const value = text.slice(colon + 1).replace(OUTER_BLANKS, '');
    const blanks = text.slice(colon + 1).search(/[^ \t]/);
    return {
      kind: 'key',
      line,
      text,
      name: text.slice(0, colon).replace(OUTER_BLANKS, ''),
      nameColumn: text.search(/[^ \t]/) + 1,
      value,
      valueColumn: value === '' ? colon + 2 : colon + 2 + blanks,
    };
  }
  return { kind: text.replace(OUTER_BLANKS, '') === '}' ? 'close' : 'bad', line, text };
}

/** Reads any text whatsoever. `print` gives the same text back. */
export function parse(text: string): ConfDocument {
  const lines = text.split('\n').map((part, index) => classify(part, index + 1));
  const root: Section = { name: '', nameColumn: 1, path: '', line: 0, closeLine: null, entries: [], sections: [] };
  const open: Section[] = [root];
  const strayCloses: number[] = [];
  const inside = (): Section => open.at(-1) ?? root;
  for (const line of lines) {
    if (line.kind === 'open') {
      const { name, nameColumn } = line;
      const parent = inside();
      const path = parent.path === '' ? name : `${parent.path}.${name}`;
      const section: Section = { name, nameColumn, path, line: line.line, closeLine: null, entries: [], sections: [] };
      parent.sections.push(section);
      open.push(section);
    } else if (line.kind === 'close') {
      if (open.length === 1) strayCloses.push(line.line);
      else {
        inside().closeLine = line.line;
        open.pop();
      }
    } else if (line.kind === 'key') {
      const { name, nameColumn, value, valueColumn } = line;
      inside().entries.push({ name, nameColumn, value, valueColumn, line: line.line });
    }
  }
  root.closeLine = lines.length;
  return { lines, root, strayCloses };
}

export const print = (document: ConfDocument): string => document.lines.map((line) => line.text).join('\n');

/** Every section below, the outer before the inner. */
export function* allSections(section: Section): Generator<Section> {
  for (const child of section.sections) {
    yield child;
    yield* allSections(child);
  }
}

/** Sections with this path: `totem.interface`. Corosync counts a section only at its full path. */
export function sectionsAt(document: ConfDocument, path: string): Section[] {
  return [...allSections(document.root)].filter((section) => section.path === path);
}

/** The entry that counts: of several the last (measured). Repeated sections merge. */
export function entryAt(document: ConfDocument, path: string, name: string): Entry | null {
  const entries = sectionsAt(document, path).flatMap((section) => section.entries);
  return entries.findLast((entry) => entry.name === name) ?? null;
}

export const valueRange = (entry: Entry): Range => {
  const endColumn = entry.valueColumn + Math.max(1, entry.value.length);
  return { line: entry.line, column: entry.valueColumn, endLine: entry.line, endColumn };
};
export const nameRange = (at: Pick<Entry, 'name' | 'nameColumn' | 'line'>): Range => {
  const endColumn = at.nameColumn + Math.max(1, at.name.length);
  return { line: at.line, column: at.nameColumn, endLine: at.line, endColumn };
};
/** The whole line without its indentation. */
export function lineRange(document: ConfDocument, line: number): Range {
  const text = document.lines[line - 1]?.text.replace(/\r$/, '') ?? '';
  const column = Math.max(1, text.search(/[^ \t]/) + 1);
  return { line, column, endLine: line, endColumn: Math.max(column + 1, text.trimEnd().length + 1) };
}
