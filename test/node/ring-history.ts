/** What one node's group told, in order: views and messages. And what histories of several nodes must have in common. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Delivery, View } from '../../agent/engine/engine.ts';

const HEADER = 8;

type Entry =
  | { readonly kind: 'view'; readonly key: string; readonly members: readonly number[] }
  | { readonly kind: 'message'; readonly line: string };

/** From a view to the next; `next` is null in the last. */
interface Segment {
  readonly view: string;
  readonly next: string | null;
  readonly lines: readonly string[];
}

export class History {
  readonly node: number;
  readonly #entries: Entry[] = [];
  readonly #lines: string[] = [];

  constructor(node: number) {
    this.node = node;
  }

  /** A message that can be told from every other, and of which every bit is known. At least 10 bytes. */
  static compose(node: number, serial: number, size: number): Buffer {
    const payload = Buffer.alloc(Math.max(HEADER + 2, size), (node * 31 + serial) % 251);
    payload.writeUInt32BE(node, 0);
    payload.writeUInt32BE(serial, 4);
    return payload;
  }

  /** One line for one message: sender, serial, size and digest. */
  static line(sender: number, payload: Uint8Array): string {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    const digest = createHash('sha1').update(bytes).digest('hex').slice(0, 12);
    return `${sender}:${bytes.readUInt32BE(4)}:${bytes.length}:${digest}`;
  }

  view({ ringId, members }: View): void {
    const key = `${ringId.representative}.${ringId.sequence} of ${members.join()}`;
    this.#entries.push({ kind: 'view', key, members });
  }
  deliver({ sender, payload }: Delivery): void {
    this.heard(History.line(sender, payload));
  }
  /** A message by its line, from a process that heard it elsewhere. */
  heard(line: string): void {
    this.#entries.push({ kind: 'message', line });
    this.#lines.push(line);
  }

  /** Of the last view; empty before the first. */
  get members(): readonly number[] {
    return this.#entries.findLast((entry) => entry.kind === 'view')?.members ?? [];
  }
  /** Messages heard so far. */
  get length(): number {
    return this.#lines.length;
  }
  since(index: number): readonly string[] {
    return this.#lines.slice(index);
  }
  get views(): number {
    return this.#entries.filter((entry) => entry.kind === 'view').length;
  }

  segments(): Segment[] {
    const segments: { view: string; next: string | null; lines: string[] }[] = [];
    for (const entry of this.#entries) {
      const last = segments.at(-1);
      if (entry.kind === 'message') last?.lines.push(entry.line);
      else {
        if (last !== undefined) last.next = entry.key;
        segments.push({ view: entry.key, next: null, lines: [] });
      }
    }
    return segments;
  }
}

/**
 * Virtual synchrony and total order (DESIGN, invariants 1 to 4), as far as histories show them: who goes together from
 * one view to the next has heard the same in the same order; who is still in a view has heard the beginning of what the
 * others in it have; nobody hears a message twice.
 */
export function assertAgreement(histories: readonly History[]): void {
  for (const history of histories) {
    const lines = history.since(0);
    assert.equal(new Set(lines).size, lines.length, `node ${history.node} heard a message twice`);
  }
  for (const [index, one] of histories.entries()) {
    for (const other of histories.slice(index + 1)) comparePair(one, other);
  }
}

function comparePair(one: History, other: History): void {
  const theirs = new Map(other.segments().map((segment) => [segment.view, segment]));
  for (const mine of one.segments()) {
    const its = theirs.get(mine.view);
    if (its === undefined) continue;
    const where = `nodes ${one.node} and ${other.node} in the view ${mine.view}`;
    if (mine.next === its.next && mine.next !== null) assert.deepEqual(mine.lines, its.lines, where);
    const shorter = Math.min(mine.lines.length, its.lines.length);
    // Who parts ways may have heard less, and nothing else.
    assert.deepEqual(mine.lines.slice(0, shorter), its.lines.slice(0, shorter), where);
  }
}
