/** Programs of the machine that ours need, and how a fresh Debian comes by them. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** A command looked for on the PATH, or a file, and the Debian package that has it. */
export type Need =
  | { readonly command: string; readonly debianPackage: string }
  | { readonly file: string; readonly debianPackage: string };

const APT = '/usr/bin/apt-get';
/** invoke-rc.d asks this script whether a service may be started (policy-rc.d(8)); 101 means no. */
const POLICY = '/usr/sbin/policy-rc.d';
const REFUSE_ALL = '#!/bin/sh\n# Written by Ringmaster while it installs packages; removed right after.\nexit 101\n';

/**
 * Makes sure that programs are there. As root on Debian what is missing is installed, with no service
 * of it started. Resolves to the packages that are still missing, having said how to install them;
 * an empty list means that all is there.
 */
export async function ensurePackages(
  purpose: string,
  needs: readonly Need[],
  say: (line: string) => void = console.log,
): Promise<string[]> {
  const missing = missingPackages(needs);
  if (missing.length === 0) return [];
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (process.platform !== 'linux' || !existsSync(APT)) {
    say(
      `Not installed, and needed for ${purpose}: ${wanted(needs).join(', ')} (Debian's packages: ${missing.join(', ')}).`,
    );
    return missing;
  }
  if (process.getuid?.() !== 0) {
    say(`Not installed, and needed for ${purpose}: ${missing.join(', ')}. As root: ${command}`);
    return missing;
  }
  say(`Installing for ${purpose}: ${missing.join(', ')} (Debian packages; no service of them is started)`);
  const failed = await install(missing);
  const still = missingPackages(needs);
  if (still.length > 0)
    say(`Could not install ${still.join(', ')}${failed === null ? '' : `: ${failed}`}. Try: ${command}`);
  return still;
}

const isThere = (need: Need): boolean => ('file' in need ? existsSync(need.file) : onPath(need.command));
const missingPackages = (needs: readonly Need[]): string[] => [
  ...new Set(needs.filter((need) => !isThere(need)).map((need) => need.debianPackage)),
];
const wanted = (needs: readonly Need[]): string[] =>
  needs.filter((need) => !isThere(need)).map((need) => ('file' in need ? need.file : need.command));

/** The PATH of an ordinary account leaves out the sbin directories. */
function onPath(command: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      if (folder !== '') accessSync(join(folder, command), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

/** Null when it went well, else apt-get's last words. */
async function install(packages: readonly string[]): Promise<string | null> {
  const ownPolicy = !existsSync(POLICY);
  if (ownPolicy) await writeFile(POLICY, REFUSE_ALL, { mode: 0o755 });
  try {
    // An old list may name versions that the archive no longer has.
    const updated = await run(APT, ['-qq', 'update']);
    const installed = await run(APT, [
      ...['-qq', '-y', '-o', 'DPkg::Lock::Timeout=120', '--no-install-recommends', 'install'],
      ...packages,
    ]);
    if (installed.code !== 0) return lastLine(installed.output) ?? lastLine(updated.output);
    await leaveDisabled(packages);
    return null;
  } finally {
    if (ownPolicy) await rm(POLICY, { force: true });
  }
}

/** What was not there before must not begin to serve at the next boot either. */
async function leaveDisabled(packages: readonly string[]): Promise<void> {
  const listed = await run('dpkg', ['-L', ...packages]);
  const units = listed.output
    .split('\n')
    .flatMap((file) => /\/lib\/systemd\/system\/([^/]+\.(?:service|socket))$/.exec(file)?.[1] ?? []);
  const plain = units.filter((unit) => !unit.includes('@'));
  if (plain.length > 0 && onPath('systemctl')) await run('systemctl', ['--quiet', 'disable', ...plain]);
}

const lastLine = (output: string): string | null => output.trim().split('\n').at(-1) || null;

function run(command: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (text: string): void => void (output = (output + text).slice(-200_000));
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', (error) => resolve({ code: 1, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
