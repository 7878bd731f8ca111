/** `pvecm conf ...`: the language of corosync.conf on the command line. `check` needs neither a cluster nor root. */
import { readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import * as z from 'zod/mini';
import { diagnose, reloadFindings, type Diagnostic, type Environment } from '../conf/index.ts';

/** Exit codes: 0 good, 1 errors, 2 not readable. */
const ERRORS = 1;
const UNREADABLE = 2;

const environment = z.object({
  hostname: z.string(),
  ips: z.array(z.string()),
  hosts: z._default(z.record(z.string(), z.string()), {}),
  authkey: z._default(z.boolean(), true),
});

interface CheckOptions {
  readonly dialect: 'corosync3' | 'corosync2' | 'ringmaster';
  readonly env?: string;
  readonly against?: string;
  readonly json?: boolean;
}

/** Adds `conf` and what is below it. `end` gets the exit code. */
export function addConfCommands(program: Command, end: (code: number) => void): Command {
  const conf = program.command('conf').description('corosync.conf: check it, apply it safely, take it back');
  conf
    .command('check <file...>')
    .description('say what is wrong in a file and why; exit 0 good, 1 errors, 2 not readable')
    .addOption(
      new Option('--dialect <dialect>', 'who is to read the file')
        .choices(['corosync3', 'corosync2', 'ringmaster'])
        .default('corosync3'),
    )
    .addOption(new Option('--env <file>', 'JSON of the machine: hostname, ips, hosts, authkey'))
    .addOption(new Option('--against <file>', 'the file that runs: say what a reload would not bring into effect'))
    .addOption(new Option('--json', 'print one JSON document a file'))
    .action((files: string[], options: CheckOptions) => end(check(files, options)));
  return conf;
}

function check(files: readonly string[], options: CheckOptions): number {
  let machine: Environment | undefined;
  if (options.env !== undefined) {
    try {
      machine = environment.parse(JSON.parse(readFileSync(options.env, 'utf8')));
    } catch (error) {
      process.stderr.write(`pvecm: ${options.env} cannot be used: ${words(error)}\n`);
      return UNREADABLE;
    }
  }
  let running: string | null = null;
  if (options.against !== undefined) {
    try {
      running = readFileSync(options.against, 'utf8');
    } catch (error) {
      process.stderr.write(`pvecm: ${options.against} cannot be read: ${words(error)}\n`);
      return UNREADABLE;
    }
  }
  let worst = 0;
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      worst = UNREADABLE;
      if (options.json === true) {
        const unreadable = {
          rule: 'unreadable',
          severity: 'error',
          line: 1,
          column: 1,
          endLine: 1,
          endColumn: 1,
          message: words(error),
        };
        print({ file, errors: [unreadable], warnings: [], live: false });
      } else process.stderr.write(`${file}: cannot be read: ${words(error)}\n`);
      continue;
    }
    const found = diagnose(text, {
      dialect: options.dialect,
      ...(machine === undefined ? {} : { environment: machine }),
    });
    if (running !== null) found.push(...reloadFindings(running, text, options.dialect));
    const errors = found.filter(({ severity }) => severity === 'error');
    const warnings = found.filter(({ severity }) => severity === 'warning');
    // What a running cluster does not look at would be taken by a reload, and keep it from starting later.
    const held = found.some(({ rule }) => ['needs-restart', 'reload-refused', 'reload-destroys'].includes(rule));
    const live = errors.every(({ timeBomb }) => timeBomb) && !held;
    if (options.json === true) print({ file, errors: errors.map(asJson), warnings: warnings.map(asJson), live });
    else process.stdout.write(asText(file, found));
    if (errors.length > 0) worst = Math.max(worst, ERRORS);
  }
  return worst;
}

const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function asJson({ rule, severity, line, column, endLine, endColumn, message, why, fix, timeBomb }: Diagnostic): object {
  const place = { rule, severity, line, column, endLine, endColumn, message, why };
  return { ...place, ...(timeBomb ? { timeBomb } : {}), ...(fix === null ? {} : { fix }) };
}

/** Like a compiler: place, kind, what is wrong; below it why, and the way out. */
function asText(file: string, found: readonly Diagnostic[]): string {
  if (found.length === 0) return `${file}: good\n`;
  const lines = found.map(({ line, column, severity, rule, message, why, fix, timeBomb }) => {
    const bomb = timeBomb ? ' A running cluster takes it at a reload, and does not start with it.' : '';
    const way = fix === null ? '' : `\n    fix: ${fix.title}`;
    return `${file}:${line}:${column}: ${severity}: ${message} [${rule}]\n    ${why}${bomb}${way}\n`;
  });
  return lines.join('');
}
