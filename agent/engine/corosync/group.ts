/** One CPG group: its own connection, and events held back until quorum is settled for their ring. */
import { nodeId, sameRing, type NodeId, type RingId } from '../../totem/ids.ts';
import { EngineDown, type Delivery, type Group, type Unsubscribe, type View } from '../engine.ts';
import { Listeners } from '../listeners.ts';
import { CS, type Opened } from './corosync-calls.ts';
import { Assembly } from './fragments.ts';
import type { Corosync } from './libraries.ts';
import { CPG_REASON, type CpgEvents, type CpgProcess } from './library-cpg.ts';
import { Outbox } from './outbox.ts';

/** Largest payload, in bytes, as with the bundled engine. */
const LARGEST_PAYLOAD = 1024 * 1024 + 64 * 1024;
/** After this long without word of quorum for a ring, its events go out with the status as it is. Milliseconds. */
const SETTLE_MS = 1500;
/** cpg_join is refused while a ring is formed, and nothing tells when it would not be: asked again after this. Milliseconds. */
const JOIN_AGAIN_MS = 50;

const GONE = 'Corosync is gone';

type GroupEvent =
  { readonly kind: 'deliver'; readonly message: Delivery } | { readonly kind: 'view'; readonly view: View };

export interface GroupPorts {
  /** The ring for which quorum is settled. */
  settledRing(): RingId | null;
  /** There is something to be done in `step`. */
  wake(): void;
  /** The group was left. */
  forget(): void;
}

export class CpgGroup implements Group {
  readonly name: string;
  readonly #ports: GroupPorts;
  readonly #deliveries = new Listeners<Delivery>();
  readonly #views = new Listeners<View>();
  readonly #connections = new Listeners<boolean>();
  readonly #outbox: Outbox;
  readonly #assembly = new Assembly();
  #connection: Opened | null = null;
  #corosync: Corosync | null = null;
  #largest = 0;
  #joined = false;
  #members: readonly NodeId[] = [];
  #ring: RingId | null = null;
  /** Who came and went since the last view. */
  #came = new Set<NodeId>();
  #went = new Set<NodeId>();
  #heldSince = 0;
  #held: GroupEvent[] = [];
  #left = false;

  constructor(name: string, ports: GroupPorts) {
    this.name = name;
    this.#ports = ports;
    this.#outbox = new Outbox(
      ([kind, bytes]) => {
        const { handle } = this.#connection ?? { handle: null };
        return handle === null ? CS.library : (this.#corosync?.cpg.mcast(handle, kind, bytes) ?? CS.library);
      },
      () => this.#largest,
    );
  }

