/**
 * Runs test files, a few side by side, each in a process group of its own, so that one that hangs can be
 * ended with all it started: it counts as failed, is named, and the run goes on.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Told } from './test-reporter.ts';

export interface FilesRun {
  readonly files: readonly string[];
  readonly atOnce: number;
  /** One file may take this long. */
  readonly fileDeadlineMs: number;
  /** When the whole run must be over, as Date.now() tells it; files that would begin later count as failed. */
  readonly until: number;
}

export interface FileOutcome {
  readonly file: string;
  readonly told: readonly Told[];
}

export const hasFailed = ({ told }: FileOutcome): boolean => told.some(({ outcome }) => outcome === 'failed');

/** Prints each file's report as the file ends, and resolves to what every test came to. */
export async function runFiles(run: FilesRun): Promise<FileOutcome[]> {
  const waiting = [...run.files];
  const all: FileOutcome[] = [];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const left = Math.min(run.fileDeadlineMs, run.until - Date.now());
      const late = [failed(`${file}: not begun, the run's time was over`)];
      all.push({ file, told: left > 0 ? await runFile(file, left) : late });
    }
  };
  await Promise.all(Array.from({ length: run.atOnce }, worker));
  return all;
}

async function runFile(file: string, deadlineMs: number): Promise<Told[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ringmaster-test-'));
  const lines = join(folder, 'told');
  const begun = Date.now();
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(import.meta.dirname, 'test-reporter.ts')}`,
      `--test-reporter-destination=${lines}`,
      file,
    ],
    { detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let report = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (report += text));
  }
  let late = false;
  const clock = setTimeout(() => {
    late = true;
    // SIGKILL ends stopped processes too; the group has the file's own children, nodes of a lab have theirs.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, deadlineMs);
  const status = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => {
      // What it left behind may hold the pipes open: half a second is enough for what is in them.
      const patience = setTimeout(() => resolve(code), 500);
      child.once('close', () => {
        clearTimeout(patience);
        resolve(code);
      });
    });
  });
  clearTimeout(clock);
  const told = readTold(lines);
  rmSync(folder, { recursive: true, force: true });
  console.log(`${report.trimEnd()}\n${basename(file)}: ${((Date.now() - begun) / 1000).toFixed(1)} s\n`);
  if (late) told.push(failed(`${file}: ended after ${Math.round(deadlineMs / 1000)} s, because it hung`));
  else if (status !== 0 && !told.some(({ outcome }) => outcome === 'failed')) {
    told.push(failed(`${file}: ended with ${status ?? 'a signal'}`));
  } else if (told.length === 0) told.push(failed(`${file}: no test in it`));
  return told;
}

const failed = (name: string): Told => ({ name, outcome: 'failed', reason: '' });

function readTold(path: string): Told[] {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // It died before the first test ended.
  }
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Told);
}
