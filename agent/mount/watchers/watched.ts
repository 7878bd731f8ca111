/**
 * Who watches the mount (inotify(7), fanotify(7)), from /proc: no system call tells of it. Nothing here touches the
 * mount: these are links and texts of the kernel's own.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { DeviceNumber } from '../fuse/messages.ts';
import type { Watched } from '../fuse/remote-events.ts';

/** Milliseconds from the end of one look to the next; longer where a look takes long, so that it costs 2 % of a core. */
const PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 10_000;
const SHARE = 50;

/** Marks of one descriptor that are about this device. `fdinfo` is the text of /proc/PID/fdinfo/FD (proc(5)). */
export function marksOf(fdinfo: string, { major, minor }: DeviceNumber): Watched {
  // The kernel's own way to write a device: MKDEV(major, minor) in hexadecimal.
  const device = major * 2 ** 20 + minor;
  const inodes: number[] = [];
  for (const line of fdinfo.split('\n')) {
    if (!/^(inotify|fanotify) /.test(line)) continue;
    const field = (name: string): number | null => {
      const found = new RegExp(`\\b${name}:([0-9a-f]+)`).exec(line)?.[1];
      return found === undefined ? null : Number.parseInt(found, 16);
    };
    const [inode, sdev] = [field('ino'), field('sdev')];
    // A mark of a whole mount names a number of its namespace only.
    if (sdev === null) {
      if (field('mnt_id') !== null) return 'all';
    } else if (sdev === device) {
      if (inode === null) return 'all';
      inodes.push(inode);
    }
  }
  return inodes;
}

/** Looks through all processes. Takes about a millisecond for a hundred descriptors. */
export function watchedNow(device: DeviceNumber): Watched {
  const inodes = new Set<number>();
  for (const pid of entries('/proc')) {
    if (!/^\d/.test(pid)) continue;
    for (const fd of entries(`/proc/${pid}/fd`)) {
      if (!/notify/.test(linkTarget(`/proc/${pid}/fd/${fd}`))) continue;
      const marks = marksOf(text(`/proc/${pid}/fdinfo/${fd}`), device);
      if (marks === 'all') return 'all';
      for (const inode of marks) inodes.add(inode);
    }
  }
  return [...inodes].sort((left, right) => left - right);
}

/** Looks again and again, and tells what is new. */
export function lookForWatchers(device: DeviceNumber, tell: (watched: Watched) => void): void {
  let told = '';
  const look = (): void => {
    const begun = performance.now();
    const watched = watchedNow(device);
    const took = performance.now() - begun;
    if (String(watched) !== told) tell(watched);
    told = String(watched);
    setTimeout(look, Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, took * SHARE)));
  };
  setTimeout(look, PAUSE_MS);
}

/** Processes and descriptors come and go meanwhile. */
const entries = (folder: string): string[] => orElse([], () => readdirSync(folder));
const linkTarget = (path: string): string => orElse('', () => readlinkSync(path));
const text = (path: string): string => orElse('', () => readFileSync(path, 'utf8'));

function orElse<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