  get fd(): number | null {
    return this.#connection?.fd ?? null;
  }
  /** In so many milliseconds `step` has something to do even if nothing comes; null: no. */
  get dueIn(): number | null {
    if (!this.#joined) return this.#left ? null : JOIN_AGAIN_MS;
    return this.#held.length === 0 ? null : Math.max(0, this.#heldSince + SETTLE_MS - performance.now());
  }

  onDeliver(handler: (message: Delivery) => void): Unsubscribe {
    return this.#deliveries.add(handler);
  }
  onView(handler: (view: View) => void): Unsubscribe {
    return this.#views.add(handler);
  }
  onConnection(handler: (connected: boolean) => void): Unsubscribe {
    return this.#connections.add(handler);
  }

  multicast(payload: Uint8Array): Promise<void> {
    if (!this.#joined) return Promise.reject(new EngineDown(GONE));
    if (payload.length > LARGEST_PAYLOAD)
      return Promise.reject(new RangeError(`a group message has at most ${LARGEST_PAYLOAD} bytes`));
    return this.#outbox.put(payload);
  }

  leave(): Promise<void> {
    this.#left = true;
    this.#ports.forget();
    if (this.#connection !== null && this.#joined) this.#corosync?.cpg.leave(this.#connection.handle, this.name);
    this.#drop('the group was left');
    this.#ports.wake();
    return Promise.resolve();
  }

  /** Connects and joins where that is still to do. */
  enter(corosync: Corosync): void {
    if (this.#left) return;
    this.#corosync = corosync;
    if (this.#connection === null) {
      const opened = corosync.cpg.open(this.#events());
      if ('error' in opened) return;
      this.#connection = opened;
      this.#largest = corosync.cpg.largest(opened.handle);
    }
    if (this.#joined) return;
    const code = corosync.cpg.join(this.#connection.handle, this.name);
    if (code === CS.tryAgain) return;
    if (code !== CS.ok) return this.#drop(GONE);
    this.#joined = true;
    this.#connections.call(true);
  }

  /** Enters, and takes what has come. */
  step(corosync: Corosync): void {
    this.enter(corosync);
    if (this.#connection === null || !this.#joined) return;
    const code = corosync.cpg.dispatch(this.#connection.handle);
    if (code !== CS.ok && code !== CS.tryAgain) return this.lost();
    if (this.#held.length > 0 && performance.now() - this.#heldSince >= SETTLE_MS) this.#release();
  }

  /** Quorum was settled for a ring: what waited for it goes out. */
  settled(): void {
    if (this.#isSettled()) this.#release();
  }

  #isSettled(): boolean {
    const settled = this.#ports.settledRing();
    return this.#ring === null || (settled !== null && sameRing(settled, this.#ring));
  }

  lost(): void {
    const was = this.#joined;
    this.#drop(GONE);
    if (was) this.#connections.call(false);
  }

  #drop(reason: string): void {
    this.#connection?.close();
    this.#connection = null;
    this.#joined = false;
    this.#members = [];
    this.#ring = null;
    this.#came.clear();
    this.#went.clear();
    this.#held = [];
    this.#assembly.view();
    this.#outbox.fail(reason);
  }

  #events(): CpgEvents {
    return {
      deliver: (sender, bytes, pid) => this.#deliver(nodeId(sender), bytes, pid),
      confchg: (members, left, joined) => this.#changed(members, left, joined),
      ring: (representative, sequence) => {
        const ring = { representative: nodeId(representative), sequence };
        if (this.#ring !== null && sameRing(ring, this.#ring) && this.#came.size + this.#went.size === 0) return;
        this.#ring = ring;
        // The group may be as it was, and still this is a new view: its ring is another.
        this.#view();
      },
    };
  }

  #deliver(sender: NodeId, bytes: Uint8Array, pid: number): void {
    const payload = this.#assembly.take(sender, bytes);
    if (payload === null) return;
    if (pid === process.pid) this.#outbox.returned(payload);
    this.#push({ kind: 'deliver', message: { sender, payload } });
  }

  #changed(members: readonly CpgProcess[], left: readonly CpgProcess[], joined: readonly CpgProcess[]): void {
    const here = new Set(members.map(({ nodeid }) => nodeId(nodeid)));
    for (const { nodeid } of left) {
      const node = nodeId(nodeid);
      // One of several processes of a node: the node stays.
      if (here.has(node) && !joined.some((one) => one.nodeid === nodeid)) continue;
      this.#came.delete(node);
      this.#went.add(node);
    }
    for (const { nodeid } of joined) this.#came.add(nodeId(nodeid));
    this.#members = [...here].sort((a, b) => a - b);
    // Nodes come and go with a new ring, and CPG tells of that right after the lists of all groups (exec/cpg.c,
    // cpg_sync_activate): one view, under the new ring's id, which is what all members of the new ring see.
    const newRing = [...left, ...joined].some(
      ({ reason }) => reason === CPG_REASON.nodeDown || reason === CPG_REASON.nodeUp,
    );
    if (!newRing) this.#view();
  }

  #view(): void {
    // Before the first ring is known or without us in the group there is no view to speak of.
    if (this.#ring === null || this.#members.length === 0) return;
    const ascending = (nodes: ReadonlySet<NodeId>): NodeId[] => [...nodes].sort((a, b) => a - b);
    const [joined, left] = [ascending(this.#came), ascending(this.#went)];
    this.#came.clear();
    this.#went.clear();
    this.#assembly.view();
    this.#push({ kind: 'view', view: { ringId: this.#ring, members: this.#members, joined, left } });
    this.#outbox.view();
  }

  #push(event: GroupEvent): void {
    if (this.#held.length === 0) this.#heldSince = performance.now();
    this.#held.push(event);
    if (this.#isSettled()) this.#release();
  }

  #release(): void {
    for (const event of this.#held.splice(0)) this.#tell(event);
  }

  #tell(event: GroupEvent): void {
    if (event.kind === 'deliver') this.#deliveries.call(event.message);
    else this.#views.call(event.view);
  }
}
