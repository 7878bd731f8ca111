/**
 * `pmxcfs [-l] [-f] [-d]`: keeps this node's replica of the tree and mounts it. Local without corosync.conf.
 * `pmxcfs check` and `pmxcfs restore` look after its database (pmxcfs-store.ts).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { openGuard, type OpenGuard } from '../cluster/apply/open-guard.ts';
import { openKeyFollower } from '../cluster/key/open-follower.ts';
import { ownCommand } from '../cluster/installation.ts';
import { localAddresses } from '../cluster/node-ports.ts';
import { whyNotInTree } from '../cluster/push-conf.ts';
import { connectSocket } from '../cluster/socket-client.ts';
import { engineChoice } from '../engine/choice.ts';
import { ChosenEngine } from '../engine/chosen.ts';
import { openEngine } from '../engine/open.ts';
import { listedNodes, localNode } from '../engine/settings.ts';
import { eventLog } from '../event-log.ts';
import type { FileSystemControl } from '../mount/control.ts';
import { MountRefused, PmxcfsProcess } from '../mount/pmxcfs-process.ts';
import { StoreDamaged, StoreHeld } from '../mount/store.ts';
import type { NodeLayout } from '../node-layout.ts';
import { nodeId, type NodeId } from '../totem/ids.ts';
import { runCheck, runRestore } from './pmxcfs-store.ts';

interface Options {
  readonly local?: true;
  readonly foreground?: true;
  readonly debug?: true;
}

const STDERR = 2;
/** How long a start in the background is waited for. Milliseconds. */
const START_MS = 10_000;

const HELP = `
Without options it goes to the background and returns when it serves.

pmxcfs check [FILE]                         looks through the database for damage
pmxcfs restore FILE|--list|--from-cluster   puts a backup in its place

Exit codes: 0 ended in good order (in the background: it serves), 1 failed, 2 not understood, 4 it runs already,
5 its database is damaged, 6 the mount point cannot be used, 7 not root. What went wrong is said on standard error
and in the events of the node.`;

/** 3 is what check and restore have for a database that is not there. */
const EXIT = { good: 0, failed: 1, usage: 2, running: 4, damaged: 5, mount: 6, notRoot: 7 } as const;
/** Set for the process in the background: where its words go is gone once it serves. */
const IN_BACKGROUND = 'RINGMASTER_IN_BACKGROUND';

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
    return error instanceof Error && 'exitCode' in error && error.exitCode === 0 ? EXIT.good : EXIT.usage;
  }
  const options = command.opts<Options>();
  if (layout.root === '' && process.getuid?.() !== 0) {
    process.stderr.write('pmxcfs: only root can keep and mount the tree\n');
    return EXIT.notRoot;
  }
  const running = await servedBy(layout);
  if (running !== null) {
    process.stderr.write(`pmxcfs: it runs already (process ${running})\n`);
    return EXIT.running;
  }
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
    if (process.env[IN_BACKGROUND] !== undefined) leaveTerminal();
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
      return EXIT.failed;
    }
    return EXIT.good;
  } catch (error) {
    log('error', error instanceof Error ? error.message : String(error));
    await keys?.close();
    await guard?.close();
    await engine?.close();
    return exitOf(error);
  }
}

function exitOf(error: unknown): number {
  if (error instanceof StoreHeld) return EXIT.running;
  if (error instanceof StoreDamaged) return EXIT.damaged;
  return error instanceof MountRefused ? EXIT.mount : EXIT.failed;
}

/** Whoever waits for the end of standard error (ssh does) must not wait for this process. */
function leaveTerminal(): void {
  closeSync(STDERR);
  // The lowest free number is taken.
  openSync('/dev/null', 'w');
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
  const [program = '', ...words] = ownCommand('pmxcfs', '--foreground', ...args);
  const said = openSaid(layout);
  const child = spawn(program, words, {
    detached: true,
    stdio: ['ignore', 'ignore', said],
    cwd: '/',
    env: { ...process.env, [IN_BACKGROUND]: '1' },
  });
  const code = await serving(child, layout);
  process.stderr.write(readAll(said));
  closeSync(said);
  child.unref();
  return code;
}

/** A file without a name for what is said before it serves: a pipe would have to stay. */
function openSaid(layout: NodeLayout): number {
  mkdirSync(layout.run, { recursive: true });
  const path = join(layout.run, `pmxcfs-${process.pid}.starting`);
  const fd = openSync(path, 'a+', 0o600);
  unlinkSync(path);
  return fd;
}
function readAll(fd: number): Buffer {
  const bytes = Buffer.alloc(fstatSync(fd).size);
  readSync(fd, bytes, 0, bytes.length, 0);
  return bytes;
}

/** The exit code of the start. */
async function serving(child: ChildProcess, layout: NodeLayout): Promise<number> {
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? EXIT.failed)));
  for (const end = Date.now() + START_MS; Date.now() < end;) {
    const code = await Promise.race([ended, new Promise<null>((resolve) => setTimeout(() => resolve(null), 50))]);
    if (code !== null) return code;
    if ((await servedBy(layout)) === child.pid) return EXIT.good;
  }
  process.stderr.write('pmxcfs does not serve yet; its log says why\n');
  return EXIT.failed;
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
