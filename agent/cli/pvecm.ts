/** `pvecm`: create a cluster, join one, see it. The words and options of pvecm(1) of Proxmox VE. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { addNodeToCluster, undoAddNode } from '../cluster/add-node.ts';
import { createCluster } from '../cluster/create.ts';
import { installProcedure } from '../cluster/install/install.ts';
import { EngineLink } from '../cluster/engine-link.ts';
import { nodePorts } from '../cluster/node-ports.ts';
import type { NodePorts } from '../cluster/ports.ts';
import { sentence } from '../cluster/procedure.ts';
import type { Watcher } from '../cluster/procedure.ts';
import { TreeLink } from '../cluster/tree-link.ts';
import type { EngineKind, EngineStatus } from '../engine/engine.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { Step } from '../rpc/api.ts';
import { addThisNode } from './pvecm-add.ts';
import { formatNodes, formatReadOnly, formatRefusal, formatStatus } from './pvecm-output.ts';
import { addConfCommands } from './pvecm-conf.ts';
import { addApplyCommands } from './pvecm-conf-apply.ts';
import { addMoveCommands } from './pvecm-move.ts';
import { addKeyCommands } from './pvecm-key.ts';

/** How long a command waits for the engine's first answer. */
const ANSWER_MS = 3_000;

/** Not in a cluster, or a command that is not understood. */
const EXIT_USAGE = 2;

class Refused extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  const engine = new EngineLink(layout);
  const tree = new TreeLink(layout);
  const ports = nodePorts(layout, engine, tree);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    let code = 0;
    const program = commandLine(ports, engine, interrupted.signal);
    const end = (ended: number): void => void (code = ended);
    addApplyCommands(addConfCommands(program, end), {
      ports,
      status: () => clusterStatus(engine),
      watcher: (quiet) => watcher(interrupted.signal, quiet),
      end,
    });
    addMoveCommands(program, {
      ports,
      status: () => clusterStatus(engine),
      watcher: (quiet) => watcher(interrupted.signal, quiet),
    });
    addKeyCommands(program, {
      ports,
      status: () => clusterStatus(engine),
      watcher: (quiet) => watcher(interrupted.signal, quiet),
    });
    await program.parseAsync(args.map(longOption), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    process.stderr.write(`pvecm: ${sentence(error)}\n`);
    return error instanceof Refused ? error.exitCode : 1;
  } finally {
    tree.close();
    await engine.close();
  }
}

/** Proxmox VE's tools take long options with one dash too: -ring0_addr. */
export const longOption = (arg: string): string => (/^-[a-z][a-z0-9_-]+(=|$)/.test(arg) ? `-${arg}` : arg);

function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least)
      throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
    return value;
  };
}

interface CreateOptions {
  ring0_addr?: string;
  nodeid?: number;
  votes: number;
  engine: EngineKind;
  json?: boolean;
}

interface NodeOptions {
  ring0_addr?: string;
  nodeid?: number;
  votes: number;
  json?: boolean;
}

interface AddOptions extends NodeOptions {
  engine?: EngineKind;
  port?: number;
  sshOption?: string[];
}

