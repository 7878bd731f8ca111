/** A namespace node's private directories: those of a freshly installed machine with this one's programs. */
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../run.ts';
import type { LabPaths, NodeState } from '../state.ts';
import { ensureKey, knownHostsLine } from '../keys.ts';

/**
 * What a node takes over from the machine's /etc: what programs need to run. Nothing secret is in it,
 * and nothing that makes the machine what it is.
 */
const FROM_ETC = [
  ...['alternatives', 'bash.bashrc', 'ca-certificates', 'debian_version', 'gai.conf', 'group', 'host.conf', 'inputrc'],
  ...[
    'iproute2',
    'ld.so.cache',
    'ld.so.conf',
    'ld.so.conf.d',
    'locale.alias',
    'localtime',
    'login.defs',
    'mke2fs.conf',
  ],
  ...['nsswitch.conf', 'os-release', 'pam.d', 'passwd', 'profile', 'profile.d', 'protocols', 'security', 'services'],
  ...['shells', 'skel', 'ssl/certs', 'ssl/openssl.cnf', 'terminfo', 'timezone'],
];

const SSHD_CONFIG = `# A lab node's own server: root by key, nothing else.
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100
MaxSessions 100
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp internal-sftp
PidFile none
`;

/** Makes what is missing; what the node has written since its first boot stays. */
export async function ensureNodeFiles(paths: LabPaths, node: NodeState): Promise<void> {
  const home = paths.node(node.name);
  await mkdir(home, { recursive: true, mode: 0o700 });
  await ensureEtc(home, node.name);
  await ensureKey(join(home, 'etc/ssh/ssh_host_ed25519_key'), `root@${node.name}`);
  // var/lib/corosync: Debian's package makes it, and Corosync does not start without (exit 16, measured).
  for (const path of ['var/lib/corosync', 'var/log', 'var/cache', 'var/spool', 'usr/local/bin']) {
    await mkdir(join(home, path), { recursive: true });
  }
  await mkdir(join(home, 'var/tmp'), { recursive: true });
  await chmod(join(home, 'var/tmp'), 0o1777);
  for (const [link, target] of [
    ['var/run', '/run'],
    ['var/lock', '/run/lock'],
  ] as const) {
    if (!existsSync(join(home, 'var/lib'))) continue;
    await symlink(target, join(home, link)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  await ensureRootHome(paths, home);
}

/** Every node knows every other by name and by key. Written anew whenever a node was added. */
export async function writeAcquaintance(paths: LabPaths, nodes: readonly NodeState[]): Promise<void> {
  const hosts = nodes.map(({ name, address }) => `${address} ${name}\n`).join('');
  const known = nodes.map(({ name, address }) => knownHostsLine([address, name], 22, hostKey(paths, name))).join('');
  for (const { name } of nodes) {
    const home = paths.node(name);
    await writeWhole(join(home, 'etc/hosts'), `127.0.0.1 localhost\n::1 localhost ip6-localhost\n${hosts}`);
    await writeWhole(join(home, 'root/.ssh/known_hosts'), known);
  }
  await writeWhole(paths.knownHosts, known);
}

const hostKey = (paths: LabPaths, name: string): string =>
  readFileSync(join(paths.node(name), 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');

/** Built aside and moved into place, so that an etc that is there is whole. */
async function ensureEtc(home: string, name: string): Promise<void> {
  const etc = join(home, 'etc');
  if (existsSync(etc)) return;
  const partial = join(home, 'etc.new');
  await rm(partial, { recursive: true, force: true });
  await mkdir(join(partial, 'ssh'), { recursive: true });
  for (const path of ['pve', 'corosync', 'default', 'systemd']) await mkdir(join(partial, path));
  const present = FROM_ETC.filter((path) => existsSync(join('/etc', path)));
  await must('cp', ['-a', '--parents', '--', ...present, partial], { cwd: '/etc' });
  await writeFile(join(partial, 'passwd'), withPlainRoot(readFileSync('/etc/passwd', 'utf8')));
  // `*`: no password, and yet not locked; sshd turns away accounts that are locked (`!`).
  await writeFile(join(partial, 'shadow'), 'root:*:20000:0:99999:7:::\n', { mode: 0o600 });
  await writeFile(join(partial, 'hostname'), `${name}\n`);
  await writeFile(
    join(partial, 'resolv.conf'),
    '# A lab node reaches the other nodes and its machine, by /etc/hosts.\n',
  );
  await writeFile(join(partial, 'ssh/sshd_config'), SSHD_CONFIG);
  await rename(partial, etc);
}

/** The machine's administrator may have another shell and home, whose files the node does not have. Pure. */
export function withPlainRoot(passwd: string): string {
  const others = passwd.split('\n').filter((line) => line !== '' && !line.startsWith('root:'));
  return [`root:x:0:0:root:/root:/bin/bash`, ...others, ''].join('\n');
}

async function ensureRootHome(paths: LabPaths, home: string): Promise<void> {
  const ssh = join(home, 'root/.ssh');
  await mkdir(ssh, { recursive: true, mode: 0o700 });
  await chmod(join(home, 'root'), 0o700);
  const publicKey = readFileSync(`${paths.clientKey}.pub`, 'utf8');
  await writeWhole(join(ssh, 'authorized_keys'), publicKey, 0o600);
  // The nodes reach each other as the app reaches them, so that "pvecm add" works on a node.
  await writeWhole(join(ssh, 'id_ed25519'), readFileSync(paths.clientKey, 'utf8'), 0o600);
}

async function writeWhole(file: string, text: string, mode = 0o644): Promise<void> {
  await writeFile(`${file}.new`, text, { mode });
  await rename(`${file}.new`, file);
}
