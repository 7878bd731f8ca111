/**
 * The thread that ends waiting: when the replicating thread is blocked (a disk that hangs) or an operation is
 * lost (an engine that is stopped), nobody else would ever answer the process that waits for it. It also looks who
 * watches the mount.
 */
import { parentPort } from 'node:worker_threads';
import { reply } from './fuse/device-writes.ts';
import type { FromKeeping, KeepingData } from './fuse/messages.ts';
import { failure } from './fuse/protocol.ts';
import { sharedNow, Waiting } from './fuse/waiting.ts';
import { lookForWatchers } from './watchers/watched.ts';

const LOOK_MS = 200;

/** `data` is the Worker's workerData. */
export function runKeeperThread(data: unknown): void {
  const { fd, waiting, device } = data as KeepingData; // set by fuse-mount.ts, nobody else
  const table = new Waiting(waiting);
  const tell = (message: FromKeeping): void => parentPort?.postMessage(message);
  setInterval(() => {
    for (const { unique, errno } of table.overdue(sharedNow())) {
      reply(fd, failure(unique, errno));
      tell({ kind: 'given-up', unique });
    }
  }, LOOK_MS);
  if (device === null) return;
  lookForWatchers(device, (watched) => tell({ kind: 'watched', watched }));
}
