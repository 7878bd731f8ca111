/**
 * What the nodes tell each other besides the tree, and keep in memory only: key-value data of each node, and the
 * log of the cluster. No clock, no group inside; `take` and `view` give what is to be multicast.
 */
import * as z from 'zod/mini';
import { clusterLogFile, type LogEntry } from './formats.ts';

/** Entries of the log that are kept; pmxcfs bounds its log too. */
const LOG_ENTRIES = 500;
const LONGEST_MESSAGE = 4096;
const MOST_KEYS = 64;

const logEntry = z.object({
  uid: z.int().check(z.nonnegative()),
  time: z.int().check(z.nonnegative()),
  pri: z.int().check(z.minimum(0), z.maximum(7)),
  tag: z.string().check(z.maxLength(64)),
  pid: z.int().check(z.nonnegative()),
  node: z.string().check(z.maxLength(255)),
  user: z.string().check(z.maxLength(64)),
  msg: z.string().check(z.maxLength(LONGEST_MESSAGE)),
});
const message = z.object({
  node: z.string().check(z.minLength(1), z.maxLength(255)),
  /** The sender's whole data: key to version and value. */
  values: z.record(
    z.string().check(z.maxLength(255)),
    z.tuple([z.int().check(z.nonnegative()), z.string().check(z.maxLength(65_536))]),
  ),
  log: z.array(logEntry).check(z.maxLength(LOG_ENTRIES)),
});
type Message = z.infer<typeof message>;

interface NodeValues {
  readonly node: string;
  readonly values: ReadonlyMap<string, readonly [version: number, value: string]>;
}

/** Newest first; entries of one node and second in the order they were made. */
const newestFirst = (left: LogEntry, right: LogEntry): number =>
  right.time - left.time || (left.node === right.node ? right.uid - left.uid : left.node < right.node ? -1 : 1);

export class SharedStatus {
  readonly #node: string;
  readonly #self: number;
  /** By node id. */
  readonly #nodes = new Map<number, NodeValues>();
  readonly #own = new Map<string, readonly [number, string]>();
  #log: LogEntry[] = [];
  readonly #known = new Set<string>();
  #lastUid = 0;

  constructor(node: string, self: number) {
    this.#node = node;
    this.#self = self;
    this.#nodes.set(self, { node, values: this.#own });
  }

  /** Sets a value of this node; what to multicast. */
  set(key: string, value: string): string {
    if (this.#own.size >= MOST_KEYS && !this.#own.has(key)) throw new Error(`a node has at most ${MOST_KEYS} values`);
    this.#own.set(key, [(this.#own.get(key)?.[0] ?? 0) + 1, value]);
    return this.#message([]);
  }

  /** Adds an entry of this node to the log; what to multicast. */
  note(entry: Omit<LogEntry, 'uid' | 'node'>): string {
    this.#lastUid += 1;
    const whole = { ...entry, msg: entry.msg.slice(0, LONGEST_MESSAGE), uid: this.#lastUid, node: this.#node };
    this.#add(whole);
    return this.#message([whole]);
  }

  /** The members are these node ids; what to multicast, or null. What a node said that is gone is gone too. */
  view(members: readonly number[], joined: readonly number[]): string | null {
    for (const node of this.#nodes.keys()) if (node !== this.#self && !members.includes(node)) this.#nodes.delete(node);
    if (!joined.some((node) => node !== this.#self) && !joined.includes(this.#self)) return null;
    // Everyone says what is its own; one that was here before says the rest, which nobody else may have.
    const tellsAll = Math.min(...members.filter((node) => !joined.includes(node))) === this.#self;
    return this.#message(this.#log.filter(({ node }) => tellsAll || node === this.#node));
  }

  /** A message of another node. False when it is not one, or says nothing new. */
  take(sender: number, payload: string): boolean {
    if (sender === this.#self) return false;
    const parsed = decode(payload);
    if (parsed === null) return false;
    const { node, values, log } = parsed;
    this.#nodes.set(sender, { node, values: new Map(Object.entries(values)) });
    for (const entry of log) this.#add(entry);
    return true;
  }

  get logText(): string {
    return clusterLogFile(this.#log);
  }
  /** By node and key, how often a value was set. */
  versions(): Record<string, Record<string, number>> {
    const found: Record<string, Record<string, number>> = {};
    for (const { node, values } of this.#inOrder())
      found[node] = Object.fromEntries([...values].map(([key, [version]]) => [key, version]));
    return found;
  }
  /** One value of every node that has it, in order of node id. */
  values(key: string): { readonly node: string; readonly value: string }[] {
    return this.#inOrder().flatMap(({ node, values }) => {
      const value = values.get(key)?.[1];
      return value === undefined ? [] : [{ node, value }];
    });
  }

  #inOrder(): NodeValues[] {
    return [...this.#nodes].sort(([left], [right]) => left - right).map(([, values]) => values);
  }

  #message(log: readonly LogEntry[]): string {
    const values = Object.fromEntries([...this.#own].map(([key, [version, value]]) => [key, [version, value]]));
    return JSON.stringify({ node: this.#node, values, log });
  }

  #add(entry: LogEntry): void {
    const key = `${entry.node}\0${entry.pid}\0${entry.uid}\0${entry.time}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#log = [...this.#log, entry].sort(newestFirst);
    for (const old of this.#log.splice(LOG_ENTRIES))
      this.#known.delete(`${old.node}\0${old.pid}\0${old.uid}\0${old.time}`);
  }
}

function decode(payload: string): Message | null {
  try {
    const parsed = message.safeParse(JSON.parse(payload));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
