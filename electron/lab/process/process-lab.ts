/** The lab without root: each node a set of processes on a loopback address, below a directory of its own. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRunning, readIdentity } from '../identity.ts';
import { ensureKey, knownHostsLine } from '../keys.ts';
import type { Machinery } from '../machinery.ts';
import { until } from '../pause.ts';
import { sshAnswers } from '../ssh-answers.ts';
import type { LabPaths, LabState, NodeState } from '../state.ts';
import { killAllOf } from './belongings.ts';
import { nodeEnvironment } from './environment.ts';

const BOOT_MS = 20_000;

export const processBootLog = (paths: LabPaths, name: string): string => join(paths.node(name), 'var/log/boot.log');

export const processLab: Machinery = {
  whyNoCut:
    'Nodes of a lab without root share one loopback interface, so they cannot be cut off from each other. Run the lab as root.',

  prepare: async (paths, state) => {
    await ensureKey(paths.clientKey, 'ringmaster lab');
    for (const node of state.nodes) await ensureFiles(paths, node);
    const known = state.nodes
      .map(({ name, address }) => {
        const key = readFileSync(join(paths.node(name), 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
        return knownHostsLine([address], state.port, key);
      })
      .join('');
    await writeFile(paths.knownHosts, known);
    for (const node of state.nodes) await writeFile(sshConfigFile(paths, node), sshConfig(paths, state));
  },

  boot: async (paths, state, node) => {
    if (!running(paths, node)) await start(paths, state, node);
    if (await until(() => sshAnswers(node.address, state.port), BOOT_MS)) return;
    throw new Error(
      `No SSH server answers at ${node.address} port ${state.port}. See ${processBootLog(paths, node.name)}.`,
    );
  },

  end: async (paths, node) => {
    if (!(await killAllOf(paths.node(node.name)))) throw new Error(`Processes of ${node.name} do not end.`);
  },

  isRunning: running,

  partition: async () => undefined,

  enter: (paths, _state, node, command) => {
    if (!running(paths, node)) {
      throw new Error(`The node ${node.name} is stopped. "npm run lab -- start ${node.name}" boots it.`);
    }
    const [program = '', ...args] = command;
    const root = paths.node(node.name);
    return { program, args, env: nodeEnvironment(root, node.name), cwd: join(root, 'root') };
  },
};

function running(paths: LabPaths, node: NodeState): boolean {
  const identity = readIdentity(join(paths.node(node.name), 'init.pid'));
  return identity !== null && isRunning(identity);
}

async function start(paths: LabPaths, state: LabState, node: NodeState): Promise<void> {
  const root = paths.node(node.name);
  // What a first process that was killed alone has left behind would hold ports and sockets.
  await killAllOf(root);
  await rm(join(root, 'run'), { recursive: true, force: true });
  await mkdir(join(root, 'run'), { recursive: true });
  const [program = '', script = ''] = state.daemon;
  const log = openSync(processBootLog(paths, node.name), 'a');
  const child = spawn(program, [script, paths.directory, node.name], {
    cwd: join(root, 'root'),
    detached: true,
    stdio: ['ignore', log, log],
    env: nodeEnvironment(root, node.name),
  });
  closeSync(log);
  let failed: string | null = null;
  child.on('error', (error) => (failed = error.message));
  child.on('exit', () => (failed ??= 'its process ended'));
  child.unref();
  await until(() => failed !== null || running(paths, node), BOOT_MS);
  if (running(paths, node)) return;
  throw new Error(
    `The node ${node.name} did not start: ${failed ?? 'it did not come up in time'}. See ${processBootLog(paths, node.name)}.`,
  );
}

const sshConfigFile = (paths: LabPaths, node: NodeState): string => join(paths.node(node.name), 'root/.ssh/config');

/** ssh(1) does not heed HOME, so a wrapper on the node's PATH names its configuration. */
const SSH_WRAPPER = `#!/bin/sh
exec /usr/bin/ssh -F "$RINGMASTER_ROOT/root/.ssh/config" "$@"
`;

/** The nodes reach each other as the app reaches them, so that "pvecm add" works on a node. */
function sshConfig(paths: LabPaths, state: LabState): string {
  const quoted = (path: string): string => `"${path}"`;
  return [
    ...state.nodes.flatMap(({ name, address }) => [`Host ${name}`, `  HostName ${address}`]),
    'Host *',
    `  Port ${state.port}`,
    `  IdentityFile ${quoted(paths.clientKey)}`,
    '  IdentitiesOnly yes',
    `  UserKnownHostsFile ${quoted(paths.knownHosts)}`,
    '',
  ].join('\n');
}

async function ensureFiles(paths: LabPaths, node: NodeState): Promise<void> {
  const root = paths.node(node.name);
  for (const path of ['etc/ssh', 'root/.ssh', 'run', 'usr/local/bin', 'var/lib', 'var/log']) {
    await mkdir(join(root, path), { recursive: true, mode: 0o700 });
  }
  await ensureKey(join(root, 'etc/ssh/ssh_host_ed25519_key'), `${node.name}`);
  await writeFile(join(root, 'usr/local/bin/ssh'), SSH_WRAPPER, { mode: 0o755 });
}
