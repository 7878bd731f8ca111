/** Rules of lines and braces, as Corosync's parser (coroparse.c) has them; each seen with corosync -t. */
import { storedEntries } from '../stored.ts';
import { allSections, lineRange, nameRange, valueRange, type Line } from '../syntax.ts';
import { replacing, type Report, type Subject } from './report.ts';

/** Bytes of a line without its line feed. */
const LONGEST_LINE = 510;
const LONGEST_PATH = 255;
const STORED = /^[A-Za-z0-9._/:-]*$/;

export function checkLines({ document }: Subject, report: Report): void {
  for (const line of document.lines) {
    const at = lineRange(document, line.line);
    if (new TextEncoder().encode(line.text.replace(/\r$/, '')).length > LONGEST_LINE) {
      report.error({
        rule: 'line-too-long',
        at,
        message: `This line is longer than ${LONGEST_LINE} bytes.`,
        why: 'Corosync refuses the whole file, also when the line is a comment.',
      });
    }
    if (line.text.includes('\0')) {
      report.error({
        rule: 'nul-byte',
        at,
        message: 'This line contains a NUL byte.',
        why: 'Corosync takes the line for one that is too long and refuses the file.',
        fix: replacing(
          'Remove the NUL bytes',
          { ...at, column: 1, endColumn: line.text.length + 1 },
          line.text.replaceAll('\0', ''),
        ),
      });
    }
    checkLine(line, at, report);
  }
}

function checkLine(line: Line, at: ReturnType<typeof lineRange>, report: Report): void {
  if (line.kind === 'open') {
    if (line.after !== '') {
      report.error({
        rule: 'text-after-brace',
        at,
        message: 'Nothing may stand after "{" on its line.',
        why: 'Corosync refuses the file: a section begins on a line of its own.',
        fix: replacing(
          'Put it on the next line',
          { ...at, column: line.text.indexOf('{') + 2 },
          `\n${/^[ \t]*/.exec(line.text)?.[0] ?? ''}  ${line.after}`,
        ),
      });
    } else if (line.name === '') {
      report.error({
        rule: 'section-without-name',
        at,
        message: 'A section needs its name before "{", on the same line.',
        why: 'Corosync refuses the file.',
      });
    }
  } else if (line.kind === 'bad') {
    const word = line.text.trim();
    const equals = /^([A-Za-z0-9_]+)[ \t]*=[ \t]*(.*)$/.exec(word);
    const blanks = /^([A-Za-z0-9_]+)[ \t]+([^ \t].*)$/.exec(word);
    const pair = equals ?? blanks;
    report.error({
      rule: word.startsWith('}') ? 'text-after-closing-brace' : 'not-a-line',
      at,
      message: word.startsWith('}')
        ? 'Nothing may stand beside "}" on its line.'
        : 'This is neither a section, nor a "key: value", nor a comment.',
      why: 'Corosync refuses the file. A comment is a line of its own that begins with "#".',
      fix: word.startsWith('}')
        ? replacing('Leave only the brace', at, '}')
        : pair === null
          ? null
          : replacing(`Write "${pair[1]}: ${pair[2]}"`, at, `${pair[1]}: ${pair[2]}`),
    });
  }
}

/** Keys and sections as Corosync stores them: at `section.key`, in few characters. */
export function checkNames({ document }: Subject, report: Report): void {
  for (const { entry, section, path, key } of storedEntries(document)) {
    if (key === null || path === 'uidgid') continue;
    const fault = !STORED.test(key)
      ? 'holds a character that no name may have'
      : key.length < 3
        ? 'is too short'
        : key.length > LONGEST_PATH
          ? 'is too long'
          : null;
    if (fault === null) continue;
    // Sections with a name of their own are stored when they end, and Corosync names that line.
    const late = ['logging.logger_subsys', 'logging.logging_daemon'].includes(path) ? section.closeLine : null;
    report.error({
      rule: 'name-not-stored',
      at: late === null ? nameRange(entry) : lineRange(document, late),
      message: `The name "${key}" ${fault}.`,
      why: 'Corosync cannot store it and refuses the file. Names consist of letters, digits and . _ / : -',
    });
  }
}

/** What looks like a comment or a quotation is part of the value. */
export function checkTrailing({ document }: Subject, report: Report): void {
  for (const section of allSections(document.root)) {
    for (const entry of section.entries) {
      const comment = /[ \t]+(#|\/\/).*$/.exec(entry.value);
      if (comment !== null) {
        const value = entry.value.slice(0, comment.index);
        report.warn({
          rule: 'trailing-comment',
          at: valueRange(entry),
          message: `"${comment[0].trim()}" is part of the value.`,
          why: 'Corosync knows no comments behind a value: put it on a line of its own.',
          fix: replacing('Remove it', valueRange(entry), value),
        });
      } else if (/^(".*"|'.*')$/.test(entry.value)) {
        report.warn({
          rule: 'quotes',
          at: valueRange(entry),
          message: 'The quotation marks are part of the value.',
          why: 'Corosync knows no quotation.',
          fix: replacing('Remove them', valueRange(entry), entry.value.slice(1, -1)),
        });
      }
    }
  }
}
