/** Boots a namespace node and ends it. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRunning, kill, readIdentity } from '../identity.ts';
import type { ProcessIdentity } from '../identity.ts';
import { until } from '../pause.ts';
import { run, SYSTEM_PATH } from '../run.ts';
import { sshAnswers } from '../ssh-answers.ts';
import type { LabPaths, LabState, NodeState } from '../state.ts';
import { PID_FILE } from './init-script.ts';
import { ensureNodeNetwork, namespacePath, nodeNamespace } from './network.ts';

/** From the first process to an SSH server that answers, on a machine that is busy with other nodes. */
const BOOT_MS = 20_000;
/** The kernel ends a node's processes at once, unless one hangs in the node's own file system. */
const END_MS = 3_000;

export const bootLog = (paths: LabPaths, name: string): string => join(paths.node(name), 'var/log/boot.log');

/** The node's first process, if it runs. */
export function runningInit(paths: LabPaths, name: string): ProcessIdentity | null {
  const identity = readIdentity(join(paths.node(name), PID_FILE));
  return identity !== null && isRunning(identity) ? identity : null;
}

/** Boots the node unless it runs. Rejects, with the place of its log, when SSH does not answer in time. */
export async function bootNode(paths: LabPaths, state: LabState, node: NodeState): Promise<void> {
  if (runningInit(paths, node.name) === null) {
    await ensureNodeNetwork(state.id, node);
    await rm(join(paths.node(node.name), PID_FILE), { force: true });
    const log = openSync(bootLog(paths, node.name), 'a');
    const child = spawn(
      'nsenter',
      [
        `--net=${namespacePath(nodeNamespace(state.id, node.name))}`,
        'unshare',
        ...['--mount', '--uts', '--ipc', '--pid', '--fork'],
        // Slave: what the machine unmounts goes here too, and nothing of the node goes back.
        ...['--propagation', 'slave'],
        ...['/bin/sh', paths.initScript, node.name],
      ],
      {
        cwd: paths.node(node.name),
        detached: true,
        stdio: ['ignore', log, log],
        env: { PATH: SYSTEM_PATH, HOME: '/root', USER: 'root', LOGNAME: 'root', SHELL: '/bin/sh', LANG: 'C.UTF-8' },
      },
    );
    closeSync(log);
    let failed: string | null = null;
    child.on('error', (error) => (failed = error.message));
    child.on('exit', () => (failed ??= 'its first process ended'));
    child.unref();
    await until(() => failed !== null || runningInit(paths, node.name) !== null, BOOT_MS);
    if (runningInit(paths, node.name) === null)
      throw notBooted(paths, node, failed ?? 'its first process did not start');
  }
  const up = await until(async () => {
    return runningInit(paths, node.name) === null || (await sshAnswers(node.address, state.port));
  }, BOOT_MS);
  if (runningInit(paths, node.name) === null) throw notBooted(paths, node, 'its first process ended');
  if (!up) throw notBooted(paths, node, `no SSH server answers at ${node.address} port ${state.port}`);
}

function notBooted(paths: LabPaths, node: NodeState, why: string): Error {
  let last = '';
  try {
    last = readFileSync(bootLog(paths, node.name), 'utf8').trim().split('\n').at(-1) ?? '';
  } catch {
    // It did not come as far as a log.
  }
  return new Error(
    `The node ${node.name} did not start: ${why}.${last === '' ? '' : ` Its last words: ${last}.`} See ${bootLog(paths, node.name)}.`,
  );
}

/** Ends the node and everything in it at once, as pulling the plug does. Resolves when it is gone. */
export async function endNode(paths: LabPaths, name: string): Promise<void> {
  const init = runningInit(paths, name);
  if (init === null) return;
  const connections = fuseConnections(init.pid);
  kill(init);
  if (await until(() => !isRunning(init), END_MS)) return;
  for (const connection of connections) await abortFuse(connection);
  if (await until(() => !isRunning(init), END_MS)) return;
  throw new Error(`The node ${name} (process ${init.pid}) was killed and does not end.`);
}

/**
 * Numbers of the FUSE connections that only the node has mounted: the minor of their device. What the
 * machine itself has mounted shows in the node's table too and is none of our business.
 */
function fuseConnections(pid: number): string[] {
  const mounted = (table: string): string[] => {
    try {
      return readFileSync(table, 'utf8')
        .split('\n')
        .flatMap((line) => (/ - fuse[. ]/.test(line) ? (/^\d+ \d+ \d+:(\d+) /.exec(line)?.[1] ?? []) : []));
    } catch {
      return [];
    }
  };
  const machine = mounted('/proc/self/mountinfo');
  return mounted(`/proc/${pid}/mountinfo`).filter((connection) => !machine.includes(connection));
}

/**
 * A process that waits for an answer of a file system which is itself being killed may be beyond
 * SIGKILL. Aborting the connection frees it (Documentation/filesystems/fuse.rst). The control files are
 * mounted in a namespace of this command's own.
 */
async function abortFuse(connection: string): Promise<void> {
  const control = '/sys/fs/fuse/connections';
  await run('unshare', [
    '--mount',
    ...['sh', '-c', `mount -t fusectl none ${control} 2>/dev/null; echo 1 > ${control}/$1/abort`, 'sh', connection],
  ]);
}
