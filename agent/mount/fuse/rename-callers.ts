/** Whether the process that asks for a name asks on behalf of rename(2): FUSE's LOOKUP does not say (fuse_lookup_init). */
import { readFileSync } from 'node:fs';

/** What the kernel's worker threads of io_uring(7) carry: the call of the process that they were made by. */
const IO_URING = [425, 426];

/**
 * rename, renameat, renameat2 of the machine's own programs and of its 32-bit ones. No number of the one is, in the other,
 * a call that looks up a name.
 */
const CALLS: Readonly<Partial<Record<NodeJS.Architecture, ReadonlySet<number>>>> = {
  x64: new Set([82, 264, 316, 38, 302, 353, ...IO_URING]),
  arm64: new Set([38, 276, 329, 382, ...IO_URING]),
};

/** A thread that has asked may for a moment not be asleep yet: it then shows no call. Each try takes some 20 us. */
const TRIES = 50;

/** May the thread be in a rename? It has to be one that waits for our answer. True where that cannot be seen. */
export function mayRename(pid: number): boolean {
  const calls = CALLS[process.arch];
  if (calls === undefined) return true;
  for (let tried = 0; tried < TRIES; tried += 1) {
    const call = Number(callOf(pid));
    // No number: it is running. Below 0: in no call that anybody could name.
    if (!Number.isNaN(call)) return call < 0 || calls.has(call);
  }
  return true;
}

/** The first word of proc_pid_syscall(5); below 0 where it cannot be read, as of a process of another PID namespace (0). */
function callOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/syscall`, 'latin1').split(/\s/, 1)[0] ?? '';
  } catch {
    return '-1';
  }
}
