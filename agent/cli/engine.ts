/**
 * `ringmaster-agent engine`: the bundled membership engine, in the foreground until a signal ends it.
 * Exit codes as Corosync has them (corosync's COROSYNC_DONE_*): 8 for a refused corosync.conf, 15 for
 * an address that is not this machine's.
 */
import { journalOf } from '../cluster/apply/journal-file.ts';
import { AddressNotLocal } from '../engine/totem/udp/udp-socket.ts';
import { ConfRefused } from '../engine/totem/own-files.ts';
import { TotemEngine } from '../engine/totem/totem-engine.ts';
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
    engine = await TotemEngine.start(layout, log, { beforeTrial: () => fileBeforeTrial(layout) });
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

/** While an apply is on trial here the file may go back: the one before it, else null. */
function fileBeforeTrial(layout: NodeLayout): string | null {
  const journal = journalOf(layout);
  return journal === null || journal.givenUp ? null : journal.before;
}
