/**
 * `pmxcfs [-l] [-f] [-d]`: keeps this node's replica of the tree and mounts it. Local without corosync.conf.
 * `pmxcfs check` and `pmxcfs restore` look after its database (pmxcfs-store.ts).
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { openGuard, type OpenGuard } from '../cluster/apply/open-guard.ts';
import { openKeyFollower } from '../cluster/key/open-follower.ts';
import { localAddresses } from '../cluster/node-ports.ts';
import { whyNotInTree } from '../cluster/push-conf.ts';
import { connectSocket } from '../cluster/socket-client.ts';
import { engineChoice } from '../engine/choice.ts';
import { ChosenEngine } from '../engine/chosen.ts';
import { openEngine } from '../engine/open.ts';
import { listedNodes, localNode } from '../engine/settings.ts';
import { eventLog } from '../event-log.ts';
import type { FileSystemControl } from '../mount/control.ts';
import { PmxcfsProcess } from '../mount/pmxcfs-process.ts';
import type { NodeLayout } from '../node-layout.ts';
import { nodeId, type NodeId } from '../totem/ids.ts';
import { runCheck, runRestore } from './pmxcfs-store.ts';

interface Options {
  readonly local?: true;
  readonly foreground?: true;
  readonly debug?: true;
}

/** How long a start in the background is waited for. Milliseconds. */
const START_MS = 10_000;

const HELP = `
Without options it goes to the background and returns when it serves.

pmxcfs check [FILE]                         looks through the database for damage
pmxcfs restore FILE|--list|--from-cluster   puts a backup in its place

Exit codes: 0 ended in good order (in the background: it serves), 1 failed, 2 not understood.`;

/** A command line that is not understood; 1 is for what went wrong. */
const EXIT_USAGE = 2;

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  if (args[0] === 'check') return runCheck(args.slice(1), layout);
  if (args[0] === 'restore') return runRestore(args.slice(1), layout);
  const command = new Command('pmxcfs')
    .description(`Keeps this node's replica of the configuration tree and mounts it at ${layout.mountPoint}.`)
    .option('-l, --local', 'local mode: without the cluster, also where corosync.conf is there')
    .option('-f, --foreground', 'do not go to the background')
    .option('-d, --debug', 'stay in the foreground and say more')
    .addHelpText('after', HELP)
    .allowExcessArguments(false)
    .exitOverride();
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    return error instanceof Error && 'exitCode' in error && error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
  const options = command.opts<Options>();
  if (options.foreground !== true && options.debug !== true) return inBackground(args, layout);
  return inForeground(options, layout);
}

async function inForeground(options: Options, layout: NodeLayout): Promise<number> {
  const log = eventLog(layout, 'pmxcfs');
  const clustered = options.local !== true && existsSync(layout.corosyncConf);
  let engine: ChosenEngine | null = null;
  let guard: OpenGuard | null = null;
  let keys: { close(): Promise<void> } | null = null;
  try {
    const self = clustered ? selfOf(layout) : nodeId(1);
    engine = clustered ? new ChosenEngine((kind) => openEngine(kind, layout), engineChoice(layout)) : null;
    // Before the tree is opened: a node that cannot open it must still go back by its own clock.
    guard = engine === null ? null : openGuard(layout, { nodeId: self, name: layout.hostname }, engine, log);
    const guarding = guard;
    keys = engine === null ? null : openKeyFollower(layout, { nodeId: self, name: layout.hostname }, engine, log);
    const pmxcfs = await PmxcfsProcess.start({
      layout,
      self,
      engine,
      log,
      confChanged: (read) => guarding?.confChanged(read()),
      refusesConf: (text, present) => whyNotInTree(text, present, engineChoice(layout)),
      debug: options.debug === true,
    });
    const signal = new Promise<void>((resolve) => {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
    });
    const fault = await Promise.race([signal.then(() => null), pmxcfs.fault]);
    await keys?.close();
    await guard?.close();
    await pmxcfs.close();
    await engine?.close();
    if (fault !== null) {
      log('error', fault);
      return 1;
    }
    return 0;
  } catch (error) {
    log('error', error instanceof Error ? error.message : String(error));
    await keys?.close();
    await guard?.close();
    await engine?.close();
    return 1;
  }
}

function selfOf(layout: NodeLayout): NodeId {
  const { nodes } = listedNodes(readFileSync(layout.corosyncConf, 'utf8'));
  const self = localNode(nodes, layout.hostname, new Set(localAddresses()));
  if (self === null) {
    throw new Error(`no node of ${layout.corosyncConf} is this one: neither a name nor an address fits`);
  }
  return self.nodeId;
}

/** Starts itself in the foreground of a process of its own, and returns when that serves. */
async function inBackground(args: readonly string[], layout: NodeLayout): Promise<number> {
  const script = process.argv[1] ?? '';
  const child = spawn(process.execPath, [script, 'pmxcfs', '--foreground', ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  for (const end = Date.now() + START_MS; Date.now() < end;) {
    const code = await Promise.race([ended, new Promise<null>((resolve) => setTimeout(() => resolve(null), 50))]);
    if (code !== null) return code;
    if ((await servedBy(layout)) === child.pid) {
      child.unref();
      return 0;
    }
  }
  process.stderr.write('pmxcfs does not serve yet; its log says why\n');
  return 1;
}

/** The process that answers on the control socket; null when none does. A file alone may be a crashed one's. */
async function servedBy(layout: NodeLayout): Promise<number | null> {
  try {
    const client = await connectSocket<FileSystemControl>(layout.fileSystemSocket, {}, 1_000);
    try {
      return (await client.remote.status()).pid;
    } finally {
      client.close();
    }
  } catch {
    return null;
  }
}
