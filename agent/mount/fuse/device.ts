/** Mounts and unmounts. Nothing here touches the mount itself: a process must not wait for what it serves. */
import { spawn } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readFileSync } from 'node:fs';

import type { DeviceNumber } from './messages.ts';

/** `fstype` in /proc/self/mountinfo. */
const FS_NAME = 'ringmaster';

/** Without a helper program, and without a look at the path: what is mounted there may not answer any more. */
const DETACH = ['-i', '-c', '-l'];

export interface FuseDevice {
  readonly fd: number;
  /** Null where the mount is not found under its own path (a link in the path). */
  readonly number: DeviceNumber | null;
  /**
   * By force and at once: whoever waits for the mount or has a file open gets an error, and the reader of `fd` too.
   * Lazily alone would leave the conversation open, and this process, until the last file is closed.
   */
  unmount(): Promise<void>;
}

/** Why there can be no mount here, or null. */
export function whyNoMount(root: string): string | null {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (root !== '') return 'a node without root has no mount';
  if (process.getuid?.() !== 0) return 'only root can mount';
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return null;
  } catch (error) {
    return `/dev/fuse cannot be opened: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Mounts at `at`, after what a crashed predecessor left there is gone. Rejects with mount's own words. */
export async function mountFuse(at: string): Promise<FuseDevice> {
  while (numberOf(at) !== null) await run('umount', [...DETACH, at], null);
  mkdirSync(at, { recursive: true });
  const fd = openSync('/dev/fuse', constants.O_RDWR);
  try {
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,nosuid,nodev';
    // -i: without a helper program; the kernel takes the descriptor by its number in mount's process.
    await run('mount', ['-i', '-t', 'fuse', '-o', options, FS_NAME, at], fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { fd, number: numberOf(at), unmount: () => run('umount', [...DETACH, '-f', at], null) };
}

/** Of a mount of ours at this path, the topmost; null where there is none: whatever else is there is somebody's. */
function numberOf(at: string): DeviceNumber | null {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .findLast((mount) => mount.split(' ')[4] === at && mount.includes(` - fuse ${FS_NAME} `));
  const [major, minor] = line?.split(' ')[2]?.split(':') ?? [];
  return major === undefined || minor === undefined ? null : { major: Number(major), minor: Number(minor) };
}

function run(command: string, args: readonly string[], fd: number | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe', ...(fd === null ? [] : [fd])] });
    let words = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (words += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} failed: ${words.trim() || `exit code ${code}`}`));
    });
  });
}
