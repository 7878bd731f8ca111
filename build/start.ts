/**
 * `npm start`: a lab on this machine, and the app open on it. In Electron where its binary is there,
 * otherwise in a browser; both show the same page. Ctrl-C ends everything, the lab too.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { HostApp } from '../electron/host/app.ts';
import { serveBrowser } from '../electron/host/web/server.ts';
import { NAMESPACE_COMMANDS } from '../electron/lab/namespace/requirements.ts';
import { bringUp, openLab, takeDown } from '../electron/lab/open.ts';
import { defaultDirectory } from '../electron/lab/state.ts';
import { buildAgentBundle } from './agent-bundle.ts';
import { findElectron } from './electron-binary.ts';
import { buildElectronShell } from './electron-shell.ts';
import { ensurePackages } from './fresh-machine.ts';
import { openInBrowser } from './open-browser.ts';
import { buildPage } from './page.ts';

const project = dirname(dirname(fileURLToPath(import.meta.url)));

const USAGE = `usage: npm start -- [--browser] [--no-open] [--rootless] [--keep-lab] [--dir DIRECTORY]

  --browser   open the page in a browser even where Electron is present
  --no-open   print the page's address only
  --rootless  processes on loopback instead of network namespaces, also as root
  --keep-lab  leave the lab running when the app ends
  --dir       where the lab lies (${defaultDirectory()})
`;

const begun = performance.now();
const seconds = (): string => `${((performance.now() - begun) / 1000).toFixed(1).padStart(5)} s`;
const say = (line: string): void => console.log(`${seconds()}  ${line}`);

function options() {
  try {
    const { values } = parseArgs({
      options: {
        browser: { type: 'boolean' },
        'no-open': { type: 'boolean' },
        rootless: { type: 'boolean' },
        'keep-lab': { type: 'boolean' },
        dir: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    return values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

const asked = options();
const directory = asked.dir ?? defaultDirectory();
const interrupted = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
});

async function main(): Promise<number> {
  if (process.platform !== 'linux') say('The lab runs on Linux only: the app opens without it.');
  else if (asked.rootless !== true && process.getuid?.() === 0) {
    const missing = await ensurePackages('the lab', NAMESPACE_COMMANDS, say);
    if (missing.length > 0) return 1;
  }
  // The page and the shell are built while the nodes boot.
  const bundle = buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']);
  const page = buildPage(project);
  page.catch(() => undefined);
  const electron = asked.browser === true ? null : findElectron(project);
  if (process.platform === 'linux') {
    const up = bringUp(
      { directory, nodes: 3, free: 1, engine: 'totem', rootless: asked.rootless ?? false, bundleDirectory: bundle },
      say,
    );
    const first = await Promise.race([up.then(() => 'up' as const), interrupted.then(() => 'interrupted' as const)]);
    if (first === 'interrupted') {
      await up.catch(() => undefined);
      return end();
    }
  }
  await Promise.all([page, bundle]);
  const shell = await electron;
  if (shell?.kind === 'absent') say(`${shell.reason}: Ringmaster opens in a browser instead, with the same interface.`);
  if (shell?.kind === 'found' && asked['no-open'] !== true) return inElectron(shell.program);
  return inBrowser();
}

async function inElectron(program: string): Promise<number> {
  await buildElectronShell();
  say('The app opens in its own window. Ctrl-C here, or closing the window, ends it.');
  // Chromium's sandbox does not run as root (its own refusal); the page is ours alone and locked down all the same.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const child = spawn(program, [...sandbox, project, `--lab=${directory}`], { stdio: 'inherit' });
  const ended = new Promise<number>((resolve) => {
    child.on('error', () => resolve(1));
    child.on('exit', (code) => resolve(code ?? 0));
  });
  void interrupted.then(() => child.kill());
  const code = await ended;
  await end();
  return code;
}

async function inBrowser(): Promise<number> {
  const settingsDirectory = join(process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'ringmaster');
  const app = new HostApp({
    settingsDirectory,
    knownHostsFile: join(settingsDirectory, 'known_hosts'),
    lab: await openLab(directory),
    bundleDirectory: join(project, 'dist', 'agent'),
    shell: 'browser',
  });
  const server = await serveBrowser(app, { staticDirectory: join(project, 'dist', 'renderer') });
  say('Ringmaster runs in a browser on this machine, at an address that works once:');
  const address = server.address();
  console.log(`\n    ${address}\n`);
  console.log(
    'Enter gives a fresh address, Ctrl-C ends the app' + (asked['keep-lab'] === true ? '.' : ' and its lab.'),
  );
  if (asked['no-open'] !== true && !(await openInBrowser(address))) {
    console.log('No browser could be opened from here: open the address yourself.');
  }
  const lines = createInterface({ input: process.stdin });
  lines.on('line', () => console.log(`\n    ${server.address()}\n`));
  await interrupted;
  lines.close();
  await server.close();
  app.close();
  return end();
}

async function end(): Promise<number> {
  if (asked['keep-lab'] === true) say(`The lab keeps running in ${directory}: "npm run lab -- down" takes it down.`);
  else if (await takeDown(directory, say)) say('The lab is down.');
  return 0;
}

try {
  process.exit(await main());
} catch (error) {
  console.error(`\nRingmaster could not start: ${error instanceof Error ? error.message : String(error)}`);
  // What is up by now is left for a look: the message says where its logs are.
  if (existsSync(join(directory, 'lab.json'))) {
    console.error(`The lab is left as it is, in ${directory}; "npm run lab -- down --dir ${directory}" takes it down.`);
  }
  process.exit(1);
}
