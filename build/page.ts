/** Builds the page into dist/renderer, unless it is there and newer than everything it is made of. */
import { spawn } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What the page is made of. */
const SOURCES = ['renderer/**/*', 'agent/conf/**/*', 'electron/host/api.ts', 'package-lock.json'];

/** Rejects with the builder's words. */
export async function buildPage(project: string): Promise<string> {
  const directory = join(project, 'dist', 'renderer');
  const built = statSync(join(directory, 'index.html'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const changed = globSync(SOURCES, { cwd: project }).some((file) => statSync(join(project, file)).mtimeMs > built);
  if (!changed && built > 0) return directory;
  const vite = join(project, 'node_modules', 'vite', 'bin', 'vite.js');
  if (!existsSync(vite)) throw new Error('vite is not installed: run npm install');
  await new Promise<void>((resolve, reject) => {
    const child = spawn(process.execPath, [vite, 'build', 'renderer', '--logLevel', 'warn'], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let words = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (words += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the page could not be built:\n${words.trim()}`));
    });
  });
  return directory;
}
