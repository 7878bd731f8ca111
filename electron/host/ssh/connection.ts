/** One SSH connection to a host: who it is, who we are, and commands run there as root. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import ssh2 from 'ssh2';
import type { Client, ClientChannel, ConnectConfig, NextAuthHandler } from 'ssh2';
import { err, ok } from '../../../agent/result.ts';
import type { Result } from '../../../agent/result.ts';
import { gatherCredentials } from './credentials.ts';
import type { Credentials, Secret } from './credentials.ts';
import { send } from './upload.ts';
import {
  fingerprintOf,
  hostLabel,
  judgeKey,
  keyTypeOf,
  knownHostsLine,
  readKnownHosts,
  recordedTypes,
} from './known-hosts.ts';
import { quote } from './shell.ts';
import { readUserConfig, resolveTarget } from './user-config.ts';
import type { ResolvedTarget, SshTarget } from './user-config.ts';

export type { Secret, SshTarget };

export interface Executed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface OpenedCommand {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** The exit code; null when a signal or a lost connection ended it. */
  readonly closed: Promise<number | null>;
  close(): void;
}

/** Commands are POSIX shell, and run as root: through `sudo -n` where the account is another. */
export interface SshConnection {
  /** Runs a command to its end. Rejects when the connection is lost. `onProgress` gets bytes of stdin sent so far. */
  exec(command: string, stdin?: Buffer | Readable, onProgress?: (bytes: number) => void): Promise<Executed>;
  /** Starts a command whose streams the caller serves. All three streams must be read or resumed. */
  open(command: string): Promise<OpenedCommand>;
  close(): void;
  /** Resolves, with the reason in words, when the connection has ended. Never rejects. */
  readonly closed: Promise<string>;
}

/** Why there is no connection. Mirrors ConnectionState. */
export type ConnectFailure =
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** `line` is what known_hosts would hold once the user approves. */
  | { readonly kind: 'unknown-key'; readonly keyType: string; readonly fingerprint: string; readonly line: string }
  | {
      readonly kind: 'changed-key';
      readonly keyType: string;
      readonly fingerprint: string;
      readonly knownHostsLine: string;
    }
  | { readonly kind: 'needs-credentials'; readonly want: 'password' | 'passphrase'; readonly reason: string };

export interface ConnectOptions {
  /** Read in this order on every connect; a missing file is an empty one. */
  readonly knownHostsFiles: readonly string[];
  readonly secret?: Secret | undefined;
  /** For the TCP connection, the key exchange and the log-in together, in milliseconds. */
  readonly timeoutMs: number;
  /** Text to use in place of ~/.ssh/config. */
  readonly userConfig?: string | undefined;
  /** Socket of the SSH agent; by default SSH_AUTH_SOCK. Null for none. */
  readonly agent?: string | null | undefined;
}

/** Three unanswered keepalives end a connection: a dead node is noticed within about 5 seconds. */
const KEEPALIVE_MS = 1250;
const KEEPALIVES_UNANSWERED = 3;

/** A command's output beyond this many bytes is an error: nothing we run says so much. */
const MOST_OUTPUT = 32 * 1024 * 1024;

/** known_hosts files of ssh(1) itself. */
export const systemKnownHosts = (): string[] => [
  join(homedir(), '.ssh', 'known_hosts'),
  join(homedir(), '.ssh', 'known_hosts2'),
  '/etc/ssh/ssh_known_hosts',
];

/** Connects, checks the server's key, logs in, and finds out how to be root there. */
export async function openConnection(
  target: SshTarget,
  options: ConnectOptions,
): Promise<Result<SshConnection, ConnectFailure>> {
  const session = await openSession(target, options, 0);
  if (!session.ok) return session;
  const { client, closed, user, end } = session.value;
  const connection = (prefix: string): SshConnection => ({
    exec: (command, stdin, onProgress) => execute(client, closed, prefix + quoted(command), stdin, onProgress),
    open: (command) => start(client, closed, prefix + quoted(command)),
    close: end,
    closed,
  });
  const plain = connection('');
  try {
    const probe = await plain.exec('id -u; printf "%s\\n" "${RINGMASTER_ROOT:-}"');
    const [uid, root] = probe.stdout.split('\n');
    if (probe.code !== 0 || uid === '0' || root !== '') return ok(plain);
    const sudo = await plain.exec('sudo -n true');
    if (sudo.code === 0) return ok(connection('sudo -n '));
    end();
    const said = sudo.stderr.trim().split('\n').at(-1) ?? '';
    return err({
      kind: 'unreachable',
      reason:
        `Logged in as ${user}, who may not become root without a password (${said === '' ? 'sudo failed' : said}). ` +
        `Connect as root, or let ${user} use sudo without a password: a line "${user} ALL=(ALL) NOPASSWD: ALL" in /etc/sudoers.d.`,
    });
  } catch (error) {
    end();
    return err({ kind: 'unreachable', reason: (error as Error).message });
  }
}

