/**
 * `ringmaster-agent rpc`: the agent's API for the desktop, over standard input and output, run through
 * SSH. Standard output carries the protocol and nothing else. Ends when standard input ends.
 */
import { createBirpc } from 'birpc';
import { jsonLines } from '../json-lines.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { AgentApi, AgentEvents } from '../rpc/api.ts';
import { agentServer } from '../rpc/server.ts';

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  if (args.length > 0) {
    process.stderr.write('rpc: takes no arguments; the desktop speaks to it over standard input and output\n');
    return 2;
  }
  // Whatever a library prints must not get between the protocol's lines.
  console.log = console.error;
  console.info = console.error;
  console.debug = console.error;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const server = agentServer(layout, () => events);
  const channel = jsonLines(process.stdin, process.stdout, (reason) => {
    if (reason !== null) process.stderr.write(`rpc: ${reason.message}\n`);
    end();
  });
  const rpc = createBirpc<AgentEvents, AgentApi>(server.api, {
    ...channel,
    eventNames: ['report', 'event', 'step', 'treeChanged'],
  });
  const gone = (): void => undefined;
  const events: AgentEvents = {
    report: (report) => void rpc.report(report).catch(gone),
    event: (entry) => void rpc.event(entry).catch(gone),
    step: (operation, step) => void rpc.step(operation, step).catch(gone),
    treeChanged: (path) => void rpc.treeChanged(path).catch(gone),
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end);
  await ended;
  rpc.$close();
  await server.close();
  return 0;
}
