/** `npm run lab -- up|down|status|exec|kill|start|cut|heal`: the lab from the command line. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import { ensurePackages } from '../../build/fresh-machine.ts';
import type { Lab } from './lab.ts';
import { NAMESPACE_COMMANDS } from './namespace/requirements.ts';
import { bringUp, enterNode, openLab, takeDown } from './open.ts';
import { defaultDirectory } from './state.ts';

const USAGE = `usage: npm run lab -- COMMAND [--dir DIRECTORY]

  up [--nodes 3] [--free 1] [--engine totem|corosync] [--rootless] [--json]
                     make a cluster of nodes on this machine, and hosts that belong to none
  down               take it away, leaving nothing behind
  status [--json]    show the nodes
  exec NODE -- COMMAND [ARGUMENTS]
                     run a command on a node
  kill NODE          end a node's processes at once
  start NODE         boot it again
  cut NODE...        cut nodes off from the others, not from each other (as root)
  heal               undo every cut

The lab is in ${defaultDirectory()} unless --dir says otherwise.
As root a node is a set of namespaces with its own sshd and a mount at /etc/pve; without root, or with
--rootless, it is a set of processes on a loopback address.
`;

/** A command line that is not understood. */
class UsageError extends Error {}

const COMMANDS = ['up', 'down', 'status', 'exec', 'kill', 'start', 'cut', 'heal'] as const;
type CommandName = (typeof COMMANDS)[number];

interface Line {
  readonly command: CommandName;
  readonly names: readonly string[];
  /** What stands after `--`; null without one. */
  readonly rest: readonly string[] | null;
  readonly directory: string;
  readonly json: boolean;
  readonly nodes: number;
  readonly free: number;
  readonly engine: 'totem' | 'corosync';
  readonly rootless: boolean;
  readonly bare: boolean;
}

const OPTIONS = {
  dir: { type: 'string' },
  json: { type: 'boolean' },
  nodes: { type: 'string' },
  free: { type: 'string' },
  engine: { type: 'string' },
  rootless: { type: 'boolean' },
  // For tests of the lab itself: machines without an agent.
  bare: { type: 'boolean' },
} as const;

const ALLOWED: Readonly<Record<CommandName, readonly (keyof typeof OPTIONS)[]>> = {
  up: ['dir', 'json', 'nodes', 'free', 'engine', 'rootless', 'bare'],
  down: ['dir'],
  status: ['dir', 'json'],
  exec: ['dir'],
  kill: ['dir'],
  start: ['dir'],
  cut: ['dir'],
  heal: ['dir'],
};