/** The log-in shell may be any; `sh -c` with one quoted word means the same in all of them. */
const quoted = (command: string): string => `sh -c ${quote(command)}`;

interface Session {
  readonly client: Client;
  readonly closed: Promise<string>;
  readonly user: string;
  readonly end: () => void;
}

async function openSession(
  target: SshTarget,
  options: ConnectOptions,
  depth: number,
): Promise<Result<Session, ConnectFailure>> {
  const resolved = resolveTarget(target, options.userConfig ?? readUserConfig());
  if (typeof resolved === 'string') return err({ kind: 'unreachable', reason: resolved });
  if (resolved.jump === null) return logIn(resolved, options, null);
  if (depth >= 3)
    return err({ kind: 'unreachable', reason: 'ProxyJump in ~/.ssh/config goes through too many hosts.' });
  const gate = await openSession(resolved.jump, options, depth + 1);
  if (!gate.ok) {
    return gate.error.kind === 'unreachable'
      ? err({ kind: 'unreachable', reason: `On the way, at ${resolved.jump.address}: ${gate.error.reason}` })
      : gate;
  }
  const through = await new Promise<ClientChannel | Error>((resolve) => {
    gate.value.client.forwardOut('127.0.0.1', 0, resolved.address, resolved.port, (error, channel) =>
      resolve(error ?? channel),
    );
  });
  if (through instanceof Error) {
    gate.value.end();
    const reason = `${resolved.jump.address} cannot reach ${resolved.address}: ${through.message}`;
    return err({ kind: 'unreachable', reason });
  }
  const session = await logIn(resolved, options, through);
  if (!session.ok) gate.value.end();
  else void session.value.closed.then(gate.value.end);
  return session;
}

function logIn(
  target: ResolvedTarget,
  options: ConnectOptions,
  through: ClientChannel | null,
): Promise<Result<Session, ConnectFailure>> {
  const agent = options.agent === undefined ? (process.env['SSH_AUTH_SOCK'] ?? null) : options.agent;
  const credentials = gatherCredentials(target, options.secret ?? null, agent);
  const label = hostLabel(target.address, target.port);
  const records = readKnownHosts(options.knownHostsFiles);
  const client = new ssh2.Client();
  let keyFailure: ConnectFailure | null = null;
  let serverMethods: readonly string[] = [];

  const hostVerifier = (key: Buffer): boolean => {
    const verdict = judgeKey(records, label, key);
    const shown = { keyType: keyTypeOf(key), fingerprint: fingerprintOf(key) };
    if (verdict.kind === 'unknown') keyFailure = { kind: 'unknown-key', ...shown, line: knownHostsLine(label, key) };
    if (verdict.kind === 'changed') keyFailure = { kind: 'changed-key', ...shown, knownHostsLine: verdict.line };
    return verdict.kind === 'known';
  };
  const untried = [...credentials.methods];
  const authHandler = (
    methodsLeft: readonly string[] | null,
    _partial: boolean | null,
    next: NextAuthHandler,
  ): void => {
    // `none` first: it is how a server is asked what it takes, and costs no attempt.
    if (methodsLeft === null) {
      next({ type: 'none', username: target.user });
      return;
    }
    serverMethods = methodsLeft;
    const kinds = (type: string): string => (type === 'agent' ? 'publickey' : type);
    let method = untried.shift();
    while (method !== undefined && !methodsLeft.includes(kinds(method.type))) method = untried.shift();
    // ssh2 takes `false` for "no more"; its types leave that out.
    next(method ?? (false as unknown as 'none'));
  };
  const config: ConnectConfig = {
    host: target.address,
    port: target.port,
    username: target.user,
    readyTimeout: options.timeoutMs,
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: KEEPALIVES_UNANSWERED,
    hostVerifier,
    authHandler: authHandler as NonNullable<ConnectConfig['authHandler']>,
    algorithms: { serverHostKey: hostKeyOrder(recordedTypes(records, label)) },
    ...(through === null ? {} : { sock: through }),
  };

  return new Promise((resolve) => {
    let ended: (reason: string) => void = () => undefined;
    const closed = new Promise<string>((done) => (ended = done));
    let lastError: Error | null = null;
    client.on('error', (error: Error & { level?: string }) => {
      // An SSH agent that cannot be reached is one means of many; the others are still tried.
      if (error.level === 'agent') return;
      lastError ??= error;
      resolve(err(keyFailure ?? failureOf(error, target, credentials, serverMethods)));
    });
    client.on('close', () => {
      const reason = lastError === null ? 'The connection was closed.' : inWords(lastError, target);
      resolve(err(keyFailure ?? { kind: 'unreachable', reason }));
      ended(reason);
    });
    client.on('ready', () => {
      if (through === null) client.setNoDelay(true);
      resolve(ok({ client, closed, user: target.user, end: () => client.end() }));
    });
    try {
      client.connect(config);
    } catch (error) {
      resolve(err({ kind: 'unreachable', reason: (error as Error).message }));
    }
  });
}

