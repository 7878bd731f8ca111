/** Mounts and unmounts. Nothing here touches the mount itself: a process must not wait for what it serves. */
import { spawn } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readFileSync } from 'node:fs';

import type { DeviceNumber } from './messages.ts';

/** The source in /proc/self/mountinfo, by which a mount of ours is told from others of the type `fuse`. */
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

/**
 * Mounts at `at`, after what a crashed predecessor left there is gone. Rejects with mount's own words, or where something
 * of somebody else's is mounted there.
 */
export async function mountFuse(at: string): Promise<FuseDevice> {
  // First, and whichever is on top: umount takes the topmost, which need not be ours.
  const foreign = foreignMount(mountsAt(at));
  if (foreign !== null) throw new Error(`${foreign} is mounted at ${at}: unmount it first`);
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

interface Mount {
  /** Major and minor, with a colon between. */
  readonly device: string;
  readonly type: string;
  readonly source: string;
}

/** What is mounted at this path, the topmost last (proc_pid_mountinfo(5)). */
function mountsAt(at: string): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      // Optional fields stand before the hyphen, as many as there are.
      const [own = '', rest = ''] = line.split(' - ');
      const [, , device = '', , path] = own.split(' ');
      const [type = '', source = ''] = rest.split(' ');
      return path === at ? [{ device, type, source }] : [];
    });
}

const isOurs = ({ type, source }: Mount): boolean => type === 'fuse' && source === FS_NAME;

/** The topmost that is not ours, in words; null where there is none. Ours would hide it. */
function foreignMount(mounts: readonly Mount[]): string | null {
  const foreign = mounts.findLast((mount) => !isOurs(mount));
  if (foreign === undefined) return null;
  // A subtype says whose it is (`fuse.sshfs`). Without one the source does: Proxmox VE's pmxcfs has /dev/fuse there.
  return foreign.type === 'fuse' ? `fuse (${foreign.source})` : foreign.type;
}

/** Of a mount of ours at this path, the topmost; null where there is none: whatever else is there is somebody's. */
function numberOf(at: string): DeviceNumber | null {
  const [major, minor] = mountsAt(at).findLast(isOurs)?.device.split(':') ?? [];
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
