/** Runs the system's own commands (ip, nft, cp) to their end. */
import { spawn } from 'node:child_process';

/** Where Debian keeps them; the PATH of an ordinary account leaves out the sbin directories. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  /** Text for its standard input. */
  readonly input?: string | undefined;
  readonly cwd?: string | undefined;
}

/** Rejects only when the command cannot be started at all. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C.UTF-8' };
    const child = spawn(command, args, { env, cwd: options.cwd, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(error.code === 'ENOENT' ? `The command ${command} is not installed.` : error.message)),
    );
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
    // A command that ends without reading its input says why with its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Runs a command that has to succeed. Resolves to its output; rejects with what it was and what it said. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const ran = await run(command, args, options);
  if (ran.code === 0) return ran.stdout;
  const said = `${ran.stderr}\n${ran.stdout}`.trim().split('\n').slice(0, 3).join(' ');
  throw new Error(`"${command} ${args.join(' ')}" failed: ${said === '' ? `exit code ${ran.code}` : said}`);
}
