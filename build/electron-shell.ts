/** `npm run build:electron`: bundles the Electron shell and its host into dist/electron. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { BuildOptions } from 'esbuild';

const project = dirname(dirname(fileURLToPath(import.meta.url)));

const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  // A sandboxed preload can only be CommonJS; the main file is the same kind for one way of loading.
  outExtension: { '.js': '.cjs' },
  outdir: join(project, 'dist', 'electron'),
  external: ['electron'],
  legalComments: 'inline',
  logLevel: 'warning',
};

/** Writes dist/electron/main.cjs and dist/electron/preload.cjs. */
export async function buildElectronShell(): Promise<void> {
  await build({
    ...shared,
    entryPoints: [join(project, 'electron', 'main.ts')],
    // Native parts that ssh2 and ws use when they are there, and do without when they are not.
    external: ['electron', '*.node', 'cpu-features', 'bufferutil', 'utf-8-validate'],
    define: { 'import.meta.url': 'bundleUrl', 'import.meta.dirname': '__dirname' },
    banner: { js: `const bundleUrl = require('node:url').pathToFileURL(__filename).href;` },
  });
  await build({ ...shared, entryPoints: [join(project, 'electron', 'preload.ts')] });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildElectronShell();
