/** `ringmaster-agent version`: the version of this agent, on one line. */
import { agentVersion } from '../cluster/installation.ts';

export function run(): Promise<number> {
  process.stdout.write(`${agentVersion()}\n`);
  return Promise.resolve(0);
}
