/** Starts the threads of pmxcfs: from the text in the agent's one file, or in a checkout from their source. */
import { Worker, type ResourceLimits } from 'node:worker_threads';

export type ThreadName = 'fuse' | 'fuse-keeper' | 'store';

/** What build/agent-bundle.ts made of threads.ts; not there in a checkout. */
declare const RINGMASTER_THREADS: string | undefined;

/** `data` is the Worker's workerData. */
export function startThread(data: { readonly ringmasterThread: ThreadName }, resourceLimits: ResourceLimits): Worker {
  const options = { workerData: data, resourceLimits, name: data.ringmasterThread };
  if (typeof RINGMASTER_THREADS === 'undefined') return new Worker(new URL('threads.ts', import.meta.url), options);
  return new Worker(RINGMASTER_THREADS, { ...options, eval: true });
}
