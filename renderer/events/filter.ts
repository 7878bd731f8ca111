/** Which events are shown. Pure. */
import type { HostEvent } from '../../electron/host/api.ts';

export type Severity = HostEvent['severity'];

/** Value of a choice that leaves nothing out. */
export const ALL = '';

export interface EventFilter {
  text: string;
  node: string;
  source: string;
  atLeast: Severity;
}

export const noFilter = (): EventFilter => ({ text: '', node: ALL, source: ALL, atLeast: 'info' });

const RANK: Readonly<Record<Severity, number>> = { info: 0, notice: 1, warning: 2, error: 3 };

export function matches(event: HostEvent, { text, node, source, atLeast }: EventFilter): boolean {
  if (RANK[event.severity] < RANK[atLeast]) return false;
  if (node !== ALL && event.hostName !== node) return false;
  if (source !== ALL && event.source !== source) return false;
  const words = text.trim().toLowerCase();
  return words === '' || `${event.hostName} ${event.source} ${event.message}`.toLowerCase().includes(words);
}
