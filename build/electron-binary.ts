/** Electron's binary: npm brings its downloader only, and the download may not be reachable from here. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export type ElectronBinary =
  | { readonly kind: 'found'; readonly program: string }
  /** `reason` is the beginning of a sentence. */
  | { readonly kind: 'absent'; readonly reason: string };

const DOWNLOAD_DEADLINE_MS = 20_000;

const NAMES: Readonly<Record<string, string>> = {
  darwin: 'Electron.app/Contents/MacOS/Electron',
  win32: 'electron.exe',
};

/**
 * Where Electron is, fetching it once where it is not. A fetch that failed is not tried again until
 * the version changes or dist/ is removed, so that each start does not wait for it.
 */
export async function findElectron(project: string): Promise<ElectronBinary> {
  const binary = await findBinary(project);
  if (binary.kind === 'absent' || hasDisplay()) return binary;
  return { kind: 'absent', reason: 'There is no display here for a window of Electron' };
}

const hasDisplay = (): boolean =>
  process.platform !== 'linux' || Boolean(process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY']);

async function findBinary(project: string): Promise<ElectronBinary> {
  const override = process.env['ELECTRON_OVERRIDE_DIST_PATH'];
  const name = NAMES[process.platform] ?? 'electron';
  const home = join(project, 'node_modules', 'electron');
  const program = override === undefined ? join(home, 'dist', name) : join(override, name);
  if (existsSync(program)) return { kind: 'found', program };
  if (override !== undefined) return { kind: 'absent', reason: `There is no Electron in ${override}` };
  if (!existsSync(home)) return { kind: 'absent', reason: 'Electron is not installed' };
  const version = (JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }).version;
  const mark = join(project, 'dist', 'electron-not-fetched');
  const absent = { kind: 'absent', reason: "Electron's binary could not be downloaded" } as const;
  if (existsSync(mark) && readFileSync(mark, 'utf8') === version) return absent;
  await fetchBinary(home);
  if (existsSync(program)) return { kind: 'found', program };
  mkdirSync(dirname(mark), { recursive: true });
  writeFileSync(mark, version);
  return absent;
}

/** Runs Electron's own installer, which npm does not run for us (.npmrc: ignore-scripts). */
function fetchBinary(home: string): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(home, 'install.js')], { stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), DOWNLOAD_DEADLINE_MS);
    child.on('error', () => resolve());
    child.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
