/** What a lab of namespaces needs from the machine. */
import { existsSync } from 'node:fs';
import { run } from '../run.ts';

/** Commands, and the Debian package that has each. */
export const NAMESPACE_COMMANDS = [
  { command: 'ip', debianPackage: 'iproute2' },
  { file: '/usr/sbin/sshd', debianPackage: 'openssh-server' },
  { command: 'ssh', debianPackage: 'openssh-client' },
  { command: 'nsenter', debianPackage: 'util-linux' },
  { command: 'unshare', debianPackage: 'util-linux' },
  { command: 'mount', debianPackage: 'mount' },
  { command: 'nft', debianPackage: 'nftables' },
] as const;

/** What `--engine corosync` needs on top. The lab installs it for nobody. */
export const COROSYNC_PROGRAM = '/usr/sbin/corosync';

/**
 * Whether this process may make namespaces at all: a root without CAP_SYS_ADMIN, as in an ordinary
 * container, may not. Null when it may, else the kernel's words.
 */
export async function whyNoNamespaces(): Promise<string | null> {
  if (process.platform !== 'linux') return 'there are no network namespaces outside Linux';
  if (process.getuid?.() !== 0) return 'making network namespaces needs root';
  const tried = await run('unshare', ['--mount', '--net', '--uts', '--ipc', '--pid', '--fork', 'true']);
  return tried.code === 0 ? null : tried.stderr.trim().split('\n')[0] || 'unshare failed';
}

/** Sentences about what is missing; empty when all is there. */
export async function missingForNamespaces(): Promise<string[]> {
  const missing: string[] = [];
  const packages = new Set<string>();
  for (const need of NAMESPACE_COMMANDS) {
    const there = 'file' in need ? existsSync(need.file) : await inPath(need.command);
    if (there) continue;
    packages.add(need.debianPackage);
    missing.push('file' in need ? need.file : need.command);
  }
  const sentences: string[] = [];
  if (missing.length > 0) {
    sentences.push(
      `The lab needs ${missing.join(', ')}. On Debian: apt-get install --no-install-recommends ${[...packages].join(' ')}`,
    );
  }
  if (!existsSync('/dev/fuse')) {
    await run('modprobe', ['fuse']).catch(() => undefined);
    if (!existsSync('/dev/fuse')) sentences.push('The lab needs /dev/fuse, and "modprobe fuse" does not bring it.');
  }
  return sentences;
}

async function inPath(command: string): Promise<boolean> {
  return (await run('sh', ['-c', 'command -v "$1"', 'sh', command])).code === 0;
}
