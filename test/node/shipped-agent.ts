/** The bundled agent as it runs on nodes: one file, built by `npm run build:agent`, beside what it loads. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import { must } from '../../electron/lab/run.ts';

const project = join(import.meta.dirname, '../..');

/** Unpacks it below `directory`, built anew where sources have changed; gives the file to run with this Node. */
export async function shippedAgent(directory: string): Promise<string> {
  const built = await buildAgentBundle([process.arch === 'arm64' ? 'arm64' : 'x64']);
  const place = join(directory, 'agent');
  mkdirSync(place, { recursive: true });
  await must('tar', ['-xzf', join(built, 'program.tar.gz'), '-C', place]);
  symlinkSync(join(project, 'node_modules'), join(place, 'node_modules'));
  return join(place, 'agent.mjs');
}
