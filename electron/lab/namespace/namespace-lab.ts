/** The lab as root on Linux: each node a set of namespaces with a real sshd. */
import { mkdir, writeFile } from 'node:fs/promises';
import type { Machinery } from '../machinery.ts';
import { SYSTEM_PATH } from '../run.ts';
import type { LabPaths, LabState, NodeState } from '../state.ts';
import { ensureKey } from '../keys.ts';
import { bootNode, endNode, runningInit } from './boot.ts';
import { initScript } from './init-script.ts';
import { ensureNodeNetwork, ensureSwitch } from './network.ts';
import { ensureNodeFiles, writeAcquaintance } from './node-files.ts';
import { applyPartition } from './partition.ts';

export const namespaceLab: Machinery = {
  whyNoCut: null,

  prepare: async (paths: LabPaths, state: LabState): Promise<void> => {
    await mkdir(paths.nodes, { recursive: true, mode: 0o700 });
    await ensureKey(paths.clientKey, 'ringmaster lab');
    await writeFile(paths.initScript, initScript(), { mode: 0o755 });
    await ensureSwitch(state.id, state.network);
    for (const node of state.nodes) {
      await ensureNodeNetwork(state.id, node);
      await ensureNodeFiles(paths, node);
    }
    await writeAcquaintance(paths, state.nodes);
    await applyPartition(state.id, state.nodes);
  },

  boot: bootNode,
  end: (paths: LabPaths, node: NodeState): Promise<void> => endNode(paths, node.name),
  isRunning: (paths: LabPaths, node: NodeState): boolean => runningInit(paths, node.name) !== null,
  partition: (state: LabState): Promise<void> => applyPartition(state.id, state.nodes),

  enter: (paths: LabPaths, _state: LabState, node: NodeState, command: readonly string[]) => {
    const init = runningInit(paths, node.name);
    if (init === null)
      throw new Error(`The node ${node.name} is stopped. "npm run lab -- start ${node.name}" boots it.`);
    const [program = '', ...args] = command;
    const env: NodeJS.ProcessEnv = {
      PATH: SYSTEM_PATH,
      HOME: '/root',
      USER: 'root',
      LOGNAME: 'root',
      SHELL: '/bin/bash',
    };
    for (const name of ['TERM', 'LANG', 'COLORTERM'])
      if (process.env[name] !== undefined) env[name] = process.env[name];
    return {
      program: 'nsenter',
      args: [`--target=${init.pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--', ...inHome(program, args)],
      env,
      cwd: '/',
    };
  },
};

/** nsenter's own --wd is looked up outside the node. */
const inHome = (program: string, args: readonly string[]): string[] => [
  'sh',
  '-c',
  'cd /root && exec "$@"',
  'sh',
  program,
  ...args,
];
