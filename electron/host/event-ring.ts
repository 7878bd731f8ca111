/** The newest events of all hosts, and the app's own, in the order they arrived. */
import type { EventEntry } from '../../agent/rpc/api.ts';
import type { HostEvent } from './api.ts';

const MOST = 1000;

export interface EventRing {
  /** Adds an event; null when this host's event is there already (a reconnect tells the past again). */
  add(hostId: string, hostName: string, entry: EventEntry): HostEvent | null;
  /** Oldest first, by the clocks of the hosts. */
  all(): HostEvent[];
}

/** An empty ring of at most 1000 events. */
export function eventRing(): EventRing {
  let events: HostEvent[] = [];
  const seen = new Set<string>();
  let nextId = 1;
  const key = (hostId: string, entry: EventEntry): string =>
    `${hostId}\0${entry.timeMs}\0${entry.source}\0${entry.message}`;
  return {
    add: (hostId, hostName, entry) => {
      if (seen.has(key(hostId, entry))) return null;
      seen.add(key(hostId, entry));
      const { timeMs, severity, source, message } = entry;
      const event: HostEvent = { id: nextId++, hostId, hostName, timeMs, severity, source, message };
      events.push(event);
      if (events.length > MOST + 100) {
        for (const old of events.slice(0, -MOST)) seen.delete(key(old.hostId, old));
        events = events.slice(-MOST);
      }
      return event;
    },
    all: () => events.slice(-MOST).sort((a, b) => a.timeMs - b.timeMs || a.id - b.id),
  };
}
