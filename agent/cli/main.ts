/** The agent's one entry: `ringmaster-agent COMMAND [ARGS]`. One bundled file serves every command. */
import { nodeLayout } from '../node-layout.ts';
import type { NodeLayout } from '../node-layout.ts';

interface Command {
  /** Runs the command and resolves to its exit code. */
  run(args: string[], layout: NodeLayout): Promise<number>;
}

const commands: Readonly<Record<string, () => Promise<Command>>> = {
  pvecm: () => import('./pvecm.ts'),
  pmxcfs: () => import('./pmxcfs.ts'),
  engine: () => import('./engine.ts'),
  supervise: () => import('./supervise.ts'),
  rpc: () => import('./rpc.ts'),
  install: () => import('./install.ts'),
  uninstall: () => import('./uninstall.ts'),
  version: () => import('./version.ts'),
};

async function main(): Promise<void> {
  const [name = '', ...args] = process.argv.slice(2);
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    process.stderr.write(`usage: ringmaster-agent ${Object.keys(commands).join('|')} [arguments]\n`);
    process.exitCode = 2;
    return;
  }
  try {
    const command = await load();
    const code = await command.run(args, nodeLayout());
    // What a command left open (a lingering socket) must not keep it from ending.
    process.stdout.write('', () => process.exit(code));
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env['RINGMASTER_TRACE'] !== undefined && error instanceof Error) {
      process.stderr.write(`${error.stack ?? ''}\n`);
    }
    process.exit(1);
  }
}

await main();
