/** The seconds until every node goes back by its own clock. */
import { computed } from 'vue';
import type { ComputedRef } from 'vue';
import type { ClusterView } from '../../electron/host/api.ts';
import { useNow } from '../design/now.ts';

/** Whole seconds; null while nothing waits for a confirmation. */
export function useCountdown(cluster: () => ClusterView | null): ComputedRef<number | null> {
  const now = useNow();
  return computed(() => {
    const open = cluster()?.apply ?? null;
    if (open === null || open.phase !== 'confirm' || open.remainingMs === null) return null;
    // What was left when it was told, less what has passed here since: the clocks of others need not agree with ours.
    return Math.max(0, Math.ceil((open.remainingMs - Math.max(0, now.value - open.atMs)) / 1000));
  });
}
