/**
 * `ringmaster-agent install`: makes this version the node's one. Run from agents/<version>, also over an
 * older version that runs; run again it changes nothing.
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { agentVersion, programFolder } from '../cluster/installation.ts';
import { systemctl, underSystemd, unitOf } from '../cluster/services.ts';
import { connectSocket } from '../cluster/socket-client.ts';
import type { SupervisorControl } from '../cluster/supervisor-control.ts';
import { engineChoice } from '../engine/choice.ts';
import { eventLog } from '../event-log.ts';
import type { NodeLayout } from '../node-layout.ts';
import { greet, startDetached } from './supervise.ts';

export const UNIT_FOLDER = '/etc/systemd/system';
export const UNITS = ['ringmaster-engine.service', 'ringmaster-pmxcfs.service'] as const;

/** Commands that get a wrapper in /usr/local/bin. */
const WRAPPED = ['pvecm', 'pmxcfs'] as const;
/** By this line a wrapper is known as ours. */
const WRAPPER_MARK = '# Installed by Ringmaster.';

/** Services get this long to end by themselves. */
const SHUTDOWN_MS = 30_000;

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  if (args.length > 0) {
    process.stderr.write('install: takes no arguments\n');
    return 2;
  }
  const version = agentVersion();
  const folder = programFolder();
  const agents = join(layout.home, 'agents');
  if (basename(folder) !== version || !existsSync(join(folder, 'ringmaster-agent'))) {
    process.stderr.write(`install: ${folder} is not an unpacked agent; it belongs into ${agents}/VERSION\n`);
    return 2;
  }
  const before = currentVersion(layout);
  linkRuntimeModules(folder);
  switchCurrent(layout, folder);
  for (const note of installWrappers(layout)) process.stderr.write(`install: ${note}\n`);
  const code = underSystemd(layout)
    ? await runUnderSystemd(folder, layout, before !== version)
    : await runSupervised(layout);
  if (code !== 0) return code;
  prune(layout, folder);
  if (before !== version) eventLog(layout, 'supervisor')('notice', `agent ${version} installed${instead(before)}`);
  process.stdout.write(`${version}\n`);
  return 0;
}

const instead = (before: string | null): string => (before === null ? '' : ` in place of ${before}`);

/** The version `current` leads to, or null. */
function currentVersion(layout: NodeLayout): string | null {
  try {
    return basename(readlinkSync(join(layout.home, 'current')));
  } catch {
    return null;
  }
}

/** `import('koffi')` looks for node_modules beside agent.mjs; the runtime carries it, being the part that has an architecture. */
function linkRuntimeModules(folder: string): void {
  const modules = join(dirname(process.execPath), 'node_modules');
  if (existsSync(modules)) linkAtomically(relative(folder, modules), join(folder, 'node_modules'));
}

function switchCurrent(layout: NodeLayout, folder: string): void {
  linkAtomically(relative(layout.home, folder), join(layout.home, 'current'));
}

function linkAtomically(target: string, path: string): void {
  const partial = `${path}.${process.pid}`;
  rmSync(partial, { force: true });
  symlinkSync(target, partial);
  renameSync(partial, path);
}

export const wrapperFolder = (layout: NodeLayout): string =>
  join(layout.root === '' ? '/' : layout.root, 'usr/local/bin');

/** Writes the wrappers; returns a sentence for each that was left out because something else is there. */
function installWrappers(layout: NodeLayout): string[] {
  const folder = wrapperFolder(layout);
  mkdirSync(folder, { recursive: true });
  const notes: string[] = [];
  for (const name of WRAPPED) {
    const file = join(folder, name);
    const foreign = [file, ...(layout.root === '' ? [`/usr/bin/${name}`, `/usr/sbin/${name}`] : [])].find(
      (path) => existsSync(path) && !isOurWrapper(path),
    );
    if (foreign !== undefined) {
      notes.push(`${foreign} is not ours and stays; use ${layout.home}/current/ringmaster-agent ${name}`);
      continue;
    }
    const text = `#!/bin/sh\n${WRAPPER_MARK}\nexec '${layout.home}/current/ringmaster-agent' ${name} "$@"\n`;
    const partial = `${file}.${process.pid}`;
    writeFileSync(partial, text);
    chmodSync(partial, 0o755);
    renameSync(partial, file);
  }
  return notes;
}

function isOurWrapper(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes(WRAPPER_MARK);
  } catch {
    return false;
  }
}

export function removeWrappers(layout: NodeLayout): void {
  for (const name of WRAPPED) {
    const file = join(wrapperFolder(layout), name);
    if (isOurWrapper(file)) rmSync(file, { force: true });
  }
}

async function runUnderSystemd(folder: string, layout: NodeLayout, changed: boolean): Promise<number> {
  for (const unit of UNITS) writeFileSync(join(UNIT_FOLDER, unit), readFileSync(join(folder, 'units', unit)));
  await systemctl('daemon-reload');
  await systemctl('enable', '--quiet', ...UNITS);
  // A start of the engine is skipped by its conditions where this node is in no cluster or uses Corosync.
  const engine = unitOf('engine', engineChoice(layout)) === UNITS[0];
  if (engine) await systemctl(changed ? 'restart' : 'start', UNITS[0]);
  await systemctl(changed ? 'restart' : 'start', UNITS[1]);
  return 0;
}

async function runSupervised(layout: NodeLayout): Promise<number> {
  const running = await greet(layout);
  if (running?.version === agentVersion()) return 0;
  if (running !== null) await endSupervisor(layout, running.pid);
  return startDetached(layout, [join(layout.home, 'current', 'ringmaster-agent'), 'supervise']);
}

/** Has the supervisor stop its services and end; resolves when its process is gone. */
export async function endSupervisor(layout: NodeLayout, pid: number): Promise<void> {
  const client = await connectSocket<SupervisorControl>(layout.supervisorSocket, {}, SHUTDOWN_MS);
  await client.remote.shutdown().catch(() => undefined);
  client.close();
  for (const end = Date.now() + SHUTDOWN_MS; Date.now() < end;) {
    if (!alive(pid)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the supervisor (process ${pid}) did not end within ${SHUTDOWN_MS / 1000} s`);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie whose parent does not collect it has ended all the same.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Removes versions and runtimes that nothing uses any more; running processes keep what they have open. */
function prune(layout: NodeLayout, folder: string): void {
  const runtime = dirname(process.execPath);
  for (const [parent, kept] of [
    [join(layout.home, 'agents'), basename(folder)],
    [join(layout.home, 'runtimes'), basename(runtime)],
  ] as const) {
    if (!existsSync(parent)) continue;
    for (const name of readdirSync(parent)) {
      const path = join(parent, name);
      if (name !== kept && lstatSync(path).isDirectory()) rmSync(path, { recursive: true, force: true });
    }
  }
}
