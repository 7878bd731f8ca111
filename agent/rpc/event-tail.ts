/** Follows the node's event file, over its rotation too. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { eventFile } from '../event-log.ts';
import type { LoggedEvent } from '../event-log.ts';
import type { NodeLayout } from '../node-layout.ts';

const LOOK_EVERY_MS = 200;

/** Calls `onEvent` for each event recorded from now on. Returns the end of it. */
export function tailEvents(layout: NodeLayout, onEvent: (event: LoggedEvent) => void): () => void {
  const file = eventFile(layout);
  const first = statSync(file, { throwIfNoEntry: false });
  let inode = first?.ino ?? 0;
  let offset = first?.size ?? 0;
  const take = (path: string): void => {
    const { text, end } = readFrom(path, offset);
    offset = end;
    for (const line of text.split('\n')) {
      const event = parseEvent(line);
      if (event !== null) onEvent(event);
    }
  };
  const look = (): void => {
    const now = statSync(file, { throwIfNoEntry: false });
    if (now === undefined) return;
    if (now.ino !== inode) {
      // Set aside: its last lines first, then the new file from its beginning.
      if (inode !== 0 && statSync(`${file}.1`, { throwIfNoEntry: false })?.ino === inode) take(`${file}.1`);
      inode = now.ino;
      offset = 0;
    }
    if (now.size < offset) offset = 0;
    if (now.size > offset) take(file);
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

function readFrom(path: string, offset: number): { text: string; end: number } {
  const descriptor = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    let at = offset;
    for (;;) {
      const chunk = Buffer.alloc(64 * 1024);
      const length = readSync(descriptor, chunk, 0, chunk.length, at);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      at += length;
    }
    // Cut at the last whole line, so that no character is torn in two.
    const all = Buffer.concat(chunks);
    const whole = all.lastIndexOf(0x0a) + 1;
    return { text: all.subarray(0, whole).toString('utf8'), end: offset + whole };
  } finally {
    closeSync(descriptor);
  }
}

function parseEvent(line: string): LoggedEvent | null {
  try {
    return JSON.parse(line) as LoggedEvent;
  } catch {
    return null;
  }
}
