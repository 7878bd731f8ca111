/**
 * Many questions to a host in one command: each answer between two lines that nothing else can print. What does not
 * answer in time, or is not installed, is one section that says so; the others stand. Pure.
 */
import { quote } from '../ssh/shell.ts';

export interface Question {
  readonly name: string;
  /** A line of POSIX shell. */
  readonly command: string;
}

export type Answer =
  /** The command ended; `text` is what it said, to the byte. */
  | { readonly kind: 'said'; readonly code: number; readonly text: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'late' }
  /** The conversation broke off before its end. */
  | { readonly kind: 'cut' };

/** Exit codes of timeout(1) and of the shell for a command that is not there. */
const LATE = 124;
const NOT_FOUND = 127;

/**
 * The script that asks all questions. `mark` is a word that no answer contains.
 * @param seconds how long each question may take
 */
export function askScript(questions: readonly Question[], mark: string, seconds: number): string {
  const lines = [
    // An account's PATH may leave out the sbin directories; the tools' words are read in English.
    'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL',
    // -k: a tool that waits for a hung engine may not end on the first signal.
    `if command -v timeout >/dev/null 2>&1; then limit='timeout -k 1 ${seconds}'; else limit=; fi`,
    `ask() { printf '%s begin %s\\n' ${mark} "$1"; $limit sh -c "$2" 2>&1; printf '\\n%s end %s %s\\n' ${mark} "$1" "$?"; }`,
    ...questions.map(({ name, command }) => `ask ${quote(name)} ${quote(command)} </dev/null`),
  ];
  return `${lines.join('\n')}\nexit 0\n`;
}

/** The answers by name. A question whose answer did not come whole has none. */
export function readSections(output: string, mark: string): ReadonlyMap<string, Answer> {
  const answers = new Map<string, Answer>();
  let at = 0;
  for (;;) {
    const head = output.indexOf(`${mark} begin `, at);
    if (head < 0) return answers;
    const start = output.indexOf('\n', head) + 1;
    const name = start === 0 ? '' : output.slice(head + mark.length + 7, start - 1);
    const tail = start === 0 ? -1 : output.indexOf(`\n${mark} end ${name} `, start);
    if (tail < 0) {
      if (name !== '') answers.set(name, { kind: 'cut' });
      return answers;
    }
    const from = tail + mark.length + name.length + 7;
    const until = output.indexOf('\n', from);
    const code = Number(output.slice(from, until < 0 ? undefined : until));
    answers.set(name, answerOf(code, output.slice(start, tail)));
    at = from;
  }
}

function answerOf(code: number, text: string): Answer {
  if (code === NOT_FOUND) return { kind: 'missing' };
  // 137: it had to be killed.
  if (code === LATE || code === 137) return { kind: 'late' };
  return { kind: 'said', code: Number.isInteger(code) ? code : 1, text };
}

/** What a command said when it ended well; null otherwise. */
export function textOf(answers: ReadonlyMap<string, Answer>, name: string): string | null {
  const answer = answers.get(name);
  return answer?.kind === 'said' && answer.code === 0 ? answer.text : null;
}
