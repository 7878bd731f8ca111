/**
 * Which process is a node's. A process id alone may have been given to another program since: with the
 * start time and the boot it belongs to, it stands for one process for ever.
 */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of proc_pid_stat(5): clock ticks between boot and start. */
  readonly startTime: string;
  readonly bootId: string;
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** From two lines: the process's own /proc/self/stat, and the boot's id. Null when they are not that. */
export function parseIdentity(text: string): ProcessIdentity | null {
  const [stat = '', bootId = ''] = text.split('\n');
  const pid = Number(/^[0-9]+/.exec(stat)?.[0]);
  const startTime = startTimeIn(stat);
  if (!Number.isSafeInteger(pid) || pid <= 1 || startTime === null || bootId === '') return null;
  return { pid, startTime, bootId };
}

/** What a node's process wrote about itself; null where there is nothing to read. */
export function readIdentity(file: string): ProcessIdentity | null {
  try {
    return parseIdentity(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/** The text for such a file about the calling process. */
export const ownIdentity = (): string => `${read('/proc/self/stat')}\n${read(BOOT_ID)}\n`;

/** Does this very process still run? A zombie does not. */
export function isRunning(identity: ProcessIdentity): boolean {
  try {
    if (read(BOOT_ID) !== identity.bootId) return false;
    const stat = read(`/proc/${identity.pid}/stat`);
    return startTimeIn(stat) === identity.startTime && fieldsAfterName(stat)[0] !== 'Z';
  } catch {
    return false;
  }
}

/** Kills this very process; true when it was there. */
export function kill(identity: ProcessIdentity): boolean {
  if (!isRunning(identity)) return false;
  try {
    process.kill(identity.pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

const read = (file: string): string => readFileSync(file, 'utf8').trim();

/** The program's name stands in brackets and may itself hold blanks and brackets. */
const fieldsAfterName = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ');

const startTimeIn = (stat: string): string | null => fieldsAfterName(stat)[19] ?? null;
