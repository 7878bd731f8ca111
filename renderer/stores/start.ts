/** Ties the line to the host to the stores. */
import { host, keepConnected } from '../connection/host.ts';
import { useEventLog } from './event-log.ts';
import { useFleet } from './fleet.ts';

export type TreeListener = (clusterId: string, path: string) => void;

const treeListeners = new Set<TreeListener>();

/** Calls `listener` for every path of a cluster's tree that any node changed. Returns how to stop. */
export function onTreeChanged(listener: TreeListener): () => void {
  treeListeners.add(listener);
  return () => treeListeners.delete(listener);
}

/** Call once, after Pinia is there. */
export function startStores(): void {
  const fleet = useFleet();
  const log = useEventLog();
  keepConnected(
    {
      snapshot: (snapshot) => fleet.take(snapshot),
      event: (event) => log.add(event),
      treeChanged: (clusterId, path) => {
        for (const listener of treeListeners) listener(clusterId, path);
      },
    },
    async () => {
      fleet.take(await host.watch());
      log.take(await host.eventLog());
    },
  );
}
