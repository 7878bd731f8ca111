/**
 * Where every thread of pmxcfs begins. The agent's file carries this, with what it needs, as a text of its own: a thread
 * that began with the whole agent would take 10 MB more.
 */
import { workerData } from 'node:worker_threads';
import { runKeeperThread } from './fuse-keeper.ts';
import { runFuseThread } from './fuse-thread.ts';
import type { ThreadName } from './start-thread.ts';
import { runStoreThread } from './store-thread.ts';

const threads: Readonly<Record<ThreadName, (data: unknown) => void>> = {
  fuse: runFuseThread,
  'fuse-keeper': runKeeperThread,
  store: runStoreThread,
};

const { ringmasterThread } = workerData as { readonly ringmasterThread: ThreadName }; // set by startThread, nobody else
threads[ringmasterThread](workerData);