function commandLine(ports: NodePorts, engine: EngineLink, signal: AbortSignal): Command {
  const program = new Command('pvecm')
    .description('Forms servers into a cluster, and shows it.')
    .exitOverride()
    .configureOutput({ writeErr: (text) => process.stderr.write(text) });
  const json = new Option('--json', 'print one JSON document');
  const votes = new Option('--votes <number>', 'votes of this node').argParser(whole(0)).default(1);
  const nodeId = new Option('--nodeid <number>', 'node id; the next free one when not given').argParser(whole(1));
  const ring0 = new Option('--ring0_addr <address>', 'address in the cluster network');

  program
    .command('create <name>')
    .description('create a cluster with this node as its first')
    .addOption(ring0)
    .addOption(nodeId)
    .addOption(votes)
    .addOption(new Option('--engine <engine>', 'membership engine').choices(['totem', 'corosync']).default('totem'))
    .addOption(json)
    .action(async (clusterName: string, options: CreateOptions) => {
      await createCluster(
        ports,
        {
          clusterName,
          engine: options.engine,
          ring0Addr: options.ring0_addr ?? null,
          nodeId: options.nodeid ?? null,
          votes: options.votes,
        },
        watcher(signal, options.json === true),
      );
      const status = await clusterStatus(engine);
      say(options, status, `Cluster ${clusterName} created; ${ports.hostname} is its first node.\n`);
    });

  program
    .command('add <member>')
    .description('join this node to the cluster of an existing member, which is reached by ssh')
    .addOption(ring0)
    .addOption(nodeId)
    .addOption(votes)
    .addOption(
      new Option(
        '--engine <engine>',
        "the cluster's engine; corosync is then installed before the join begins",
      ).choices(['totem', 'corosync']),
    )
    .option('--port <number>', 'SSH port of the member', whole(1))
    .option('--ssh-option <option...>', 'passed to ssh as -o OPTION')
    .addOption(json)
    .action(async (member: string, options: AddOptions) => {
      await addThisNode(
        ports,
        {
          member,
          ring0Addr: options.ring0_addr ?? null,
          nodeId: options.nodeid ?? null,
          votes: options.votes,
          engine: options.engine ?? null,
          sshPort: options.port ?? null,
          sshOptions: options.sshOption ?? [],
        },
        watcher(signal, options.json === true),
      );
      const status = await clusterStatus(engine);
      say(options, status, `${ports.hostname} is a member of the cluster ${status.clusterName}.\n`);
    });

  program
    .command('addnode <name>')
    .description('on a member: write a new node into corosync.conf and print what it needs to join')
    .addOption(new Option('--ring0_addr <address>', 'address in the cluster network').makeOptionMandatory())
    .addOption(nodeId)
    .addOption(votes)
    .addOption(json)
    .action(async (name: string, options: NodeOptions & { ring0_addr: string }) => {
      await clusterStatus(engine);
      const request = { name, ring0Addr: options.ring0_addr, nodeId: options.nodeid ?? null, votes: options.votes };
      const ticket = await addNodeToCluster(ports, request, watcher(signal, options.json === true));
      say(options, ticket, `${name} was added as node ${ticket.nodeId}. On it, run: pvecm add ADDRESS-OF-THIS-NODE\n`);
    });

  program
    .command('install-corosync')
    .description("install the distribution's package of Corosync on this node, unless it is there")
    .addOption(json)
    .action(async (options: { json?: boolean }) => {
      await installProcedure(ports, watcher(signal, options.json === true));
      const version = await ports.packages.installedCorosync();
      say(options, { version }, `Corosync ${version ?? ''} is installed on ${ports.hostname}.\n`);
    });

  program
    .command('undoadd <nodeid>')
    .description('on a member: take a node that never joined out of corosync.conf again')
    .addOption(json)
    .action(async (id: string, options: { json?: boolean }) => {
      await clusterStatus(engine);
      await undoAddNode(ports, whole(1)(id), watcher(signal, options.json === true));
      say(options, { nodeId: Number(id) }, `Node ${id} is no longer in corosync.conf.\n`);
    });

  program
    .command('status')
    .description('show quorum, votes and members')
    .addOption(json)
    .action(async (options: { json?: boolean }) => {
      const status = await clusterStatus(engine);
      // A file system that does not answer must not keep anyone from seeing the ring.
      const tree = await Promise.race([ports.tree.status(), ports.clock.sleep(ANSWER_MS).then(() => null)]);
      say(
        options,
        status,
        `${formatStatus(status, new Date())}${formatReadOnly(tree)}${formatRefusal(tree?.confRefused)}`,
      );
    });

  program
    .command('nodes')
    .description('list the members')
    .addOption(json)
    .action(async (options: { json?: boolean }) => {
      const status = await clusterStatus(engine);
      say(options, status.members, formatNodes(status));
    });

  program
    .command('expected <votes>')
    .description('tell the cluster to expect this many votes')
    .addOption(json)
    .action(async (text: string, options: { json?: boolean }) => {
      const expected = whole(1)(text);
      await clusterStatus(engine);
      await engine.setExpectedVotes(expected);
      say(options, { expectedVotes: expected }, '');
    });
  return program;
}

/** The engine's status; refused with a clear word where there is no cluster or no engine. */
async function clusterStatus(engine: EngineLink): Promise<EngineStatus> {
  const status = await engine.settled(ANSWER_MS);
  if (status === null) {
    throw new Refused(
      'this node belongs to no cluster: there is no corosync.conf. Create one or join one.',
      EXIT_USAGE,
    );
  }
  if (status.state.kind === 'down') {
    throw new Refused(`the cluster engine does not run on this node: ${status.state.reason}`, 1);
  }
  return status;
}

function say(options: { json?: boolean }, value: unknown, words: string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : words);
}

/** Steps go to standard error as they end; with --json standard output holds the one document. */
function watcher(signal: AbortSignal, quiet: boolean): Watcher {
  return {
    signal,
    onStep: (step: Step) => {
      if (quiet && step.state !== 'failed') return;
      if (step.state === 'running' && step.output.length === 0) process.stderr.write(`${step.title} ...\n`);
      if (step.state === 'done') for (const text of step.output) process.stderr.write(`  ${text}\n`);
    },
  };
}
