/**
 * Real Corosync on nodes that a test makes and removes: one network, mount, UTS and IPC namespace per node, since
 * Corosync's IPC is by abstract sockets and /dev/shm. A part of the network is a bridge; to cut is to move ports.
 */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why it cannot be tried on this machine, or false. */
export function missing(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'namespaces need root on Linux';
  for (const file of ['/usr/sbin/corosync', '/usr/sbin/corosync-quorumtool'])
    if (!existsSync(file)) return "Debian's package corosync is not installed";
  const version = spawnSync('corosync', ['-v'], { encoding: 'utf8' }).stdout;
  if (!version.includes("version '3.1.7'"))
    return `these figures are of Corosync 3.1.7, not of: ${version.split('\n')[0]}`;
  return spawnSync('ip', ['-V']).status === 0 ? false : "Debian's package iproute2 is not installed";
}

/** What corosync-quorumtool -s says. */
export interface Shown {
  readonly members: readonly number[];
  readonly quorate: boolean;
  readonly expected: number;
  readonly highest: number;
  readonly total: number;
  readonly quorum: number;
  readonly flags: string;
}

/**
 * Milliseconds. A lost node is seen after token and 1.2 times as much (corosync.conf(5), consensus). Shorter, and a
 * machine that is busy with other tests loses nodes that nobody killed (measured: 400 with a load of 16).
 */
const TOKEN = 1600;

let made = 0;

export class CorosyncLab {
  readonly directory = mkdtempSync(join(tmpdir(), 'ringmaster-quorum-'));
  private readonly id = `rmq${process.pid}x${made++}`;
  private readonly running = new Map<number, ChildProcess>();
  private readonly votes: readonly number[];

  /** Node i+1 has votes[i]; `quorum` are lines for the section quorum. */
  constructor(votes: readonly number[], quorum: readonly string[]) {
    this.votes = votes;
    ip('netns', 'add', this.space(0));
    for (const [index] of votes.entries()) {
      const node = index + 1;
      ip(
        '-n',
        this.space(0),
        'link',
        'add',
        `br${node}`,
        'type',
        'bridge',
        'forward_delay',
        '0',
        'mcast_snooping',
        '0',
      );
      ip('-n', this.space(0), 'link', 'set', `br${node}`, 'up');
      ip('netns', 'add', this.space(node));
      ip(
        '-n',
        this.space(0),
        'link',
        'add',
        `n${node}`,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        this.space(node),
      );
      ip('-n', this.space(0), 'link', 'set', `n${node}`, 'master', 'br1', 'up');
      ip('-n', this.space(node), 'address', 'add', `10.99.0.${node}/24`, 'dev', 'eth0');
      ip('-n', this.space(node), 'link', 'set', 'lo', 'up');
      ip('-n', this.space(node), 'link', 'set', 'eth0', 'up');
      for (const part of ['etc', 'lib']) mkdirSync(join(this.directory, String(node), part), { recursive: true });
      writeFileSync(join(this.directory, String(node), 'etc/corosync.conf'), this.conf(quorum));
    }
  }

  start(node: number): void {
    if (this.running.has(node)) return;
    const home = join(this.directory, String(node));
    const script = [
      'mount --bind "$0/etc" /etc/corosync',
      'mkdir -p /var/lib/corosync && mount --bind "$0/lib" /var/lib/corosync',
      'mount -t tmpfs none /dev/shm',
      'mount -t tmpfs none /run',
      'exec nice -n -15 corosync -f',
    ].join(' && ');
    const log = openSync(join(home, 'output'), 'a');
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${this.space(node)}`,
        ...['unshare', '--mount', '--uts', '--ipc', '--propagation', 'private'],
        ...['sh', '-c', script, home],
      ],
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
    this.running.set(node, child);
  }

  /** SIGTERM is a stop in order, SIGKILL is a death. Resolves when the process is gone. */
  async end(node: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.running.get(node);
    if (child === undefined) return;
    this.running.delete(node);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** The network is now these groups; nodes of no group are alone. */
  cut(groups: readonly (readonly number[])[]): void {
    for (const [index] of this.votes.entries()) {
      const node = index + 1;
      const home = groups.find((group) => group.includes(node))?.[0] ?? node;
      ip('-n', this.space(0), 'link', 'set', `n${node}`, 'master', `br${home}`);
    }
  }

  /** Null while Corosync does not answer. */
  async show(node: number): Promise<Shown | null> {
    const { output } = await this.on(node, 'corosync-quorumtool', '-s', '-i');
    const number = (label: string): number => Number(new RegExp(`^${label}: +(\\d+)`, 'm').exec(output)?.[1]);
    const flags = /^Flags: +(.*)$/m.exec(output)?.[1]?.trim();
    if (flags === undefined) return null;
    const members = [...output.matchAll(/^ *(?:0x)?([0-9a-f]+) +\d+ .*10\.99\.0\./gm)].map((row) =>
      parseInt(row[1] ?? '', 16),
    );
    return {
      members: members.sort((a, b) => a - b),
      quorate: /^Quorate: +Yes/m.test(output),
      expected: number('Expected votes'),
      highest: number('Highest expected'),
      total: number('Total votes'),
      quorum: number('Quorum'),
      flags,
    };
  }

  /** corosync-quorumtool -e: whether it was taken. */
  async expect(node: number, votes: number): Promise<boolean> {
    return (await this.on(node, 'corosync-quorumtool', '-e', String(votes))).code === 0;
  }
  async cancelWait(node: number): Promise<boolean> {
    return (await this.on(node, 'corosync-cmapctl', '-s', 'quorum.cancel_wait_for_all', 'u8', '1')).code === 0;
  }
  log(node: number): string {
    return readFileSync(join(this.directory, String(node), 'output'), 'utf8');
  }

  async close(): Promise<void> {
    for (const node of this.running.keys()) await this.end(node, 'SIGKILL');
    for (let node = 0; node <= this.votes.length; node++) spawnSync('ip', ['netns', 'delete', this.space(node)]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A command of the node, beside its Corosync. */
  on(node: number, command: string, ...args: string[]): Promise<{ code: number; output: string }> {
    const pid = this.running.get(node)?.pid;
    assert.ok(pid !== undefined, `node ${node} does not run`);
    return new Promise((resolve) => {
      const inside = ['--mount', '--net', '--ipc', '--uts', '--target', String(pid), command, ...args];
      execFile('nsenter', inside, { encoding: 'utf8', timeout: 20_000 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, output: stdout + stderr });
      });
    });
  }

  private space(node: number): string {
    return node === 0 ? `${this.id}-switch` : `${this.id}-${node}`;
  }

  private conf(quorum: readonly string[]): string {
    const nodes = this.votes.map(
      (votes, index) =>
        `  node {\n    name: n${index + 1}\n    nodeid: ${index + 1}\n    quorum_votes: ${votes}\n    ring0_addr: 10.99.0.${index + 1}\n  }`,
    );
    return [
      `totem {\n  version: 2\n  cluster_name: votes\n  transport: udpu\n  token: ${TOKEN}\n  token_coefficient: 0\n}`,
      `nodelist {\n${nodes.join('\n')}\n}`,
      `quorum {\n  provider: corosync_votequorum\n${quorum.map((line) => `  ${line}\n`).join('')}}`,
      'system {\n  sched_rr: no\n  move_to_root_cgroup: no\n}',
      'logging {\n  to_syslog: no\n  to_stderr: yes\n}',
      '',
    ].join('\n');
  }
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  assert.equal(status, 0, `ip ${args.join(' ')}: ${stderr}`);
}
