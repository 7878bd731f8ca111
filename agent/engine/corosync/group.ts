/** One CPG group: its own connection, and events held back until quorum is settled for their ring. */
import { nodeId, sameRing, type NodeId, type RingId } from '../../totem/ids.ts';
import { EngineDown, type Delivery, type Group, type Unsubscribe, type View } from '../engine.ts';
import { Listeners } from '../listeners.ts';
import { CS, csError, type Corosync, type CpgEvents, type Handle } from './libraries.ts';

/** libcpg takes at most 1 MiB a message and little more at once (CS_ERR_TRY_AGAIN): wait and repeat. */
const AGAIN_MS = 1;
/** After this long without word of quorum for a ring, its events go out with the status as it is. Milliseconds. */
const SETTLE_MS = 1500;

type GroupEvent =
  { readonly kind: 'deliver'; readonly message: Delivery } | { readonly kind: 'view'; readonly view: View };

export class CpgGroup implements Group {
  readonly name: string;
  readonly #forget: () => void;
  /** The ring for which quorum is settled. */
  readonly #settledRing: () => RingId | null;
  readonly #deliveries = new Listeners<Delivery>();
  readonly #views = new Listeners<View>();
  readonly #connections = new Listeners<boolean>();
  #connection: { handle: Handle; fd: number; close(): void } | null = null;
  #corosync: Corosync | null = null;
  #joined = false;
  #wasUp = false;
  #members: readonly NodeId[] = [];
  #ring: RingId | null = null;
  #heldSince = 0;
  #held: GroupEvent[] = [];
  #left = false;

  constructor(name: string, settledRing: () => RingId | null, forget: () => void) {
    this.name = name;
    this.#settledRing = settledRing;
    this.#forget = forget;
  }

  get fd(): number | null {
    return this.#connection?.fd ?? null;
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

  async multicast(payload: Uint8Array): Promise<void> {
    for (;;) {
      if (this.#connection === null || this.#corosync === null || !this.#joined)
        throw new EngineDown('Corosync is gone');
      const code = this.#corosync.cpg.mcast(this.#connection.handle, payload);
      if (code === CS.ok) return;
      if (code !== CS.tryAgain) throw new EngineDown(csError(code));
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  async leave(): Promise<void> {
    this.#left = true;
    this.#forget();
    if (this.#connection !== null && this.#joined) this.#corosync?.cpg.leave(this.#connection.handle, this.name);
    this.#drop();
  }

  /** Connects and joins where that is still to do, and takes what has come. */
  dispatch(corosync: Corosync): void {
    if (this.#left) return;
    this.#corosync = corosync;
    if (this.#connection === null) {
      const opened = corosync.cpg.open(this.#events());
      if ('error' in opened) return;
      this.#connection = opened;
    }
    if (!this.#joined) {
      const code = corosync.cpg.join(this.#connection.handle, this.name);
      if (code !== CS.ok) return;
      this.#joined = true;
      if (this.#wasUp) this.#connections.call(true);
      this.#wasUp = true;
    }
    const code = corosync.cpg.dispatch(this.#connection.handle);
    if (code !== CS.ok && code !== CS.tryAgain) return this.lost();
    if (this.#held.length > 0 && performance.now() - this.#heldSince > SETTLE_MS) this.#release();
  }

  /** Quorum was settled for a ring: what waited for it goes out. */
  settled(): void {
    if (this.#isSettled()) this.#release();
  }

  #isSettled(): boolean {
    const settled = this.#settledRing();
    return this.#ring === null || (settled !== null && sameRing(settled, this.#ring));
  }

  lost(): void {
    const was = this.#joined;
    this.#drop();
    if (was) this.#connections.call(false);
  }

  #drop(): void {
    this.#connection?.close();
    this.#connection = null;
    this.#joined = false;
    this.#members = [];
    this.#ring = null;
    this.#held = [];
  }

  #events(): CpgEvents {
    return {
      deliver: (sender, payload) => this.#push({ kind: 'deliver', message: { sender: nodeId(sender), payload } }),
      confchg: (members, left, joined) => {
        this.#members = [...new Set(members.map(nodeId))].sort((a, b) => a - b);
        this.#view(joined.map(nodeId), left.map(nodeId));
      },
      ring: (representative, sequence) => {
        const ring = { representative: nodeId(representative), sequence };
        if (this.#ring !== null && sameRing(ring, this.#ring)) return;
        this.#ring = ring;
        // The group may be as it was, and still this is a new view: its ring is another.
        this.#view([], []);
      },
    };
  }

  #view(joined: readonly NodeId[], left: readonly NodeId[]): void {
    // Before the first ring is known or without us in the group there is no view to speak of.
    if (this.#ring === null || this.#members.length === 0) return;
    this.#push({ kind: 'view', view: { ringId: this.#ring, members: this.#members, joined, left } });
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
