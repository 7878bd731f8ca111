/** `pmxcfs check` and `pmxcfs restore`: the database of a node whose pmxcfs is stopped. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { eventLog } from '../event-log.ts';
import { backupsIn } from '../mount/backups.ts';
import { restoreFrom } from '../mount/restore.ts';
import { checkDatabase, holderOf, type CheckReport } from '../mount/store-check.ts';
import { DATABASE } from '../mount/store.ts';
import type { NodeLayout } from '../node-layout.ts';

export const EXIT = { good: 0, bad: 1, usage: 2, missing: 3, inUse: 4 } as const;

export const EXIT_TEXT = `Exit codes: ${EXIT.good} done, ${EXIT.bad} damaged or failed, ${EXIT.usage} not understood, ${EXIT.missing} no such database, ${EXIT.inUse} pmxcfs of this node runs.`;

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);

/** Commander's own exits (help, a wrong option) as an exit code; null: go on. */
function parse(command: Command, args: readonly string[]): number | null {
  try {
    command.allowExcessArguments(false).exitOverride().parse(args, { from: 'user' });
    return null;
  } catch (error) {
    return error instanceof Error && 'exitCode' in error && error.exitCode === 0 ? EXIT.good : EXIT.usage;
  }
}

export function runCheck(args: readonly string[], layout: NodeLayout): number {
  const command = new Command('pmxcfs check')
    .description("Looks through this node's database, or another file, for damage. Changes nothing.")
    .argument('[file]', 'a backup, or a database that was set aside')
    .addHelpText('after', `\n${EXIT_TEXT}`);
  const ended = parse(command, args);
  if (ended !== null) return ended;
  const file = resolve(command.args[0] ?? join(layout.treeState, DATABASE));
  if (!existsSync(file)) return missing(file);
  const holder = holderOf(file);
  if (holder !== null) return inUse(file, holder);
  const report = checkDatabase(file);
  say(file, report);
  return report.problems.length === 0 ? EXIT.good : EXIT.bad;
}

export function runRestore(args: readonly string[], layout: NodeLayout): number {
  const command = new Command('pmxcfs restore')
    .description("Puts a backup in the place of this node's database. What is there is kept beside it.")
    .argument('[file]', 'the backup')
    .option('--list', 'shows the backups of this node, newest first')
    .option('--from-cluster', 'begins with nothing: at its next start the node takes the tree from the others')
    .addHelpText('after', `\n${CLUSTER_TEXT}\n\n${OTHERS_TEXT}\n\n${EXIT_TEXT}`);
  const ended = parse(command, args);
  if (ended !== null) return ended;
  const { list, fromCluster } = command.opts<{ list?: true; fromCluster?: true }>();
  const [backup] = command.args;
  if ([list === true, fromCluster === true, backup !== undefined].filter(Boolean).length !== 1) {
    complain('pmxcfs restore: one of FILE, --list and --from-cluster');
    return EXIT.usage;
  }
  if (list === true) return showBackups(layout);
  const file = join(layout.treeState, DATABASE);
  const holder = holderOf(file);
  if (holder !== null) return inUse(file, holder);
  return backup === undefined ? fromOthers(layout) : fromBackup(resolve(backup), layout);
}

const CLUSTER_TEXT = `In a cluster the most advanced database of the nodes that are together wins. A node that is restored alone
therefore takes the present tree from the others again, and its older state is gone. Until then its vote does not
count for the tree: nothing is written before the nodes that were not restored are a majority by themselves, or all
nodes are there, so that no write that was acknowledged is lost. To take the whole cluster back, stop pmxcfs on all
nodes, restore the same backup on one, run \`pmxcfs restore --from-cluster\` on the others, and start them all.`;

/**
 * It does not refuse where nobody has the tree. pmxcfs of this node, which alone could tell, is stopped; and of a cluster
 * that is taken back as a whole it is stopped on the others too, which is no reason not to.
 */
const OTHERS_TEXT = `Whether another node has the tree cannot be seen while pmxcfs of this node is stopped: see that /etc/pve of another
node can be written to. A node that begins with nothing takes the tree from the others as soon as the nodes that were
not restored are a majority by themselves, or all nodes are there. Until then it waits, nothing can be written on it,
and its events say why. Never do this on all nodes: once all of them are there, the tree of the cluster is empty.`;

function fromBackup(backup: string, layout: NodeLayout): number {
  if (!existsSync(backup)) return missing(backup);
  const report = checkDatabase(backup);
  if (report.problems.length > 0) {
    say(backup, report);
    complain('It is not restored.');
    return EXIT.bad;
  }
  const aside = restoreFrom(backup, layout.treeState);
  note(layout, `the database was replaced by ${backup}; the former one is ${aside ?? 'not there: there was none'}`);
  say(backup, report);
  out(`It is restored. ${aside === null ? 'There was no database before.' : `The former database is ${aside}.`}`);
  if (existsSync(layout.corosyncConf)) out(CLUSTER_TEXT);
  return EXIT.good;
}

function fromOthers(layout: NodeLayout): number {
  if (!existsSync(layout.corosyncConf)) {
    complain(`This node is in no cluster (${layout.corosyncConf} is not there): nobody could give it the tree.`);
    return EXIT.bad;
  }
  const aside = restoreFrom(null, layout.treeState);
  note(layout, `the node begins with an empty database; the former one is ${aside ?? 'not there: there was none'}`);
  out(aside === null ? 'There was no database before.' : `The former database is ${aside}.`);
  out(OTHERS_TEXT);
  out(wayBack(aside));
  return EXIT.good;
}

/** How a person undoes it, if the others turn out not to have the tree. */
function wayBack(aside: string | null): string {
  const damaged = aside !== null && isDamaged(aside);
  const words = damaged ? 'The former database is damaged. ' : '';
  const [file, which] =
    aside === null || damaged ? ['BACKUP', ' (`pmxcfs restore --list` shows what there is)'] : [aside, ''];
  return `${words}To go back: stop pmxcfs, run \`pmxcfs restore ${file}\`${which}, and start pmxcfs.`;
}

function isDamaged(file: string): boolean {
  try {
    return checkDatabase(file).problems.length > 0;
  } catch {
    // No room for the check's copy: what is done is done, and going back checks it again.
    return false;
  }
}

function showBackups(layout: NodeLayout): number {
  const backups = backupsIn(layout.treeState);
  if (backups.length === 0) out(`There are no backups in ${layout.treeState}.`);
  for (const { file, bytes, madeMs } of backups)
    out(`${new Date(madeMs).toISOString()}  ${String(bytes).padStart(12)}  ${file}`);
  return EXIT.good;
}

function say(file: string, { holds, problems }: CheckReport): void {
  for (const problem of problems) complain(`${file}: ${problem}`);
  if (holds !== null) {
    const { bytes, entries, version } = holds;
    out(`${file}: ${entries} entries, ${bytes} bytes, version ${version.epoch}.${version.index}`);
  }
  if (problems.length > 0) complain(`${file} is damaged.`);
}

const note = (layout: NodeLayout, message: string): void => eventLog(layout, 'pmxcfs')('warning', message);

function missing(file: string): number {
  complain(`There is no ${file}.`);
  return EXIT.missing;
}
function inUse(file: string, pid: number): number {
  complain(`${file} is in use: pmxcfs runs (process ${pid}). Stop it first.`);
  return EXIT.inUse;
}
