/**
 * `npm test [-- SUITE...]`: everything that must hold before a change lands. Suites, in this order:
 * check (types, lint, arrows, format), unit, sim, node (real network namespaces, sshd, FUSE, Corosync),
 * e2e (the story of the README in Chromium). Ends with one line of counts; exit 1 when anything failed.
 */
import { spawn } from 'node:child_process';
import { globSync, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAgentBundle } from './agent-bundle.ts';
import { ensurePackages } from './fresh-machine.ts';
import { hasFailed, runFiles, type FileOutcome } from './test-files.ts';

const project = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(project);

type Suite = 'check' | 'unit' | 'sim' | 'node' | 'e2e';
const suites: readonly Suite[] = ['check', 'unit', 'sim', 'node', 'e2e'];

/**
 * Two cores. Tests of whole nodes wait a quarter of their time (measured with two at once: 75 % of both cores), so three
 * run side by side; the browser gets both.
 */
const filesAtOnce: Record<Exclude<Suite, 'check'>, number> = { unit: 2, sim: 2, node: 3, e2e: 1 };

/** More than this is no bad moment of the machine. */
const MOST_SECOND_TRIES = 4;
/** No test file of ours takes longer; a hang must end in a failure, not in a silent CI. */
const FILE_DEADLINE_MS = 8 * 60_000;
/** Whatever hangs or drags: after this the run is over, with a list of what failed, before anybody ends it unheard. */
const RUN_DEADLINE_MS = 45 * 60_000;
const runEnds = Date.now() + RUN_DEADLINE_MS;

/** The longest files begin first, so that none is left to run alone at the end. Others follow by name. */
const LONGEST = [
  'jepsen',
  'apply-corosync',
  'fs-semantics',
  'adopt-cluster',
  'quorum-corosync',
  'apply-faults',
  'conformance',
  'engine-crash',
  'ring-links',
  'conf-differential',
];
const rank = (file: string): number => {
  const at = LONGEST.indexOf(basename(file, '.test.ts'));
  return at < 0 ? LONGEST.length : at;
};
const longFirst = (a: string, b: string): number => rank(a) - rank(b) || a.localeCompare(b);

interface Tally {
  passed: number;
  readonly failed: string[];
  readonly skipped: string[];
  /** Failed at first, and passed alone. */
  readonly unsteady: string[];
}

const tally: Tally = { passed: 0, failed: [], skipped: [], unsteady: [] };

function asked(): readonly Suite[] {
  const words = process.argv.slice(2);
  const unknown = words.filter((word) => !suites.some((suite) => suite === word));
  if (unknown.length > 0) {
    console.error(`unknown suite ${unknown.join(', ')}; there are: ${suites.join(', ')}`);
    process.exit(2);
  }
  return words.length === 0 ? suites : suites.filter((suite) => words.includes(suite));
}

const begunAt = Date.now();

function heading(text: string): void {
  console.log(`\n== ${text} (after ${((Date.now() - begunAt) / 60_000).toFixed(1)} min)`);
}

