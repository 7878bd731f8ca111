/**
 * `npm test [-- SUITE...]`: everything that must hold before a change lands. Suites, in this order:
 * check (types, lint, arrows, format), unit, sim, node (real network namespaces, sshd, FUSE, Corosync),
 * e2e (the story of the README in Chromium). Ends with one line of counts; exit 1 when anything failed.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { buildAgentBundle } from './agent-bundle.ts';
import { ensurePackages } from './fresh-machine.ts';

const project = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(project);

type Suite = 'check' | 'unit' | 'sim' | 'node' | 'e2e';
const suites: readonly Suite[] = ['check', 'unit', 'sim', 'node', 'e2e'];

/** Two cores. Tests of whole nodes wait more than they work, so two labs run side by side; the browser gets both. */
const filesAtOnce: Record<Exclude<Suite, 'check'>, number> = { unit: 2, sim: 2, node: 2, e2e: 1 };

/** No test file of ours takes longer; a hang must end in a failure, not in a silent CI. */
const FILE_DEADLINE_MS = 12 * 60_000;

interface Tally {
  passed: number;
  failed: number;
  skipped: string[];
}

const tally: Tally = { passed: 0, failed: 0, skipped: [] };

function asked(): readonly Suite[] {
  const words = process.argv.slice(2);
  const unknown = words.filter((word) => !suites.some((suite) => suite === word));
  if (unknown.length > 0) {
    console.error(`unknown suite ${unknown.join(', ')}; there are: ${suites.join(', ')}`);
    process.exit(2);
  }
  return words.length === 0 ? suites : suites.filter((suite) => words.includes(suite));
}

function heading(text: string): void {
  console.log(`\n== ${text}`);
}

function command(title: string, program: string, args: readonly string[]): void {
  const begun = Date.now();
  const { status } = spawnSync(program, args, { stdio: 'inherit' });
  const good = status === 0;
  if (good) tally.passed += 1;
  else tally.failed += 1;
  console.log(`${good ? '✔' : '✖'} ${title} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
}

function check(): void {
  for (const part of ['types', 'lint', 'arrows', 'format']) command(part, 'npm', ['run', '--silent', `check:${part}`]);
}

async function tests(suite: Exclude<Suite, 'check'>): Promise<void> {
  const files = globSync(`test/${suite}/**/*.test.ts`).sort();
  if (files.length === 0) {
    console.error(`no test in test/${suite}: that is a failure, not a success`);
    tally.failed += 1;
    return;
  }
  const stream = run({ files, concurrency: filesAtOnce[suite], timeout: FILE_DEADLINE_MS });
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    if (event.skip !== undefined && event.skip !== false) {
      tally.skipped.push(`${event.name}: ${event.skip === true ? 'no reason given' : event.skip}`);
    } else tally.passed += 1;
  });
  stream.on('test:fail', (event) => {
    if (event.details.type !== 'suite') tally.failed += 1;
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await new Promise((done) => report.on('end', done));
}

const wanted = asked();
mkdirSync('artefacts', { recursive: true });

if (wanted.includes('node') || wanted.includes('e2e')) {
  heading('packages of this machine');
  const missing = await ensurePackages('the tests', [
    { file: '/usr/sbin/sshd', debianPackage: 'openssh-server' },
    { command: 'ssh-keygen', debianPackage: 'openssh-client' },
    { command: 'ip', debianPackage: 'iproute2' },
    { command: 'nft', debianPackage: 'nftables' },
    { command: 'nsenter', debianPackage: 'util-linux' },
    { command: 'mount', debianPackage: 'mount' },
    { command: 'ps', debianPackage: 'procps' },
    { file: '/usr/sbin/corosync', debianPackage: 'corosync' },
    { file: '/usr/bin/chromium', debianPackage: 'chromium' },
    { file: '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf', debianPackage: 'fonts-dejavu-core' },
  ]);
  if (missing.length > 0) console.log(`missing: ${missing.join(', ')}; the tests that need them say so`);
  heading('agent bundle and page');
  console.log(join('dist', 'agent'), await buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']));
  command('page', 'npm', ['run', '--silent', 'build:renderer', '--', '--logLevel', 'warn']);
}

for (const suite of wanted) {
  heading(suite);
  if (suite === 'check') check();
  else await tests(suite);
}

if (tally.skipped.length > 0) console.log(`\nskipped:\n${tally.skipped.map((line) => `  ${line}`).join('\n')}`);
console.log(`\n${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`);
process.exit(tally.failed > 0 ? 1 : 0);
