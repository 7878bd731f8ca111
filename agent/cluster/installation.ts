/** Where this program lies and which version it is. */
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The file Node was started with: agent.mjs of an installed version, or cli/main.ts in a checkout. */
export const programFile = (): string => realpathSync(process.argv[1] ?? '');

/** The folder of the installed version. */
export const programFolder = (): string => dirname(programFile());

/** The command line of another command of this same program. */
export const ownCommand = (...args: string[]): string[] => [
  process.execPath,
  ...process.execArgv,
  programFile(),
  ...args,
];

let known: string | null = null;

/** `0.1.0-` and eight hexadecimal digits; `source` when run from a checkout. */
export function agentVersion(): string {
  known ??= readVersion();
  return known;
}

function readVersion(): string {
  try {
    const manifest = JSON.parse(readFileSync(join(programFolder(), 'manifest.json'), 'utf8')) as { version?: unknown };
    return typeof manifest.version === 'string' ? manifest.version : 'source';
  } catch {
    return 'source';
  }
}
