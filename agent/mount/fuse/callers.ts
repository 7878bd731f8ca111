/** What the kernel's request does not say of its caller, from /proc. Nothing here touches the mount. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Is the thread's process a member of the group, also by a group besides its first? */
export function isInGroup(pid: number, gid: number): boolean {
  const groups = /^Groups:\s*(.*)$/m.exec(statusOf(pid))?.[1] ?? '';
  return groups.split(/\s+/).includes(String(gid));
}

/** Are both threads of one process? */
export function isSameProcess(left: number, right: number): boolean {
  if (left === right) return true;
  const [first, second] = [left, right].map((pid) => /^Tgid:\s*(\d+)$/m.exec(statusOf(pid))?.[1]);
  return first !== undefined && first === second;
}

/** Has the thread's process a descriptor open on a path that ends so, also by a name that the kernel has since forgotten? */
export function hasOpen(pid: number, end: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => {
      try {
        const path = readlinkSync(`${folder}/${fd}`);
        return path.endsWith(end) || path.endsWith(`${end} (deleted)`);
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}
