/**
 * `ringmaster-agent engine`: the bundled membership engine, in the foreground until a signal ends it.
 * Exit codes as Corosync has them (corosync's COROSYNC_DONE_*): 8 for a refused corosync.conf, 15 for
 * an address that is not this machine's.
 */
import { AddressNotLocal } from '../engine/totem/datagrams.ts';
import { ConfRefused, TotemEngine } from '../engine/totem/totem-engine.ts';
import { eventLog } from '../event-log.ts';
import type { NodeLayout } from '../node-layout.ts';

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  const log = eventLog(layout, 'engine');
  if (args.length > 0) {
    process.stderr.write(`engine takes no arguments: it reads ${layout.corosyncConf}\n`);
    return 1;
  }
  const signal = new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
  let engine: TotemEngine;
  try {
    engine = await TotemEngine.start(layout, log);
  } catch (error) {
    log('error', error instanceof Error ? error.message : String(error));
    if (error instanceof ConfRefused) return 8;
    return error instanceof AddressNotLocal ? 15 : 1;
  }
  await signal;
  await engine.stop();
  log('notice', 'this node has left the ring');
  return 0;
}
