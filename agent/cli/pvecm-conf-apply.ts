/** `pvecm conf apply|confirm|revert|history|diff`: a changed corosync.conf put on trial on every node, and its end. */
import { readFileSync, statSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { planConf, startApply, WORDS_OF } from '../cluster/apply/apply.ts';
import { endedApplies, openApply } from '../cluster/apply/apply-view.ts';
import { confirmApply, revertApply } from '../cluster/apply/end-apply.ts';
import { allFacts } from '../cluster/apply/trial-store.ts';
import { readTreeConf, versionOf } from '../cluster/conf-write.ts';
import type { NodePorts } from '../cluster/ports.ts';
import type { Watcher } from '../cluster/procedure.ts';
import { plannedChanges } from '../conf/index.ts';
import type { EngineStatus } from '../engine/engine.ts';
import type { ApplyPlan, PlanRequest } from '../rpc/api.ts';
import { formatHistory, formatOpen, formatPlan } from './pvecm-conf-output.ts';

/** What the commands need of their program. */
export interface ConfCommands {
  readonly ports: NodePorts;
  /** The engine's status; rejects with a clear word where there is no cluster or no engine. */
  readonly status: () => Promise<EngineStatus>;
  readonly watcher: (quiet: boolean) => Watcher;
  readonly end: (code: number) => void;
}

const SECOND = 1000;
const DEFAULT_CONFIRM_S = 60;
const MOST_CONFIRM_S = 3600;
/** The person said no, or nothing. */
const EXIT_DECLINED = 1;

interface ApplyOptions {
  readonly confirmWithin?: number;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const author = (): string => `${userInfo().username}@${hostname()}`;
const print = (words: string): void => void process.stdout.write(words);
const printJson = (value: unknown): void => print(`${JSON.stringify(value)}\n`);

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 5 && value <= MOST_CONFIRM_S) return value;
  throw new InvalidArgumentError(`It must be a whole number of seconds from 5 to ${MOST_CONFIRM_S}.`);
}

export function addApplyCommands(conf: Command, commands: ConfCommands): void {
  const { ports, status, end } = commands;
  const json = new Option('--json', 'print one JSON document');
  const within = new Option('--confirm-within <seconds>', 'go back unless confirmed in this time').argParser(seconds);
  const yes = new Option('--yes', 'ask nothing; without --confirm-within, confirm when every node runs it');

  conf
    .command('apply <file>')
    .description('put a corosync.conf into effect on every node; it goes back by itself unless it is confirmed')
    .addOption(within)
    .addOption(yes)
    .addOption(json)
    .action(async (file: string, options: ApplyOptions) => {
      const request = { text: readFileSync(file, 'utf8'), baseDigest: null, editedMs: statSync(file).mtimeMs };
      end(await apply(commands, request, options));
    });

  conf
    .command('confirm')
    .description('keep what was applied')
    .addOption(json)
    .action(async (options: { json?: boolean }) => {
      await status();
      const words = await confirmApply(ports, author());
      if (options.json === true) printJson({ outcome: 'confirmed', words });
      else print(`${words}\n`);
    });

  conf
    .command('revert [version]')
    .description('take back what is not confirmed yet; with a version, apply the file that had it')
    .addOption(within)
    .addOption(yes)
    .addOption(json)
    .action(async (version: string | undefined, options: ApplyOptions) => {
      await status();
      if (version !== undefined) return end(await apply(commands, await earlier(ports, version), options));
      const words = await revertApply(ports, author());
      if (options.json === true) printJson({ outcome: 'reverted', words });
      else print(`${words}\n`);
    });

  conf
    .command('history')
    .description('list what was applied, by whom, and how it ended')
    .addOption(json)
    .action(async (options: { json?: boolean }) => {
      await status();
      const [open, ended] = [await openApply(ports), await endedApplies(ports)];
      if (options.json === true) printJson({ open, ended });
      else print(`${open === null ? '' : formatOpen(open)}${formatHistory(ended)}`);
    });

  conf
    .command('diff [file]')
    .description('show which node has and runs what; with a file, what applying it would do')
    .addOption(json)
    .action(async (file: string | undefined, options: { json?: boolean }) => {
      const now = await status();
      if (file === undefined) return end(await drift(ports, now, options.json === true));
      const request = { text: readFileSync(file, 'utf8'), baseDigest: null, editedMs: statSync(file).mtimeMs };
      const plan = await planConf(ports, request);
      if (options.json === true) printJson(plan);
      else print(formatPlan(plan));
    });
}

