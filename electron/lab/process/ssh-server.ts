/** The SSH server of a rootless node: commands by key, in the node's environment. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import ssh2 from 'ssh2';
import type { Connection, ParsedKey, PublicKeyAuthContext, ServerChannel, Session } from 'ssh2';

export interface NodeServerOptions {
  readonly address: string;
  readonly port: number;
  /** Private host key, OpenSSH format. */
  readonly hostKey: string;
  /** The one public key that may log in, as a line of authorized_keys. */
  readonly authorizedKey: string;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** Resolves when it listens; rejects when the port is taken. Any user name is the account it runs as. */
export function serveNode(options: NodeServerOptions): Promise<void> {
  const authorized = ssh2.utils.parseKey(options.authorizedKey);
  if (authorized instanceof Error) return Promise.reject(authorized);
  const server = new ssh2.Server({ hostKeys: [options.hostKey], ident: 'RingmasterLab' }, (client) =>
    serveClient(client, authorized, options),
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.address, () => resolve());
  });
}

function serveClient(client: Connection, authorized: ParsedKey, options: NodeServerOptions): void {
  client.on('error', () => client.end());
  client.on('authentication', (context) => {
    if (context.method === 'publickey' && mayEnter(context, authorized)) context.accept();
    else context.reject(['publickey']);
  });
  client.on('ready', () => {
    client.on('session', (accept) => serveSession(accept(), options));
  });
}

function mayEnter(context: PublicKeyAuthContext, authorized: ParsedKey): boolean {
  const same = context.key.algo === authorized.type && context.key.data.equals(Buffer.from(authorized.getPublicSSH()));
  if (!same) return false;
  // Without a signature the client only asks whether this key would do.
  if (context.signature === undefined || context.blob === undefined) return true;
  return authorized.verify(context.blob, context.signature, context.hashAlgo) === true;
}

function serveSession(session: Session, options: NodeServerOptions): void {
  session.on('env', (accept) => accept?.());
  session.on('exec', (accept, _reject, { command }) => serveCommand(accept(), ['-c', command], options));
  // Without a terminal: one would need native code.
  session.on('shell', (accept) => serveCommand(accept(), ['-l'], options));
}

function serveCommand(channel: ServerChannel, args: readonly string[], options: NodeServerOptions): void {
  const child = spawn('/bin/sh', args, { env: options.env, cwd: options.cwd, stdio: 'pipe', detached: true });
  channel.on('error', () => channel.close());
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => undefined);
  child.on('error', () => {
    channel.stderr.write('the command could not be started\n');
    finish(channel, 127, null);
  });
  channel.pipe(child.stdin);
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  let closed = false;
  channel.on('close', () => {
    closed = true;
    // As behind sshd: whoever still reads or writes finds its pipes closed.
    child.stdin.destroy();
    child.stdout.destroy();
    child.stderr.destroy();
  });
  // What it left running in the background may keep the pipes open; the command itself has ended.
  child.on('exit', (code, signal) => {
    void drained(child).then(() => {
      if (!closed) finish(channel, code, signal);
    });
  });
}

/** Waits for the rest of the output, though not for ever. */
async function drained(child: ChildProcess): Promise<void> {
  const ended = (['stdout', 'stderr'] as const).map(
    (name) =>
      new Promise<void>((resolve) => {
        const stream = child[name];
        if (stream === null || stream.readableEnded || stream.destroyed) resolve();
        else stream.once('close', () => resolve());
      }),
  );
  await Promise.race([Promise.all(ended), new Promise((resolve) => setTimeout(resolve, 500))]);
}

function finish(channel: ServerChannel, code: number | null, signal: NodeJS.Signals | null): void {
  if (signal !== null && constants.signals[signal] !== undefined) channel.exit(signal.replace('SIG', ''), false, '');
  else channel.exit(code ?? 1);
  channel.end();
}
