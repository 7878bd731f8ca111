/** Starts Ringmaster the way the README says, on a lab of its own, and opens it in Chromium. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type ConsoleMessage, type Page } from 'playwright-core';

export const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const artefacts = join(project, 'artefacts');

/** Time for `npm start` from nothing to an address, on a busy two-core machine. */
const START_DEADLINE_MS = 4 * 60_000;

export interface RunningApp {
  readonly directory: string;
  readonly address: string;
  /** Everything `npm start` printed. */
  readonly output: () => string;
  readonly stop: () => Promise<void>;
}

export async function startApp(...options: string[]): Promise<RunningApp> {
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-e2e-'));
  const child = spawn('npm', ['start', '--', '--browser', '--no-open', '--dir', directory, ...options], {
    cwd: project,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const lines = createInterface({ input: child.stdout });
  const address = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`npm start gave no address in time:\n${printed}`)),
      START_DEADLINE_MS,
    );
    lines.on('line', (line) => {
      printed += `${line}\n`;
      const found = /^\s*(http:\/\/127\.0\.0\.1:\d+\/\?token=\S+)\s*$/.exec(line)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`npm start ended with ${code}:\n${printed}`));
    });
  }).catch(async (error: unknown) => {
    await end(child, directory);
    throw error;
  });
  return { directory, address, output: () => printed, stop: () => end(child, directory) };
}

/** Ctrl-C, as a person would: to the whole foreground group. The lab goes with it. */
async function end(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    process.kill(-child.pid, 'SIGINT');
    await ended;
  }
  lab(directory, 'down');
  rmSync(directory, { recursive: true, force: true });
}

/** Runs `npm run lab -- ...` on this app's lab; throws with its words when it fails. */
export function lab(directory: string, ...args: string[]): string {
  const [verb = 'status', ...rest] = args;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(project, 'electron/lab/command.ts'), verb, '--dir', directory, ...rest],
    { encoding: 'utf8', cwd: project },
  );
  if (status !== 0) throw new Error(`lab ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

export interface OpenPage {
  readonly page: Page;
  /** Errors on the page's console so far: a CSP violation is one. */
  readonly complaints: readonly string[];
  readonly screenshot: (name: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function openPage(address: string, colorScheme: 'dark' | 'light' = 'dark'): Promise<OpenPage> {
  const browser: Browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
    ],
  });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme });
  const complaints: string[] = [];
  page.on('console', (message: ConsoleMessage) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(address);
  mkdirSync(artefacts, { recursive: true });
  return {
    page,
    complaints,
    screenshot: async (name) => {
      // Finished, not in the middle of a fade.
      await page.screenshot({ path: join(artefacts, `${name}.png`), animations: 'disabled' });
    },
    close: () => browser.close(),
  };
}
