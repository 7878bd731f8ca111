/**
 * The process of a rootless node: `node node-daemon.ts DIRECTORY NAME`. It stands for the machine: it
 * serves SSH, and starts what a machine starts when it boots.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownIdentity } from '../identity.ts';
import { labPaths, needNode, needState } from '../state.ts';
import { serveNode } from './ssh-server.ts';

const [directory = '', name = ''] = process.argv.slice(2);
const paths = labPaths(directory);
const state = needState(paths);
const node = needNode(state, name);
const root = paths.node(name);

await serveNode({
  address: node.address,
  port: state.port,
  hostKey: readFileSync(join(root, 'etc/ssh/ssh_host_ed25519_key'), 'utf8'),
  authorizedKey: readFileSync(`${paths.clientKey}.pub`, 'utf8'),
  env: process.env,
  cwd: join(root, 'root'),
});

const pidFile = join(root, 'init.pid');
writeFileSync(`${pidFile}.new`, ownIdentity());
renameSync(`${pidFile}.new`, pidFile);

// A closed terminal is not the end of a machine.
process.on('SIGHUP', () => undefined);
process.on('SIGINT', () => undefined);

const agent = join(root, 'var/lib/ringmaster/current/ringmaster-agent');
if (existsSync(agent)) {
  const supervisor = spawn(agent, ['supervise', '--detach'], { stdio: ['ignore', 'inherit', 'inherit'] });
  supervisor.on('error', (error) => console.error(`the agent could not be started: ${error.message}`));
}
