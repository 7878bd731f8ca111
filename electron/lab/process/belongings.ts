/** Which processes belong to a rootless node: those with its directory for a root in their environment. */
import { readdirSync, readFileSync } from 'node:fs';

/** Processes below `root` (a node's directory), or below any node of a lab when it ends in a slash. */
export function processesOf(root: string): number[] {
  const exact = Buffer.from(`\0RINGMASTER_ROOT=${root}${root.endsWith('/') ? '' : '\0'}`);
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) return [];
    try {
      const environment = Buffer.concat([Buffer.from([0]), readFileSync(`/proc/${pid}/environ`)]);
      return environment.includes(exact) ? [pid] : [];
    } catch {
      // It has ended, or it is another account's.
      return [];
    }
  });
}

/** Kills them all, also those that are being started meanwhile. False when some would not end. */
export async function killAllOf(root: string): Promise<boolean> {
  for (let round = 0, empty = 0; round < 200; round++) {
    const found = processesOf(root);
    empty = found.length === 0 ? empty + 1 : 0;
    // Twice nobody: a process forked while the list was read is on the second.
    if (empty === 2) return true;
    for (const pid of found) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It was faster.
      }
    }
    if (found.length > 0) await new Promise((resolve) => setTimeout(resolve, 15));
  }
  return false;
}