/** Key types on record first: else a server with several keys shows one we have no record of. */
function hostKeyOrder(
  recorded: readonly string[],
): NonNullable<NonNullable<ConnectConfig['algorithms']>['serverHostKey']> {
  const all = [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ] as const;
  const keyType = (algorithm: string): string => (algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm);
  const known = all.filter((algorithm) => recorded.includes(keyType(algorithm)));
  return [...known, ...all.filter((algorithm) => !known.includes(algorithm))];
}

function failureOf(
  error: Error & { level?: string },
  target: ResolvedTarget,
  credentials: Credentials,
  serverMethods: readonly string[],
): ConnectFailure {
  if (error.level !== 'client-authentication') return { kind: 'unreachable', reason: inWords(error, target) };
  const takesPassword = serverMethods.includes('password') || serverMethods.includes('keyboard-interactive');
  const locked = credentials.locked[0];
  if (locked !== undefined && (target.identityFiles.includes(locked) || !takesPassword)) {
    return { kind: 'needs-credentials', want: 'passphrase', reason: `The key ${locked} is locked by a passphrase.` };
  }
  const offered = credentials.offered.length === 0 ? 'nothing to show' : credentials.offered.join(', ');
  const problems = credentials.problems.length === 0 ? '' : ` ${credentials.problems.join(' ')}`;
  const reason = `${target.address} did not let ${target.user} in (offered: ${offered}).${problems}`;
  return takesPassword
    ? { kind: 'needs-credentials', want: 'password', reason }
    : {
        kind: 'unreachable',
        reason: `${reason} It takes keys only: put a public key into ${target.user}'s authorized_keys there.`,
      };
}

/** An error of the network or of ssh2 as a sentence. */
function inWords(error: Error & { level?: string; code?: string }, target: ResolvedTarget): string {
  const at = `${target.address} port ${target.port}`;
  switch (error.code) {
    case 'ECONNREFUSED':
      return `Nothing answers at ${at}: connection refused.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `The name ${target.address} cannot be resolved.`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `There is no way to ${at}: host unreachable.`;
    case 'ETIMEDOUT':
      return `${at} does not answer.`;
    case 'ECONNRESET':
    case 'EPIPE':
      return `${at} broke the connection off.`;
    default:
  }
  if (error.level === 'client-timeout') {
    return error.message.includes('Keepalive') ? `${at} has stopped answering.` : `${at} does not answer.`;
  }
  return `${at}: ${error.message}.`;
}

function start(client: Client, closed: Promise<string>, command: string): Promise<OpenedCommand> {
  return new Promise((resolve, reject) => {
    void closed.then((reason) => reject(new Error(reason)));
    try {
      client.exec(command, (error, channel) => {
        if (error !== undefined) {
          reject(new Error(`The host refuses to run commands: ${error.message}`));
          return;
        }
        const ended = new Promise<number | null>((done) => {
          channel.on('close', (code: number | null | undefined) => done(code ?? null));
          void closed.then(() => done(null));
        });
        channel.on('error', () => channel.destroy());
        resolve({
          stdin: channel,
          stdout: channel,
          stderr: channel.stderr,
          closed: ended,
          close: () => channel.close(),
        });
      });
    } catch (error) {
      reject(error as Error);
    }
  });
}

async function execute(
  client: Client,
  closed: Promise<string>,
  command: string,
  stdin: Buffer | Readable | undefined,
  onProgress: ((bytes: number) => void) | undefined,
): Promise<Executed> {
  const running = await start(client, closed, command);
  const collect = (stream: Readable): (() => string) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MOST_OUTPUT) running.close();
      else chunks.push(chunk);
    });
    return () => Buffer.concat(chunks).toString('utf8');
  };
  const stdout = collect(running.stdout);
  const stderr = collect(running.stderr);
  // A command may end without having read all of its input; its exit code says why.
  const sent = send(stdin, running.stdin, onProgress).catch(() => undefined);
  const code = await running.closed;
  await Promise.race([sent, running.closed]);
  if (code === null) {
    const reason = await Promise.race([closed, new Promise<string>((done) => setTimeout(done, 50, ''))]);
    throw new Error(reason === '' ? 'The command was ended by a signal.' : reason);
  }
  return { code, stdout: stdout(), stderr: stderr() };
}
