/**
 * `ringmaster-agent supervise [--detach]`: keeps the engine and pmxcfs running where there is no systemd,
 * and answers on the supervisor's socket. One per node.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { createBirpc } from 'birpc';
import { putBackOverdue } from '../cluster/apply/guard-disk.ts';
import { agentVersion, ownCommand } from '../cluster/installation.ts';
import { nodeFiles } from '../cluster/node-ports.ts';
import { connectSocket } from '../cluster/socket-client.ts';
import type { ServiceName, SupervisorControl } from '../cluster/supervisor-control.ts';
import { engineChoice } from '../engine/choice.ts';
import { withoutOutdatedVersion } from '../engine/corosync/outdated-conf.ts';
import { eventLog } from '../event-log.ts';
import { jsonLines } from '../json-lines.ts';
import type { NodeLayout } from '../node-layout.ts';
import { ServiceKeeper } from './service-keeper.ts';
import type { Plan } from './service-keeper.ts';

/** How long `--detach` waits for the supervisor to answer. */
const DETACH_DEADLINE_MS = 10_000;

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  const unknown = args.filter((arg) => arg !== '--detach');
  if (unknown.length > 0) {
    process.stderr.write(`supervise: unknown argument ${unknown.join(' ')}; there is only --detach\n`);
    return 2;
  }
  const detach = args.includes('--detach');
  const running = await greet(layout);
  if (running !== null) {
    process.stderr.write(`supervise: already running (process ${running.pid}, version ${running.version})\n`);
    return detach ? 0 : 1;
  }
  return detach ? startDetached(layout) : supervise(layout);
}

/** The running supervisor, or null when none answers. */
export async function greet(layout: NodeLayout): Promise<{ version: string; pid: number } | null> {
  try {
    const client = await connectSocket<SupervisorControl>(layout.supervisorSocket, {}, 5_000);
    try {
      return await client.remote.hello();
    } finally {
      client.close();
    }
  } catch {
    return null;
  }
}

/** Starts a supervisor in a session of its own and resolves to 0 once it answers. */
export async function startDetached(
  layout: NodeLayout,
  command: readonly string[] = ownCommand('supervise'),
): Promise<number> {
  mkdirSync(layout.log, { recursive: true });
  const logFile = join(layout.log, 'supervisor.log');
  const log = openSync(logFile, 'a', 0o640);
  const [program = '', ...args] = command;
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' });
  closeSync(log);
  let ended: string | null = null;
  child.once('exit', (code) => (ended = `it ended with exit code ${code ?? 'unknown'}`));
  child.once('error', (error) => (ended = error.message));
  child.unref();
  const end = Date.now() + DETACH_DEADLINE_MS;
  while (Date.now() < end && ended === null) {
    if ((await greet(layout)) !== null) return 0;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  process.stderr.write(`supervise: the supervisor did not start: ${ended ?? 'no answer'}. See ${logFile}.\n`);
  return 1;
}

function plans(layout: NodeLayout, log: ReturnType<typeof eventLog>): Record<ServiceName, (lastWords: string) => Plan> {
  return {
    engine: (lastWords) => {
      if (!existsSync(layout.corosyncConf)) {
        return { kind: 'idle', reason: `there is no ${layout.corosyncConf}: this node belongs to no cluster` };
      }
      if (engineChoice(layout) !== 'corosync') return { kind: 'run', command: ownCommand('engine') };
      const files = nodeFiles(layout);
      const without = withoutOutdatedVersion(files.readConf() ?? '', lastWords);
      if (without !== null) {
        files.writeConf(without);
        log(
          'warning',
          'corosync.conf has changed while this node was away: it joins without a config_version to get it',
        );
      }
      return { kind: 'run', command: ['corosync', '-f'] };
    },
    pmxcfs: () => ({ kind: 'run', command: ownCommand('pmxcfs', '--foreground') }),
  };
}

async function supervise(layout: NodeLayout): Promise<number> {
  const log = eventLog(layout, 'supervisor');
  const plan = plans(layout, log);
  const keepers: Record<ServiceName, ServiceKeeper> = {
    engine: new ServiceKeeper('engine', plan.engine, log),
    pmxcfs: new ServiceKeeper('pmxcfs', plan.pmxcfs, log),
  };
  mkdirSync(layout.run, { recursive: true });
  const clients = new Set<Socket>();
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  let stopping: Promise<void> | null = null;
  const shutdown = (): Promise<void> =>
    (stopping ??= (async () => {
      // pmxcfs first: it lives on the engine's groups, and its unmounting must not wait for a dead engine.
      await keepers.pmxcfs.stop();
      await keepers.engine.stop();
      log('info', 'the supervisor ended');
    })());

  const control: SupervisorControl = {
    hello: () => ({ version: agentVersion(), pid: process.pid }),
    services: () => [keepers.engine.state(), keepers.pmxcfs.state()],
    start: async (name) => keeper(keepers, name).start(),
    stop: (name) => keeper(keepers, name).stop(),
    restart: async (name) => {
      await keeper(keepers, name).stop();
      keeper(keepers, name).start();
    },
    shutdown: async () => {
      await shutdown();
      // The answer goes out before the process does.
      setImmediate(end);
    },
  };
  const server = await listen(layout.supervisorSocket, (socket) => {
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    const channel = jsonLines(socket, socket, () => {
      rpc.$close();
      socket.destroy();
    });
    const rpc = createBirpc<object, SupervisorControl>(control, channel);
  });
  const pidFile = join(layout.run, 'supervisor.pid');
  writeFileSync(pidFile, `${process.pid}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void shutdown().then(end));
  process.on('SIGHUP', () => undefined);

  log('info', `the supervisor runs, version ${agentVersion()}`);
  const overdue = putBackOverdue(layout, Date.now());
  if (overdue !== null) log('warning', overdue);
  keepers.engine.start();
  keepers.pmxcfs.start();
  await ended;
  server.close();
  rmSync(pidFile, { force: true });
  rmSync(layout.supervisorSocket, { force: true });
  // Half a second for answers on their way.
  const flushed = setTimeout(() => clients.forEach((socket) => socket.destroy()), 500);
  await Promise.all([...clients].map((socket) => new Promise<void>((resolve) => socket.end(() => resolve()))));
  clearTimeout(flushed);
  return 0;
}

function keeper(keepers: Record<ServiceName, ServiceKeeper>, name: ServiceName): ServiceKeeper {
  if (!Object.hasOwn(keepers, name)) throw new Error(`there is no service ${String(name)}: engine and pmxcfs are`);
  return keepers[name];
}

/** Nobody answered on the socket's path before, so a file there is a leftover. */
function listen(path: string, onClient: (socket: Socket) => void): Promise<Server> {
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    const mask = process.umask(0o077);
    const server = createServer(onClient);
    server.once('error', reject);
    server.listen(path, () => {
      process.umask(mask);
      resolve(server);
    });
  });
}
