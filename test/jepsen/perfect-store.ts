/** Histories of a store without a fault, as the clients would have seen it: what checkers must find good. */
import type { Chance } from '../sim/chance.ts';
import { FIRST_VALUE } from './checkers/register-linearizable.ts';
import type { Action, Final, History, NetworkEvent, Operation, Outcome, Place, ReadMode } from './history.ts';

const NODES = ['pve1', 'pve2', 'pve3', 'pve4', 'pve5'];
const GUESTS = ['100', '101'];
/** Alone for a while, and so refused what it asks for. */
const CUT_OFF = 'pve5';
const CUT: readonly [number, number] = [2_000, 3_000];
const END = 6_000;

type Refusal = 'EEXIST' | 'ENOENT' | 'EACCES';

/** All that is known, in order, so that a node may lag behind. */
class Store {
  readonly registers: string[] = [FIRST_VALUE];
  readonly log: string[] = [];
  readonly created = new Map<string, string>();
  readonly locks = new Set<string>();
  readonly guests = new Map(GUESTS.map((guest) => [guest, `nodes/pve1/lxc/${guest}.conf`]));
  /** By node, how far its local reads have come. */
  readonly #seen = new Map<string, { register: number; log: number }>();

  do(action: Action, node: string, chance: Chance): Outcome | Refusal | null {
    switch (action.f) {
      case 'write':
        this.registers.push(action.value);
        return null;
      case 'append':
        this.log.push(action.value);
        return null;
      case 'read':
        return {
          read: { kind: 'whole', id: this.registers[this.#place(node, action.mode, 'register', chance)] ?? '' },
        };
      case 'readRecords':
        return { records: { ids: this.log.slice(0, this.#place(node, action.mode, 'log', chance) + 1), torn: null } };
      case 'create':
        if (this.created.has(action.key)) return 'EEXIST';
        this.created.set(action.key, action.value);
        return { contents: true };
      case 'lock':
        if (this.locks.has(action.key)) return 'EEXIST';
        this.locks.add(action.key);
        return null;
      case 'unlock':
        return this.locks.delete(action.key) ? null : 'ENOENT';
      case 'move':
        if (this.guests.get(action.key) !== action.from) return 'ENOENT';
        this.guests.set(action.key, action.to);
        return null;
      case 'clone':
        return 'EEXIST';
      case 'locate':
        return { places: this.places() };
    }
  }

  places(): Record<string, Place[]> {
    return Object.fromEntries([...this.guests].map(([guest, place]) => [guest, [place]]));
  }

  #place(node: string, mode: ReadMode, what: 'register' | 'log', chance: Chance): number {
    const last = (what === 'register' ? this.registers : this.log).length - 1;
    const seen = this.#seen.get(node) ?? { register: 0, log: -1 };
    this.#seen.set(node, seen);
    const behind = mode === 'local' && chance.happens(0.3) ? chance.below(3) : 0;
    return (seen[what] = Math.max(seen[what], last - behind));
  }
}

interface Client {
  readonly process: string;
  readonly node: string;
  next: number;
  serial: number;
  holds: string | null;
}

export function perfectHistory(chance: Chance): History {
  const store = new Store();
  const placed = Object.fromEntries(store.guests);
  const operations: Operation[] = [];
  const clients = NODES.flatMap((node) =>
    [0, 1].map((number): Client => ({
      process: `${node}.${number}`,
      node,
      next: chance.below(50),
      serial: 0,
      holds: null,
    })),
  );
  /** Effects in the order of the instants at which they happen. */
  const due: { readonly at: number; readonly happen: () => void }[] = [];
  const begin = (client: Client): void => {
    const action = choose(client, store, chance);
    const begun = client.next;
    const at = begun + 1 + chance.below(20);
    client.next = at + 1 + chance.below(20);
    const ended = client.next;
    due.push({
      at,
      happen: () => {
        const cut = client.node === CUT_OFF && ended > CUT[0] && begun < CUT[1];
        const asks = !('mode' in action) || action.mode !== 'local';
        const unknown = chance.happens(0.03) && action.f !== 'lock' && action.f !== 'unlock';
        const lost = (unknown && chance.happens(0.5)) || (cut && asks);
        const came = lost ? ('EACCES' as const) : store.do(action, client.node, chance);
        const refused = typeof came === 'string';
        if (action.f === 'lock' && !refused) client.holds = action.key;
        if (action.f === 'unlock' && !refused) client.holds = null;
        operations.push({
          ...{ process: client.process, node: client.node, action, begun, mount: 1 },
          ended: unknown && !(cut && asks) ? Infinity : ended,
          type: unknown && !(cut && asks) ? 'info' : refused ? 'fail' : 'ok',
          error: refused ? came : unknown ? 'EIO' : '',
          outcome: refused || unknown ? null : came,
        });
        client.next = ended + chance.below(60);
      },
    });
  };
  clients.forEach(begin);
  for (;;) {
    due.sort((left, right) => left.at - right.at);
    const next = due.shift();
    if (next === undefined || next.at > END) break;
    const before = operations.length;
    next.happen();
    const done = operations[before];
    const client = clients.find(({ process }) => process === done?.process);
    if (client !== undefined) begin(client);
  }
  operations.sort((left, right) => left.begun - right.begun);
  return { placed, operations, network: network(), faults: [], finals: NODES.map((node) => final(node, store)) };
}

function choose(client: Client, store: Store, chance: Chance): Action {
  client.serial += 1;
  const value = `${client.process}.${client.serial}`;
  const mode = (['local', 'fresh', 'settled'] as const)[chance.below(3)] ?? 'local';
  if (client.holds !== null) return { f: 'unlock', key: client.holds };
  const key = GUESTS[chance.below(GUESTS.length)] ?? '';
  const to = `nodes/${NODES[chance.below(NODES.length)]}/qemu-server/${key}.conf`;
  switch (chance.below(10)) {
    case 0:
    case 1:
      return { f: 'write', key: 'r0', value, way: 'rename' };
    case 2:
      return { f: 'append', key: 'a0', value };
    case 3:
      return { f: 'readRecords', key: 'a0', mode };
    case 4:
      return { f: 'create', key: `x${Math.floor(client.next / 200)}`, value };
    case 5:
      return { f: 'lock', key: 'j0' };
    case 6:
      return { f: 'move', key, from: store.guests.get(key) ?? '', to };
    case 7:
      return chance.happens(0.5) ? { f: 'clone', key, to } : { f: 'locate', mode };
    default:
      return { f: 'read', key: 'r0', mode };
  }
}

function network(): NetworkEvent[] {
  const event = (time: number, sides: readonly (readonly string[])[]): NetworkEvent => ({
    ...{ type: 'network', time, done: time, sides, oneWay: false },
  });
  const others = NODES.filter((node) => node !== CUT_OFF);
  return [event(0, [NODES]), event(CUT[0], [[CUT_OFF], others]), event(CUT[1], [NODES])];
}

const final = (node: string, store: Store): Final => ({
  node,
  registers: { r0: { kind: 'whole', id: store.registers.at(-1) ?? '' } },
  logs: { a0: { ids: store.log, torn: null } },
  created: Object.fromEntries(store.created),
  guests: store.places(),
  digest: 'same',
});
