/**
 * What happened on this node, one JSON document a line in /var/log/ringmaster/events.jsonl, and in
 * words on standard error (the journal, under systemd). Every daemon of the node appends here.
 */
import { appendFileSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeLayout } from './node-layout.ts';

export type EventSeverity = 'info' | 'notice' | 'warning' | 'error';
export type EventSource = 'engine' | 'pmxcfs' | 'supervisor' | 'cluster';

export interface LoggedEvent {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly severity: EventSeverity;
  readonly source: EventSource;
  readonly message: string;
}

/** The file is set aside as events.jsonl.1 once it is larger than this, in bytes. */
const ROTATE_AT = 1024 * 1024;

export const eventFile = (layout: NodeLayout): string => join(layout.log, 'events.jsonl');

/** A function that records one event. It never throws: a full disk must not stop a daemon. */
export function eventLog(layout: NodeLayout, source: EventSource): (severity: EventSeverity, message: string) => void {
  const file = eventFile(layout);
  return (severity, message) => {
    const event: LoggedEvent = { timeMs: Date.now(), severity, source, message };
    process.stderr.write(`${source}: ${severity}: ${message}\n`);
    try {
      mkdirSync(layout.log, { recursive: true });
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > ROTATE_AT) renameSync(file, `${file}.1`);
      appendFileSync(file, `${JSON.stringify(event)}\n`);
    } catch {
      // Standard error has it already.
    }
  };
}

/** The newest `limit` events, oldest first. Lines cut short by a crash are passed over. */
export function readEvents(layout: NodeLayout, limit: number): LoggedEvent[] {
  const events: LoggedEvent[] = [];
  for (const file of [`${eventFile(layout)}.1`, eventFile(layout)]) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      continue;
    }
    for (const line of text.split('\n')) {
      try {
        if (line !== '') events.push(JSON.parse(line) as LoggedEvent);
      } catch {
        continue;
      }
    }
  }
  return events.slice(-limit);
}
