/** What the host last pushed, whole, and which of its clusters the screens show. */
import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { ClusterView, HostView, OperationView, Snapshot } from '../../electron/host/api.ts';

const CHOSEN = 'ringmaster.cluster';

export const useFleet = defineStore('fleet', () => {
  const snapshot = shallowRef<Snapshot | null>(null);
  const chosen = ref<string | null>(localStorage.getItem(CHOSEN));

  const hosts = computed<readonly HostView[]>(() => snapshot.value?.hosts ?? []);
  const clusters = computed<readonly ClusterView[]>(() => snapshot.value?.clusters ?? []);
  const operations = computed<readonly OperationView[]>(() => snapshot.value?.operations ?? []);
  const lab = computed(() => snapshot.value?.lab ?? null);
  const freeHosts = computed(() => hosts.value.filter(({ clusterId }) => clusterId === null));

  /** The cluster on the screen: the chosen one, or the first. */
  const cluster = computed<ClusterView | null>(
    () => clusters.value.find(({ id }) => id === chosen.value) ?? clusters.value[0] ?? null,
  );

  /** Hosts with work for the user: a key to approve, a secret to give, an agent to install. */
  const waiting = computed(() => hosts.value.filter(needsUser));

  function choose(id: string): void {
    chosen.value = id;
    localStorage.setItem(CHOSEN, id);
  }

  function host(id: string | null): HostView | null {
    return hosts.value.find((one) => one.id === id) ?? null;
  }

  function operation(id: string): OperationView | null {
    return operations.value.find((one) => one.id === id) ?? null;
  }

  function take(fresh: Snapshot): void {
    snapshot.value = fresh;
  }

  return {
    snapshot,
    hosts,
    clusters,
    operations,
    lab,
    freeHosts,
    cluster,
    waiting,
    choose,
    host,
    operation,
    take,
  };
});

/** Can the host go on only when the user does something? */
export function needsUser({ connection }: HostView): boolean {
  return (
    connection.kind === 'unknown-key' || connection.kind === 'changed-key' || connection.kind === 'needs-credentials'
  );
}
