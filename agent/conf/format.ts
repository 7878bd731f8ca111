/** One way to lay a file out: two blanks a level, `key: value`, one empty line between sections. Nothing is lost. */
import { parse, type Line } from './syntax.ts';

const STEP = '  ';

/** The text laid out anew. Comments and order stay; a file with broken braces is indented as far as it makes sense. */
export function format(text: string): string {
  const ending = text.includes('\r\n') ? '\r\n' : '\n';
  const out: string[] = [];
  let level = 0;
  let last: Line['kind'] | null = null;
  const put = (line: string): void => void out.push(line === '' ? '' : STEP.repeat(level) + line);
  for (const line of parse(text).lines) {
    const words = line.text.trim();
    if (line.kind === 'blank') {
      // Of several empty lines one is left; none at the beginning of a section or of the file.
      if (out.length > 0 && out.at(-1) !== '' && last !== 'open') put('');
      continue;
    }
    if (line.kind === 'close') {
      if (out.at(-1) === '') out.pop();
      level = Math.max(0, level - 1);
      put('}');
    } else if (line.kind === 'open') {
      if (level === 0 && last === 'close') {
        if (out.at(-1) !== '') put('');
      }
      put(line.after === '' ? `${line.name} {`.trim() : words);
      level += 1;
    } else if (line.kind === 'key') put(`${line.name}: ${line.value}`.trimEnd());
    else put(words);
    last = line.kind;
  }
  while (out.at(-1) === '') out.pop();
  return out.length === 0 ? '' : out.join(ending) + ending;
}
