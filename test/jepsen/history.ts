/**
 * What happened, as the clients and the nemesis saw it: JSON lines with `invoke`, then `ok`, `fail` or `info`.
 * `fail`: certainly not done. `info`: it may have been done, or may yet be. Times are milliseconds of the machine's
 * one monotonic clock, which all nodes share and no fault touches.
 */
import type { Read, Records } from './client/values.ts';

/** `local`: what the node has. `fresh`: fsync first. `settled`: fsync before and after, and the same both times. */
export type ReadMode = 'local' | 'fresh' | 'settled';

export type Action =
  /** The whole file: by a temporary file renamed over it, or by O_TRUNC and close. */
  | { readonly f: 'write'; readonly key: string; readonly value: string; readonly way: 'rename' | 'truncate' }
  | { readonly f: 'read'; readonly key: string; readonly mode: ReadMode }
  | { readonly f: 'append'; readonly key: string; readonly value: string }
  | { readonly f: 'readRecords'; readonly key: string; readonly mode: ReadMode }
  /** open(2) with O_CREAT and O_EXCL, then its contents. */
  | { readonly f: 'create'; readonly key: string; readonly value: string }
  /** mkdir of priv/lock/KEY. */
  | { readonly f: 'lock'; readonly key: string }
  /** rmdir of it. */
  | { readonly f: 'unlock'; readonly key: string }
  /** rename(2) of a guest's file to another node or type. */
  | { readonly f: 'move'; readonly key: string; readonly from: string; readonly to: string }
  /** A second file for a guest that has one: must be refused always. */
  | { readonly f: 'clone'; readonly key: string; readonly to: string }
  /** Where .vmlist says each guest is. */
  | { readonly f: 'locate'; readonly mode: ReadMode };

export type Place = string;

/** What an action gave; absent where `ok` says it all. */
export type Outcome =
  | { readonly read: Read | null }
  | { readonly records: Records }
  /** Were the contents of an exclusive create acknowledged too? */
  | { readonly contents: boolean }
  /** By guest, every place that was listed for it. */
  | { readonly places: Readonly<Record<string, readonly Place[]>> };

export interface Invoked {
  readonly type: 'invoke';
  readonly time: number;
  readonly process: string;
  readonly node: string;
  readonly action: Action;
}

export interface Completed {
  readonly type: 'ok' | 'fail' | 'info';
  readonly time: number;
  readonly process: string;
  /** An errno. */
  readonly error?: string;
  readonly outcome?: Outcome;
  /** Counts how often the client of this node has found another mount. */
  readonly mount: number;
}

/** `sides`: nodes that reach one another; in force from `done` to the next event of the network. */
export interface NetworkEvent {
  readonly type: 'network';
  readonly time: number;
  readonly done: number;
  readonly sides: readonly (readonly string[])[];
  /** Cuts in one direction: then `sides` says nothing of who reaches whom. */
  readonly oneWay: boolean;
}

export interface FaultEvent {
  readonly type: 'fault';
  readonly time: number;
  readonly fault: string;
  readonly nodes: readonly string[];
  readonly detail: string;
}

export type Event = Invoked | Completed | NetworkEvent | FaultEvent;

/** One action from beginning to end. */
export interface Operation<A extends Action = Action> {
  readonly process: string;
  readonly node: string;
  readonly action: A;
  readonly begun: number;
  /** Infinity where the end is not known: it may take effect at any time. */
  readonly ended: number;
  readonly type: 'ok' | 'fail' | 'info';
  readonly error: string;
  readonly outcome: Outcome | null;
  readonly mount: number;
}

export type Of<F extends Action['f']> = Operation<Extract<Action, { f: F }>>;

export interface History {
  /** Where each guest was before anything. */
  readonly placed: Readonly<Record<string, Place>>;
  readonly operations: readonly Operation[];
  readonly network: readonly NetworkEvent[];
  readonly faults: readonly FaultEvent[];
  /** After everything was healed, what each node has. */
  readonly finals: readonly Final[];
}

export interface Final {
  readonly node: string;
  /** By name; null when it is not there. */
  readonly registers: Readonly<Record<string, Read | null>>;
  readonly logs: Readonly<Record<string, Records>>;
  /** Exclusive creates: by name, what the file holds. */
  readonly created: Readonly<Record<string, string>>;
  readonly guests: Readonly<Record<string, readonly Place[]>>;
  /** Of names and contents of the whole tree. */
  readonly digest: string;
}

/** Pairs invocations with their completions; one without is `info`. */
export function operationsOf(events: readonly Event[]): Operation[] {
  const open = new Map<string, Invoked>();
  const operations: Operation[] = [];
  const add = ({ time, process, node, action }: Invoked, completed: Completed | null): void => {
    const type = completed?.type ?? 'info';
    operations.push({
      ...{ process, node, action, type, begun: time },
      ended: completed === null || type === 'info' ? Infinity : completed.time,
      error: completed?.error ?? (completed === null ? 'no answer' : ''),
      outcome: completed?.outcome ?? null,
      mount: completed?.mount ?? -1,
    });
  };
  for (const event of events) {
    if (event.type === 'invoke') open.set(event.process, event);
    else if (event.type === 'ok' || event.type === 'fail' || event.type === 'info') {
      const begun = open.get(event.process);
      if (begun === undefined) continue;
      open.delete(event.process);
      add(begun, event);
    }
  }
  for (const begun of open.values()) add(begun, null);
  return operations.sort((left, right) => left.begun - right.begun);
}

/** The operations of one kind. */
export function only<F extends Action['f']>(operations: readonly Operation[], ...kinds: readonly F[]): Of<F>[] {
  return operations.filter((each): each is Of<F> => kinds.some((kind) => kind === each.action.f));
}

export function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}

/** One line for a person. */
export function told(operation: Operation): string {
  const { process, action, type, error, begun, ended, outcome } = operation;
  const time = `${begun.toFixed(1)}-${ended === Infinity ? '?' : ended.toFixed(1)}`;
  const gave = outcome === null ? '' : ` ${JSON.stringify(outcome).slice(0, 200)}`;
  return `${time} ${process} ${JSON.stringify(action)} ${type}${error === '' ? '' : ` ${error}`}${gave}`;
}
