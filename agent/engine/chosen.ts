/**
 * The engine that this node uses, whichever that is: a process that lives on it changes over with its node and does not
 * end. To its groups a change looks like an engine that was lost and is back.
 */
import {
  EngineDown,
  type Delivery,
  type Engine,
  type EngineKind,
  type EngineStatus,
  type Group,
  type ReloadReport,
  type Unsubscribe,
  type View,
} from './engine.ts';
import { Listeners } from './listeners.ts';

export class ChosenEngine implements Engine {
  readonly #open: (kind: EngineKind) => Engine;
  readonly #listeners = new Listeners<EngineStatus>();
  readonly #groups = new Map<string, ChosenGroup>();
  #kind: EngineKind;
  #engine: Engine;
  #off: Unsubscribe;

  constructor(open: (kind: EngineKind) => Engine, kind: EngineKind) {
    this.#open = open;
    this.#kind = kind;
    this.#engine = open(kind);
    this.#off = this.#engine.onStatus((status) => this.#listeners.call(status));
  }

  /** Leaves the engine of before for this one. Nothing happens where it is this one already. */
  async follow(kind: EngineKind): Promise<void> {
    if (kind === this.#kind) return;
    for (const group of this.#groups.values()) group.detach();
    this.#off();
    await this.#engine.close();
    this.#kind = kind;
    this.#engine = this.#open(kind);
    this.#off = this.#engine.onStatus((status) => this.#listeners.call(status));
    this.#listeners.call(this.#engine.status());
    for (const group of this.#groups.values()) group.attach(await this.#engine.group(group.name));
  }

  status(): EngineStatus {
    return this.#engine.status();
  }

  async group(name: string): Promise<Group> {
    const group = new ChosenGroup(name, () => this.#groups.delete(name));
    group.attach(await this.#engine.group(name));
    this.#groups.set(name, group);
    return group;
  }

  setExpectedVotes(votes: number): Promise<void> {
    return this.#engine.setExpectedVotes(votes);
  }
  reload(): Promise<ReloadReport> {
    return this.#engine.reload();
  }
  readBack(text: string): Promise<readonly string[]> {
    return this.#engine.readBack(text);
  }
  onStatus(handler: (status: EngineStatus) => void): Unsubscribe {
    return this.#listeners.add(handler);
  }

  async close(): Promise<void> {
    this.#off();
    await this.#engine.close();
  }
}

class ChosenGroup implements Group {
  readonly name: string;
  readonly #forget: () => void;
  readonly #deliveries = new Listeners<Delivery>();
  readonly #views = new Listeners<View>();
  readonly #connections = new Listeners<boolean>();
  #group: Group | null = null;
  #offs: Unsubscribe[] = [];
  #watched = false;

  constructor(name: string, forget: () => void) {
    this.name = name;
    this.#forget = forget;
  }

  attach(group: Group): void {
    this.#group = group;
    if (this.#watched) this.#watch(group);
  }

  detach(): void {
    const had = this.#group !== null;
    this.#group = null;
    for (const off of this.#offs.splice(0)) off();
    if (had) this.#connections.call(false);
  }

  multicast(payload: Uint8Array): Promise<void> {
    return (
      this.#group?.multicast(payload) ?? Promise.reject(new EngineDown('the engine of this node is being changed'))
    );
  }
  onDeliver(handler: (message: Delivery) => void): Unsubscribe {
    return this.#deliveries.add(handler);
  }
  /** An engine keeps its first events until its views are listened to; so does this. */
  onView(handler: (view: View) => void): Unsubscribe {
    const off = this.#views.add(handler);
    if (!this.#watched && this.#group !== null) this.#watch(this.#group);
    this.#watched = true;
    return off;
  }
  onConnection(handler: (connected: boolean) => void): Unsubscribe {
    return this.#connections.add(handler);
  }
  async leave(): Promise<void> {
    this.#forget();
    await this.#group?.leave();
  }

  #watch(group: Group): void {
    this.#offs = [
      group.onDeliver((message) => this.#deliveries.call(message)),
      group.onConnection((connected) => this.#connections.call(connected)),
      group.onView((view) => this.#views.call(view)),
    ];
  }
}
