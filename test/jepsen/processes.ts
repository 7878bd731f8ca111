/** The processes of a lab's node, numbered as this machine does. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { runningInit } from '../../electron/lab/namespace/boot.ts';
import { labPaths } from '../../electron/lab/state.ts';

/** Their command lines, as /proc has them: with zero bytes between the words. */
export const COMMANDS = {
  engine: /agent\.mjs\0engine/,
  corosync: /^(\S*\/)?corosync\0/,
  pmxcfs: /agent\.mjs\0pmxcfs/,
  supervise: /agent\.mjs\0supervise/,
} as const;

/** None when the node is stopped or runs no such process. */
export function processesIn(directory: string, node: string, ...commands: readonly RegExp[]): number[] {
  const init = runningInit(labPaths(directory), node);
  if (init === null) return [];
  const within = namespaceOf(init.pid);
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => namespaceOf(pid) === within && commands.some((command) => command.test(commandOf(pid))));
}

function namespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}
