/**
 * This Debian once more, as a machine of its own: its root below an overlay that is kept in memory, in namespaces without
 * a network but a cable of its own. What is installed or removed there is gone with it, and this machine does not notice.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const project = join(import.meta.dirname, '../..');
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const ADDRESS = '10.88.77.1';

/** False, or why it cannot be made here. */
export const whyNoDebianRoot = (): string | false => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a root of its own needs root on Linux';
  return existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get') ? false : 'this machine is no Debian';
};

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class DebianRoot {
  readonly directory = mkdtempSync(join(tmpdir(), 'ringmaster-debian-'));
  #first: ChildProcess | null = null;
  #pid = 0;

  /** `packages` are removed there, with their configuration. Rejects with what was said when it cannot be made. */
  async boot(packages: readonly string[]): Promise<void> {
    const pidFile = join(this.directory, 'pid');
    mkdirSync(join(this.directory, 'root'));
    writeFileSync(join(this.directory, 'init.sh'), this.#init(pidFile));
    const first = spawn(
      'unshare',
      [
        ...[
          '--mount',
          '--uts',
          '--ipc',
          '--net',
          '--pid',
          '--fork',
          '--kill-child=SIGKILL',
          '--propagation',
          'private',
        ],
        ...['sh', join(this.directory, 'init.sh')],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH } },
    );
    this.#first = first;
    let said = '';
    first.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    for (const end = Date.now() + 20_000; !existsSync(pidFile);) {
      if (first.exitCode !== null || Date.now() > end) throw new Error(`the root of its own did not start: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.#pid = Number(readFileSync(pidFile, 'utf8'));
    const removed = this.on(`rm -f /usr/sbin/policy-rc.d; dpkg --purge --force-depends ${packages.join(' ')}`);
    if (removed.code !== 0) throw new Error(`packages could not be removed there: ${removed.err}`);
  }

  on(script: string): Outcome {
    const { program, args } = this.#enter(script);
    const { status, stdout, stderr } = spawnSync(program, args, {
      encoding: 'utf8',
      env: ENVIRONMENT,
      timeout: 120_000,
    });
    return { code: status, out: stdout, err: stderr };
  }

  begin(script: string): ChildProcess {
    const { program, args } = this.#enter(script);
    return spawn(program, args, { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async remove(): Promise<void> {
    const first = this.#first;
    if (first !== null && first.exitCode === null && first.signalCode === null) {
      const ended = new Promise((resolve) => first.once('exit', resolve));
      first.kill('SIGKILL');
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  #enter(script: string): { program: string; args: string[] } {
    const root = join(this.directory, 'root/m');
    const spaces = ['--mount', '--uts', '--ipc', '--net', '--pid'];
    return {
      program: 'nsenter',
      args: [`--target=${this.#pid}`, ...spaces, '--', 'chroot', root, 'sh', '-c', script],
    };
  }

  #init(pidFile: string): string {
    const root = join(this.directory, 'root');
    const m = `${root}/m`;
    return `set -eu
read -r self rest < /proc/self/stat
mount -t tmpfs tmpfs ${root}
mkdir ${root}/upper ${root}/work ${m}
mount -t overlay overlay -o lowerdir=/,upperdir=${root}/upper,workdir=${root}/work ${m}
mount -t proc proc ${m}/proc
mount --rbind /dev ${m}/dev
mount --rbind /sys ${m}/sys
for place in run tmp dev/shm; do mount -t tmpfs -o mode=1777 tmpfs ${m}/$place; done
mkdir -p ${m}/run/lock ${m}${project} ${m}${this.directory}/shared
mkdir -p ${this.directory}/shared
mount --rbind ${project} ${m}${project}
mount --bind ${this.directory}/shared ${m}${this.directory}/shared
rm -rf ${m}/var/lib/ringmaster ${m}/var/lib/pve-cluster ${m}/var/lib/corosync ${m}/etc/corosync ${m}/etc/pve
mkdir -p ${m}/etc/pve
printf '127.0.0.1 localhost\\n${ADDRESS} solo\\n' > ${m}/etc/hosts
rm -f ${m}/etc/resolv.conf
hostname solo
ip link set lo up
ip link add cable type bridge
ip addr add ${ADDRESS}/24 dev cable
ip link set cable up
echo $self > ${pidFile}.new
mv ${pidFile}.new ${pidFile}
# Collects orphans, as an init does.
while :; do sleep 1000 & wait $! || :; done
`;
  }
}

const ENVIRONMENT = { PATH, HOME: '/root', LANG: 'C.UTF-8' };

/** Fetches packages of this release into a folder with an index, for a file: repository. False: none can be reached. */
export function fetchPackages(folder: string, names: readonly string[]): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const apt = (...args: string[]): boolean =>
    spawnSync('apt-get', args, { cwd: folder, stdio: 'ignore', timeout: 120_000 }).status === 0;
  // The lists may be of a time whose versions the archive no longer has, or not there at all.
  if (!apt('download', ...names) && !(apt('update') && apt('download', ...names))) return false;
  const index = readdirSync(folder).map((file) => {
    const data = readFileSync(join(folder, file));
    const { stdout } = spawnSync('dpkg-deb', ['-f', join(folder, file)], { encoding: 'utf8' });
    const digest = createHash('sha256').update(data).digest('hex');
    return `${stdout.trimEnd()}\nFilename: ./${file}\nSize: ${data.length}\nSHA256: ${digest}\n`;
  });
  writeFileSync(join(folder, 'Packages'), index.join('\n'));
  return true;
}
