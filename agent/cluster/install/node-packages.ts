/** The packages of a real node. */
import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { loadCorosync } from '../../engine/corosync/libraries.ts';
import type { NodeLayout } from '../../node-layout.ts';
import { systemctl, underSystemd } from '../services.ts';
import type { Packages } from './install.ts';

const run = promisify(execFile);

/** The agent may have been started with a short PATH. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const UNIT = 'corosync.service';
const ANSWER_MS = 10_000;
/** Bytes of output that are kept to find the cause in. */
const KEPT = 64 * 1024;

export function nodePackages(layout: NodeLayout): Packages {
  return {
    installedCorosync,
    osRelease: () => readFirst('/etc/os-release', '/usr/lib/os-release'),
    hasProgram: (name) => programPath(name) !== null,
    run: runTool,
    holdService: async () => {
      if (!underSystemd(layout)) return async (stop) => (stop ? stopBySysV() : undefined);
      // In /run: a node that loses power in between does not keep it. deb-systemd-invoke(1p) leaves masked units alone.
      await systemctl('mask', '--runtime', UNIT);
      return async (stop) => {
        await systemctl('unmask', '--runtime', UNIT);
        await systemctl('daemon-reload');
        if (stop) await systemctl('stop', UNIT).catch(() => undefined);
      };
    },
  };
}

async function installedCorosync(): Promise<string | null> {
  const program = programPath('corosync');
  if (program === null) return null;
  try {
    await loadCorosync();
    const { stdout } = await run(program, ['-v'], { timeout: ANSWER_MS });
    return /version '([^']+)'/.exec(stdout)?.[1] ?? 'of an unknown version';
  } catch {
    return null;
  }
}

function programPath(name: string): string | null {
  for (const folder of PATH.split(':')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there; the next one.
    }
  }
  return null;
}

function readFirst(...files: readonly string[]): string {
  for (const file of files) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      // The next one.
    }
  }
  return '';
}

/** Without systemd the supervisor runs Corosync, and the package's own start script must not. */
async function stopBySysV(): Promise<void> {
  const script = '/etc/init.d/corosync';
  try {
    accessSync(script, constants.X_OK);
    await run(script, ['stop'], { timeout: ANSWER_MS, env: { ...process.env, PATH } });
  } catch {
    // There is none, or it ran none.
  }
}

const runTool: Packages['run'] = ({ program, args, env }, say, signal) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH, ...env },
      // A group of its own: Ctrl-C at a terminal must not reach a dpkg that is unpacking.
      detached: true,
    });
    let output = '';
    const take = (line: string): void => {
      const text = line.replace(/^.*\r(?=.)/, '').trimEnd();
      if (text === '') return;
      output = `${output}${text}\n`.slice(-KEPT);
      say(text);
    };
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', take);
    const stop = (): void => void child.kill('SIGTERM');
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    const over = (): void => signal?.removeEventListener('abort', stop);
    child.once('error', (error) => {
      over();
      reject(error);
    });
    child.once('close', (code) => {
      over();
      resolve({ code, output });
    });
  });
