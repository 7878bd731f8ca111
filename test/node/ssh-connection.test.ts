/** The SSH connection against a real sshd on loopback, with keys made for the occasion. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openConnection } from '../../electron/host/ssh/connection.ts';
import type { ConnectOptions, SshConnection } from '../../electron/host/ssh/connection.ts';
import { rememberLine } from '../../electron/host/ssh/known-hosts.ts';

const SSHD = '/usr/sbin/sshd';
const missing = existsSync(SSHD) ? false : `${SSHD} is not installed (Debian: openssh-server)`;

describe('an SSH connection to a real sshd', { skip: missing }, () => {
  const home = mkdtempSync(join(tmpdir(), 'ringmaster-ssh-'));
  const at = (name: string): string => join(home, name);
  const user = userInfo().username;
  let server: ChildProcess | null = null;
  let port = 0;

  const keygen = (file: string, type: string, passphrase = ''): void => {
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-f', at(file)]);
  };

  const startServer = async (hostKeys: readonly string[]): Promise<void> => {
    const config = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      ...hostKeys.map((key) => `HostKey ${at(key)}`),
      `AuthorizedKeysFile ${at('authorized_keys')}`,
      `PidFile ${at('sshd.pid')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
    ];
    writeFileSync(at('sshd_config'), `${config.join('\n')}\n`);
    const child = spawn(SSHD, ['-D', '-e', '-f', at('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    server = child;
    await new Promise<void>((resolve, reject) => {
      let said = '';
      child.stderr?.on('data', (chunk) => {
        said += String(chunk);
        if (said.includes('Server listening')) resolve();
      });
      child.once('exit', () => reject(new Error(`sshd ended: ${said}`)));
    });
  };

  const stopServer = async (): Promise<void> => {
    const child = server;
    server = null;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await gone;
  };

  const options = (more: Partial<ConnectOptions> = {}): ConnectOptions => ({
    knownHostsFiles: [at('known_hosts')],
    timeoutMs: 10_000,
    userConfig: '',
    agent: null,
    ...more,
  });
  const target = (identity = 'id'): Parameters<typeof openConnection>[0] => ({
    address: '127.0.0.1',
    port,
    user,
    identityFile: at(identity),
  });
  const connected = async (more: Partial<ConnectOptions> = {}, identity = 'id'): Promise<SshConnection> => {
    const opened = await openConnection(target(identity), options(more));
    assert.ok(opened.ok, opened.ok ? '' : JSON.stringify(opened.error));
    return opened.value;
  };
  const recordHostKey = (file: string): void => {
    const [type, key] = readFileSync(at(`${file}.pub`), 'utf8').split(' ');
    writeFileSync(at('known_hosts'), `[127.0.0.1]:${port} ${type} ${key}\n`);
  };

  before(async () => {
    // Where Debian's service would make it; sshd run as root needs it.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    port = await new Promise<number>((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const found = (probe.address() as AddressInfo).port;
        probe.close(() => resolve(found));
      });
    });
    keygen('host_ed25519', 'ed25519');
    keygen('host_rsa', 'rsa');
    keygen('other_ed25519', 'ed25519');
    keygen('id', 'ed25519');
    keygen('locked', 'ed25519', 'open sesame');
    keygen('stranger', 'ed25519');
    writeFileSync(at('authorized_keys'), readFileSync(at('id.pub'), 'utf8') + readFileSync(at('locked.pub'), 'utf8'));
    await startServer(['host_ed25519', 'host_rsa']);
  });

  after(async () => {
    await stopServer();
    rmSync(home, { recursive: true, force: true });
  });

  test('an unknown host key is not accepted, and its line, once remembered, is', async () => {
    rmSync(at('known_hosts'), { force: true });
    const first = await openConnection(target(), options());
    assert.ok(!first.ok && first.error.kind === 'unknown-key');
    assert.equal(first.error.keyType, 'ssh-ed25519');
    const shown = execFileSync('ssh-keygen', ['-lf', at('host_ed25519.pub')], { encoding: 'utf8' });
    assert.equal(first.error.fingerprint, shown.split(' ')[1]);
    rememberLine(at('known_hosts'), first.error.line);
    (await connected()).close();
  });

  test('a known_hosts that ssh-keygen has hashed is understood', async () => {
    recordHostKey('host_ed25519');
    execFileSync('ssh-keygen', ['-q', '-H', '-f', at('known_hosts')], { stdio: 'ignore' });
    assert.match(readFileSync(at('known_hosts'), 'utf8'), /^\|1\|/);
    (await connected()).close();
  });

  test('the server is asked for the key type that is on record', async () => {
    recordHostKey('host_rsa');
    (await connected()).close();
  });

  test('a changed host key stops the connection and names the line on record', async () => {
    recordHostKey('other_ed25519');
    const opened = await openConnection(target(), options());
    assert.ok(!opened.ok && opened.error.kind === 'changed-key');
    assert.equal(opened.error.knownHostsLine, `${at('known_hosts')}:1`);
  });

  test('a key without passphrase logs in, and a command gives its output, error output and exit code', async () => {
    recordHostKey('host_ed25519');
    const connection = await connected();
    const done = await connection.exec(`printf "it's %s" here; echo there >&2; exit 3`);
    assert.deepEqual(done, { code: 3, stdout: "it's here", stderr: 'there\n' });
    connection.close();
    assert.match(await connection.closed, /closed/);
  });

  test('a locked key asks for its passphrase, and a wrong one is not enough', async () => {
    recordHostKey('host_ed25519');
    const opened = await openConnection(target('locked'), options());
    assert.ok(!opened.ok && opened.error.kind === 'needs-credentials');
    assert.equal(opened.error.want, 'passphrase');
    const wrong = await openConnection(
      target('locked'),
      options({ secret: { for: 'passphrase', value: 'open barley' } }),
    );
    assert.ok(!wrong.ok && wrong.error.kind === 'needs-credentials');
    (await connected({ secret: { for: 'passphrase', value: 'open sesame' } }, 'locked')).close();
  });

  test('a key the server does not know is refused in words', async () => {
    recordHostKey('host_ed25519');
    const opened = await openConnection(target('stranger'), options());
    assert.ok(!opened.ok && opened.error.kind === 'unreachable');
    assert.match(opened.error.reason, /did not let .* in .*takes keys only/);
  });

  test('the keys of an SSH agent are used', async () => {
    recordHostKey('host_ed25519');
    const socket = at('agent.sock');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    try {
      for (let tries = 0; !existsSync(socket) && tries < 100; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      execFileSync('ssh-add', ['-q', at('id')], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' });
      const opened = await openConnection(target('stranger'), options({ agent: socket }));
      assert.ok(opened.ok, opened.ok ? '' : JSON.stringify(opened.error));
      opened.value.close();
    } finally {
      agent.kill();
    }
  });

  test('~/.ssh/config gives the address, the port, the user, the key, and a host to go through', async () => {
    const [type, key] = readFileSync(at('host_ed25519.pub'), 'utf8').split(' ');
    writeFileSync(at('known_hosts'), `[127.0.0.1]:${port},[localhost]:${port} ${type} ${key}\n`);
    const userConfig = [
      'Host gate',
      '  HostName 127.0.0.1',
      'Host inner',
      '  HostName localhost',
      '  ProxyJump gate',
      'Host gate inner',
      `  Port ${port}`,
      `  User ${user}`,
      `  IdentityFile ${at('id')}`,
    ].join('\n');
    const alias = { address: 'inner', port: 22, user: '', identityFile: null };
    const opened = await openConnection(alias, options({ userConfig }));
    assert.ok(opened.ok, opened.ok ? '' : JSON.stringify(opened.error));
    assert.equal((await opened.value.exec('echo through')).stdout, 'through\n');
    opened.value.close();
    await opened.value.closed;
  });

  test('50 MB arrive whole, with progress up to the last byte', async () => {
    recordHostKey('host_ed25519');
    const connection = await connected();
    const data = Buffer.concat(Array.from({ length: 50 }, () => randomBytes(1_000_000)));
    let last = 0;
    const begun = Date.now();
    const done = await connection.exec(`cat > ${at('upload')}`, data, (bytes) => {
      assert.ok(bytes > last);
      last = bytes;
    });
    const seconds = (Date.now() - begun) / 1000;
    assert.equal(done.code, 0);
    assert.equal(last, data.length);
    const sum = await connection.exec(`sha256sum < ${at('upload')}`);
    assert.equal(sum.stdout.slice(0, 64), createHash('sha256').update(data).digest('hex'));
    connection.close();
    console.log(`    50 MB in ${seconds.toFixed(2)} s`);
  });

  test('a command that does not read its input ends all the same', async () => {
    recordHostKey('host_ed25519');
    const connection = await connected();
    const done = await connection.exec('exit 7', Buffer.alloc(8_000_000));
    assert.equal(done.code, 7);
    connection.close();
  });

  test('a killed server session is noticed at once, and running commands reject', async () => {
    recordHostKey('host_ed25519');
    const connection = await connected();
    const session = await serverProcess(connection);
    const running = assert.rejects(connection.exec('sleep 60'));
    process.kill(session, 'SIGKILL');
    const begun = Date.now();
    await connection.closed;
    assert.ok(Date.now() - begun < 2000);
    await running;
    await assert.rejects(connection.exec('true'));
  });

  test('a server that has stopped answering is noticed within seven seconds', async () => {
    recordHostKey('host_ed25519');
    const connection = await connected();
    const session = await serverProcess(connection);
    process.kill(session, 'SIGSTOP');
    try {
      const begun = Date.now();
      assert.match(await connection.closed, /stopped answering/);
      assert.ok(Date.now() - begun < 7000, `took ${Date.now() - begun} ms`);
    } finally {
      process.kill(session, 'SIGKILL');
    }
  });

  test('a port where nothing listens is unreachable in words', async () => {
    await stopServer();
    const opened = await openConnection(target(), options());
    assert.ok(!opened.ok && opened.error.kind === 'unreachable');
    assert.match(opened.error.reason, /connection refused/);
  });
});

/** The sshd process that serves this connection. */
async function serverProcess(connection: SshConnection): Promise<number> {
  let pid = Number((await connection.exec('echo $PPID')).stdout);
  // The log-in shell may stand between: go up to sshd.
  for (let steps = 0; steps < 3; steps += 1) {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sshd')) return pid;
    pid = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  }
  throw new Error('no sshd above the command');
}