/** Runs a command to its end, and prints what it said then: others may run beside it. */
async function command(title: string, program: string, args: readonly string[]): Promise<void> {
  const begun = Date.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const good = await new Promise<boolean>((resolve) => {
    child.once('error', (error) => {
      said += `${error.message}\n`;
      resolve(false);
    });
    child.once('close', (code) => resolve(code === 0));
  });
  if (good) tally.passed += 1;
  else tally.failed.push(title);
  process.stdout.write(said);
  console.log(`${good ? '✔' : '✖'} ${title} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
}

/** Each keeps one core busy; those of types take as long as the three others. */
async function check(): Promise<void> {
  const inTurn = async (parts: readonly string[]): Promise<void> => {
    for (const part of parts) await command(part, 'npm', ['run', '--silent', `check:${part}`]);
  };
  await Promise.all([inTurn(['types']), inTurn(['lint', 'arrows', 'format'])]);
}

async function tests(suite: Exclude<Suite, 'check'>): Promise<void> {
  const files = globSync(`test/${suite}/**/*.test.ts`).sort(longFirst);
  if (files.length === 0) {
    console.error(`no test in test/${suite}: that is a failure, not a success`);
    tally.failed.push(`no test in test/${suite}`);
    return;
  }
  const limits = { fileDeadlineMs: FILE_DEADLINE_MS, until: runEnds };
  let outcomes = await runFiles({ files, atOnce: filesAtOnce[suite], ...limits });
  if (suite === 'node')
    outcomes = await secondTry(outcomes, (again) => runFiles({ files: again, atOnce: 1, ...limits }));
  for (const { name, outcome, reason } of outcomes.flatMap(({ told }) => told)) {
    if (outcome === 'passed') tally.passed += 1;
    else if (outcome === 'failed') tally.failed.push(name);
    else tally.skipped.push(`${name}: ${reason === '' ? 'no reason given' : reason}`);
  }
}

/**
 * Real clocks on a machine that others load may miss a deadline that holds otherwise. A file of nodes that failed runs
 * once more, alone; that it needed to is said at the end, for it may be a defect of ours that shows rarely.
 */
async function secondTry(
  outcomes: readonly FileOutcome[],
  again: (files: readonly string[]) => Promise<FileOutcome[]>,
): Promise<FileOutcome[]> {
  const failed = outcomes.filter(hasFailed);
  if (failed.length === 0 || failed.length > MOST_SECOND_TRIES) return [...outcomes];
  heading(`node, once more and alone: ${failed.map(({ file }) => basename(file)).join(', ')}`);
  const second = await again(failed.map(({ file }) => file));
  for (const { file, told } of failed) {
    if (second.some((one) => one.file === file && hasFailed(one))) continue;
    const names = told.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name);
    tally.unsteady.push(`${basename(file)}: ${names.join('; ')}`);
  }
  return [...outcomes.filter((one) => !hasFailed(one)), ...second];
}

const wanted = asked();
mkdirSync('artefacts', { recursive: true });

if (wanted.includes('node') || wanted.includes('e2e')) {
  heading('packages of this machine');
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const missing = await ensurePackages('the tests', [
    { file: '/usr/sbin/sshd', debianPackage: 'openssh-server' },
    { command: 'ssh-keygen', debianPackage: 'openssh-client' },
    { command: 'ip', debianPackage: 'iproute2' },
    { command: 'nft', debianPackage: 'nftables' },
    { command: 'nsenter', debianPackage: 'util-linux' },
    { command: 'mount', debianPackage: 'mount' },
    { command: 'ps', debianPackage: 'procps' },
    { command: 'strace', debianPackage: 'strace' },
    { file: '/usr/sbin/corosync', debianPackage: 'corosync' },
    { file: `/usr/lib/${triplet}/faketime/libfaketimeMT.so.1`, debianPackage: 'libfaketime' },
    { file: '/usr/bin/chromium', debianPackage: 'chromium' },
    { file: '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf', debianPackage: 'fonts-dejavu-core' },
  ]);
  if (missing.length > 0) console.log(`missing: ${missing.join(', ')}; the tests that need them say so`);
  heading('agent bundle and page');
  console.log(join('dist', 'agent'), await buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']));
  await command('page', 'npm', ['run', '--silent', 'build:renderer', '--', '--logLevel', 'warn']);
}

for (const suite of wanted) {
  heading(suite);
  if (suite === 'check') await check();
  else await tests(suite);
}

const list = (title: string, lines: readonly string[]): void => {
  if (lines.length > 0) console.log(`\n${title}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
};
list('skipped', tally.skipped);
list('failed at first, and passed alone', tally.unsteady);
list('failed', tally.failed);
console.log(`\n${tally.passed} passed, ${tally.failed.length} failed, ${tally.skipped.length} skipped`);
process.exit(tally.failed.length > 0 ? 1 : 0);