function understand(args: readonly string[]): Line {
  const dashes = args.indexOf('--');
  const rest = dashes < 0 ? null : args.slice(dashes + 1);
  let parsed;
  try {
    parsed = parseArgs({
      args: dashes < 0 ? [...args] : args.slice(0, dashes),
      options: OPTIONS,
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  const [word = '', ...names] = positionals;
  const command = COMMANDS.find((known) => known === word);
  if (command === undefined) throw new UsageError(word === '' ? 'Name a command.' : `There is no command ${word}.`);
  for (const option of Object.keys(values) as (keyof typeof OPTIONS)[]) {
    if (!ALLOWED[command].includes(option)) throw new UsageError(`${command} has no option --${option}.`);
  }
  checkNames(command, names, rest);
  const { engine = 'totem' } = values;
  if (engine !== 'totem' && engine !== 'corosync') throw new UsageError('--engine is totem or corosync.');
  return {
    command,
    names,
    rest,
    directory: values.dir ?? defaultDirectory(),
    json: values.json ?? false,
    nodes: count('--nodes', values.nodes ?? '3', 1, 32),
    free: count('--free', values.free ?? '1', 0, 16),
    engine,
    rootless: values.rootless ?? false,
    bare: values.bare ?? false,
  };
}

function checkNames(command: CommandName, names: readonly string[], rest: readonly string[] | null): void {
  if (command === 'exec') {
    if (names.length !== 1) throw new UsageError('exec takes one node: exec NODE -- COMMAND');
    if (rest === null || rest.length === 0)
      throw new UsageError('exec takes a command after "--": exec NODE -- COMMAND');
    return;
  }
  if (rest !== null) throw new UsageError(`${command} takes nothing after "--".`);
  if (command === 'kill' || command === 'start') {
    if (names.length !== 1) throw new UsageError(`${command} takes one node.`);
  } else if (command === 'cut') {
    if (names.length === 0) throw new UsageError('cut takes the nodes to cut off.');
  } else if (names.length > 0) throw new UsageError(`${command} does not take ${names.join(' ')}.`);
}

function count(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most && text.trim() !== '') return value;
  throw new UsageError(`${option} is a number from ${least} to ${most}.`);
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args[0] === 'help' || args[0] === '--help' || args[0] === '-h' || args.length === 0) {
    (args.length === 0 ? process.stderr : process.stdout).write(USAGE);
    return args.length === 0 ? 2 : 0;
  }
  const line = understand(args);
  switch (line.command) {
    case 'up':
      return up(line);
    case 'down': {
      const was = await takeDown(line.directory, note);
      process.stdout.write(was ? 'The lab is down.\n' : `No lab is up in ${line.directory}.\n`);
      return 0;
    }
    case 'status':
      return status(line);
    case 'exec':
      return exec(line);
    case 'kill':
      await (await needLab(line)).kill(line.names[0] ?? '');
      return 0;
    case 'start':
      await (await needLab(line)).start(line.names[0] ?? '');
      return 0;
    case 'cut':
      await (await needLab(line)).cut(line.names);
      return 0;
    case 'heal':
      await (await needLab(line)).heal();
      return 0;
  }
}

const begun = performance.now();

/** Progress goes to standard error, with the seconds since the start. */
function note(text: string): void {
  process.stderr.write(`${((performance.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${text}\n`);
}

async function needLab(line: Line): Promise<Lab> {
  const lab = await openLab(line.directory);
  if (lab === null) throw new Error(`No lab is up in ${line.directory}. "npm run lab -- up" brings one up.`);
  return lab;
}

async function up(line: Line): Promise<number> {
  if (!line.rootless && process.getuid?.() === 0) {
    const missing = await ensurePackages('the lab', NAMESPACE_COMMANDS, (text) => note(text));
    if (missing.length > 0) return 1;
  }
  const lab = await bringUp(
    {
      directory: line.directory,
      nodes: line.nodes,
      free: line.free,
      engine: line.engine,
      rootless: line.rootless,
      bare: line.bare,
      bundleDirectory: line.bare ? '' : buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']),
    },
    note,
  );
  const now = await lab.status();
  if (line.json) process.stdout.write(`${JSON.stringify(now)}\n`);
  else process.stdout.write(table(now.nodes));
  return 0;
}

async function status(line: Line): Promise<number> {
  const lab = await openLab(line.directory);
  if (lab === null) {
    if (line.json) process.stdout.write('{"nodes":[]}\n');
    process.stderr.write(`No lab is up in ${line.directory}.\n`);
    return 1;
  }
  const now = await lab.status();
  process.stdout.write(line.json ? `${JSON.stringify(now)}\n` : table(now.nodes));
  return 0;
}

function table(nodes: Awaited<ReturnType<Lab['status']>>['nodes']): string {
  const rows = [
    ['NODE', 'ADDRESS', 'PORT', 'STATE', 'CLUSTER'],
    ...nodes.map((node) => [
      node.name,
      node.address,
      String(node.port),
      node.cut ? `${node.state}, cut off` : node.state,
      node.member ? 'member' : 'free',
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Runs the command with this command's own streams; its exit code is ours. */
function exec(line: Line): Promise<number> {
  const { program, args, env, cwd } = enterNode(line.directory, line.names[0] ?? '', line.rest ?? []);
  return new Promise((resolve) => {
    // Ctrl-C is for the command on the node, which gets it too.
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, () => undefined);
    const child = spawn(program, args, { env, cwd, stdio: 'inherit' });
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
    child.on('error', (error: NodeJS.ErrnoException) => {
      process.stderr.write(`lab: ${program} cannot be run: ${error.message}\n`);
      resolve(error.code === 'ENOENT' ? 127 : 126);
    });
    child.on('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`lab: ${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  } else {
    process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
