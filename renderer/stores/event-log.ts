/** Events of all nodes, newest first. */
import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { HostEvent } from '../../electron/host/api.ts';

/** Older ones are dropped from the page. */
const KEPT = 3000;

export const useEventLog = defineStore('event-log', () => {
  const entries = shallowRef<readonly HostEvent[]>([]);
  /** The newest id the user has seen on the Events screen. */
  const seenId = ref(0);

  /** Problems that came since the Events screen was last open. */
  const unseenProblems = computed(
    () => entries.value.filter(({ id, severity }) => id > seenId.value && severity === 'error').length,
  );

  /** The whole log, after each new connection: a restarted host counts from one again. */
  function take(log: readonly HostEvent[]): void {
    entries.value = [...log].sort(newestFirst).slice(0, KEPT);
    const newest = Math.max(0, ...log.map(({ id }) => id));
    if (newest < seenId.value) seenId.value = 0;
  }

  function add(event: HostEvent): void {
    if (entries.value.some(({ id }) => id === event.id)) return;
    entries.value = [event, ...entries.value].sort(newestFirst).slice(0, KEPT);
  }

  function markSeen(): void {
    seenId.value = Math.max(seenId.value, ...entries.value.slice(0, KEPT).map(({ id }) => id));
  }

  return { entries, unseenProblems, take, add, markSeen };
});

/** By the node's clock; what came at the same moment, by arrival. */
const newestFirst = (a: HostEvent, b: HostEvent): number => b.timeMs - a.timeMs || b.id - a.id;
