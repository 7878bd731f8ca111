/**
 * Which operations the state already contains, by node and process. Part of the replicated state: an
 * operation whose fate its submitter does not know is looked up here once the members have agreed.
 */
import { Malformed, type ByteReader, type ByteWriter } from '../tree/bytes.ts';
import { nodeId, type NodeId } from '../totem/ids.ts';
import type { SessionRow } from './types.ts';

export class Sessions {
  private readonly rows = new Map<NodeId, SessionRow>();

  constructor(rows: readonly SessionRow[] = []) {
    for (const row of rows) this.rows.set(row.node, row);
  }

  /** Was it applied? What is below the floor was answered, and so it was. */
  contains(node: NodeId, session: number, counter: number): boolean {
    const row = this.rows.get(node);
    return row !== undefined && row.session === session && (counter < row.floor || row.done.includes(counter));
  }

  /** Notes an applied operation and gives the row as it is now. */
  note(node: NodeId, session: number, floor: number, counter: number): SessionRow {
    const before = this.rows.get(node);
    const known = before?.session === session ? before : { floor: 0, done: [] };
    const lowest = Math.max(known.floor, floor);
    const done = [...known.done.filter((each) => each >= lowest), counter].sort((left, right) => left - right);
    const row: SessionRow = { node, session, floor: lowest, done };
    this.rows.set(node, row);
    return row;
  }

  /** In ascending node id. */
  all(): SessionRow[] {
    return [...this.rows.values()].sort((left, right) => left.node - right.node);
  }
}

export function writeSessions(out: ByteWriter, rows: readonly SessionRow[]): void {
  out.u32(rows.length);
  for (const row of rows) {
    out.u32(row.node);
    out.integer(row.session);
    out.integer(row.floor);
    out.u32(row.done.length);
    for (const counter of row.done) out.integer(counter);
  }
}

export function readNode(input: ByteReader): NodeId {
  const value = input.u32();
  if (value === 0) throw new Malformed('no node has the id 0');
  return nodeId(value);
}

export const readSessions = (input: ByteReader): SessionRow[] =>
  Array.from({ length: input.items(24) }, () => ({
    node: readNode(input),
    session: input.count(),
    floor: input.count(),
    done: Array.from({ length: input.items(8) }, () => input.count()),
  }));