/** Plan, question, trial, confirmation. Resolves to the exit code. */
async function apply(commands: ConfCommands, request: PlanRequest, options: ApplyOptions): Promise<number> {
  const { ports, status, watcher } = commands;
  await status();
  const plan = await planConf(ports, request);
  const quiet = options.json === true;
  if (!quiet) print(formatPlan(plan));
  if (options.yes !== true) {
    if (process.stdin.isTTY !== true) {
      process.stderr.write('pvecm: nobody can be asked here: look at the plan above and say --yes\n');
      return EXIT_DECLINED;
    }
    if (!(await agreed(`Apply this? ${capital(WORDS_OF[plan.method])}.`))) {
      print('Nothing was changed.\n');
      return EXIT_DECLINED;
    }
  }
  const confirmWithinMs = (options.confirmWithin ?? DEFAULT_CONFIRM_S) * SECOND;
  const { text, baseDigest, method } = plan;
  await startApply(ports, { text, baseDigest, method, author: author(), confirmWithinMs }, watcher(quiet));
  const confirmed = await afterwards(ports, plan, options, confirmWithinMs);
  if (quiet) printJson({ plan, confirmed });
  return 0;
}

/** It runs everywhere. Resolves to true when it was confirmed here. */
async function afterwards(
  ports: NodePorts,
  plan: ApplyPlan,
  options: ApplyOptions,
  confirmWithinMs: number,
): Promise<boolean> {
  const say = (words: string): void => void (options.json === true || print(`${words}\n`));
  const runs = `Version ${plan.version} runs on every node of the ring.`;
  if (options.yes === true && options.confirmWithin === undefined) {
    say(`${runs} ${await confirmApply(ports, author())}`);
    return true;
  }
  if (options.yes === true) {
    say(`${runs} Say "pvecm conf confirm" within ${confirmWithinMs / SECOND} s on any node, or every node goes back.`);
    return false;
  }
  say(runs);
  const keep = await agreed(`Keep it? Every node goes back in ${confirmWithinMs / SECOND} s.`, confirmWithinMs);
  say(keep ? await confirmApply(ports, author()) : await revertApply(ports, author()));
  return keep;
}

async function agreed(question: string, withinMs?: number): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const signal = withinMs === undefined ? {} : { signal: AbortSignal.timeout(withinMs) };
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, signal)).trim());
  } catch {
    print('\n');
    return false;
  } finally {
    lines.close();
  }
}

const capital = (words: string): string => words.slice(0, 1).toUpperCase() + words.slice(1);

/** The file of an earlier version, as a change to the present one. */
async function earlier(ports: NodePorts, version: string): Promise<PlanRequest> {
  const wanted = Number(version);
  for (const one of await endedApplies(ports)) {
    const text = one.fromVersion === wanted ? one.before : one.version === wanted ? one.after : null;
    if (text === null) continue;
    const present = await readTreeConf(ports);
    return { text, baseDigest: ports.digest(present ?? ''), editedMs: null };
  }
  throw new Error(`no version ${version} is in the history; see: pvecm conf history`);
}

/** Which node has and runs what, beside the tree's file. Exit 0 when all agree, 1 when not. */
async function drift(ports: NodePorts, status: EngineStatus, json: boolean): Promise<number> {
  const tree = await readTreeConf(ports);
  if (tree === null) throw new Error('there is no corosync.conf in the configuration tree');
  const digest = ports.digest(tree);
  const version = versionOf(tree);
  const facts = await allFacts(ports);
  const nodes = status.members.map((member) => {
    const { disk = null, running = null } = facts.get(member.nodeId) ?? {};
    const same = disk?.digest === digest && (running === version || member.state === 'absent');
    return { nodeId: member.nodeId, name: member.name, state: member.state, disk, running, same };
  });
  const local = ports.files.readConf();
  const differences =
    local === null || local === tree ? [] : plannedChanges(tree, local).map(({ sentence }) => sentence);
  if (json) printJson({ version, digest, nodes, differences });
  else {
    print(`The cluster's file has version ${version ?? 'none'}.\n`);
    for (const { name, nodeId, state, disk, running, same } of nodes) {
      const has = disk === null ? 'unknown on disk' : `version ${disk.version ?? 'none'} on disk`;
      const other = disk !== null && disk.digest !== digest && disk.version === version ? ' (other contents)' : '';
      const runs = state === 'absent' ? 'not in the ring' : `runs version ${running ?? 'unknown'}`;
      print(`  ${same ? ' ' : '!'} ${name ?? `node ${nodeId}`}: ${has}${other}, ${runs}\n`);
    }
    for (const sentence of differences) print(`On this node: ${sentence}\n`);
  }
  return nodes.every(({ same }) => same) ? 0 : 1;
}
