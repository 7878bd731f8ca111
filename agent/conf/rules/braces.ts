/**
 * Where a brace is missing. Corosync reports the last line of the file; a person wants the place. It shows
 * in the indentation: a section ends before the next line that stands no deeper than its own name.
 */
import { allSections, lineRange, type ConfDocument, type Line, type Section } from '../syntax.ts';
import { removingLines, type Fix, type Report, type Subject } from './report.ts';

/** A section that is not closed, and the line before which its brace belongs. */
interface Unclosed {
  readonly open: Extract<Line, { kind: 'open' }>;
  readonly before: number;
}

export function checkBraces({ document }: Subject, report: Report): void {
  for (const line of document.strayCloses) {
    report.error({
      rule: 'stray-closing-brace',
      at: lineRange(document, line),
      message: 'This "}" closes nothing.',
      why: 'Corosync refuses the file.',
      fix: removingLines('Remove the brace', line, line),
    });
  }
  const nested = [...allSections(document.root)].filter((section) => section.closeLine === null);
  if (nested.length === 0) return;
  const indented = byIndentation(document);
  // Only where the indentation accounts for exactly what is missing is it to be believed.
  const unclosed = indented.length === nested.length ? indented : nested.flatMap((section) => atEnd(document, section));
  const named = lineAtEnd(document);
  for (const { open, before } of unclosed) {
    const inside = before <= named;
    const where = inside ? 'before this line' : 'at the end of the file';
    report.error({
      rule: 'missing-closing-brace',
      at: lineRange(document, inside ? before : named),
      message: `The section "${open.name}" of line ${open.line} is not closed: its "}" is missing ${where}.`,
      why: 'Corosync refuses the file, and reports its last line, wherever the brace was lost.',
      fix: insertion(document, open, before),
    });
  }
  if (unclosed.some(({ before }) => before > named)) return;
  // For those who come from Corosync's own message.
  report.error({
    rule: 'section-open-at-end',
    at: lineRange(document, named),
    message: 'The file ends while a section is open.',
    why: 'Corosync refuses the file and names this line. The brace is missing further up.',
  });
}

/** The line that Corosync names when a file ends too early: the last that it has read. */
function lineAtEnd({ lines }: ConfDocument): number {
  return lines.at(-1)?.text === '' ? Math.max(1, lines.length - 1) : lines.length;
}

const depth = (text: string): number => (/^[ \t]*/.exec(text)?.[0] ?? '').replaceAll('\t', '        ').length;

function byIndentation(document: ConfDocument): Unclosed[] {
  const stack: Extract<Line, { kind: 'open' }>[] = [];
  const found: Unclosed[] = [];
  let lastUsed = 0;
  const giveUp = (deeperThan: (level: number) => boolean): void => {
    for (let top = stack.at(-1); top !== undefined && deeperThan(depth(top.text)); top = stack.at(-1)) {
      found.push({ open: top, before: lastUsed + 1 });
      stack.pop();
    }
  };
  for (const line of document.lines) {
    if (line.kind === 'blank' || line.kind === 'comment') continue;
    const level = depth(line.text);
    if (line.kind === 'open') {
      giveUp((open) => open >= level);
      stack.push(line);
    } else if (line.kind === 'close') {
      giveUp((open) => open > level);
      stack.pop();
    }
    lastUsed = line.line;
  }
  giveUp(() => true);
  return found;
}

function atEnd(document: ConfDocument, section: Section): Unclosed[] {
  const open = document.lines[section.line - 1];
  return open?.kind === 'open' ? [{ open, before: document.lines.length + 1 }] : [];
}

function insertion(document: ConfDocument, open: Line, before: number): Fix {
  const { lines } = document;
  const indent = /^[ \t]*/.exec(open.text)?.[0] ?? '';
  const title = 'Add the missing "}"';
  if (before <= lines.length) {
    return { title, edits: [{ line: before, column: 1, endLine: before, endColumn: 1, text: `${indent}}\n` }] };
  }
  const last = lines.length;
  const column = (lines.at(-1)?.text.length ?? 0) + 1;
  const text = column === 1 ? `${indent}}\n` : `\n${indent}}\n`;
  return { title, edits: [{ line: last, column, endLine: last, endColumn: column, text }] };
}
