/**
 * A disk that fails or hangs under one process of a lab's node: strace(1) answers its system calls in the kernel's place.
 * To the process it is the disk; nothing in it is there for the test.
 */
import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMANDS, processesIn } from '../jepsen/processes.ts';

/** What every write to stable storage ends with. */
const SYNC = 'fsync,fdatasync';
const ATTACH_MS = 10_000;

export type DiskFault =
  /** Each call fails, and nothing is synced. */
  | { readonly kind: 'error'; readonly errno: 'EIO' }
  /** Each call waits so long before it is carried out. */
  | { readonly kind: 'hang'; readonly seconds: number };

/** False, or why system calls of other processes cannot be answered here. */
export function whyNoDiskFaults(): string | false {
  const { error, status, stderr } = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (error !== undefined) return 'the Debian package strace is not installed';
  return status === 0 ? false : `strace cannot trace here: ${stderr.trim()}`;
}

/** Resolves when every call of the node's pmxcfs is subject to it; call what it gives to end the fault. */
export async function failDisk(directory: string, node: string, fault: DiskFault): Promise<() => Promise<void>> {
  const [pid] = processesIn(directory, node, COMMANDS.pmxcfs);
  if (pid === undefined) throw new Error(`no pmxcfs runs on ${node}`);
  const how = fault.kind === 'error' ? `error=${fault.errno}` : `delay_enter=${fault.seconds * 1_000_000}`;
  const args = ['-f', '-e', `trace=${SYNC}`, '-e', `inject=${SYNC}:${how}`, '-o', '/dev/null', '-p', String(pid)];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  strace.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<void>((resolve) => strace.once('close', () => resolve()));
  for (const end = Date.now() + ATTACH_MS; !/ attached/.test(said); await sleep(20)) {
    if (strace.exitCode !== null || Date.now() > end) throw new Error(`strace did not attach to ${pid}: ${said}`);
  }
  return async () => {
    strace.kill('SIGTERM');
    await ended;
  };
}
