/** The bundled engine as other processes of the node use it: over its Unix socket, connected anew after each loss. */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { nodeId } from '../../totem/ids.ts';
import type { NodeLayout } from '../../node-layout.ts';
import { quorumSettingsOf, quorumStatus, startQuorum } from '../../quorum/quorum.ts';
import {
  EngineDown,
  type Delivery,
  type Engine,
  type EngineStatus,
  type Group,
  type ReloadReport,
  type Unsubscribe,
  type View,
} from '../engine.ts';
import { readBackTotem } from '../read-back.ts';
import { engineSettings, localNode } from '../settings.ts';
import { statusFrom } from '../status.ts';
import { ALIVE_INTERVAL, type EngineCall, type EngineTold } from './calls.ts';
import { FrameReader, FrameWriter, type Frame } from './frames.ts';
import { Listeners } from '../listeners.ts';

const RETRY_MS = 200;
/** An engine that says nothing for so many intervals hangs: its ring has long gone on without it. */
const SILENT_INTERVALS = 5;
/** A call that takes longer than this has met an engine that hangs. Milliseconds. */
const CALL_TIMEOUT_MS = 30_000;
/** Largest payload of a group message, in bytes. */
const LARGEST_PAYLOAD = 1024 * 1024 + 64 * 1024;
/** Bytes that the engine has not taken above which a sender waits. */
const MOST_UNTAKEN = 1024 * 1024;

interface Waiting {
  readonly resolve: (report: ReloadReport | null) => void;
  readonly reject: (error: Error) => void;
}

export class TotemClient implements Engine {
  readonly #layout: NodeLayout;
  readonly #statusListeners = new Listeners<EngineStatus>();
  readonly #groups = new Map<string, ClientGroup>();
  readonly #waiting = new Map<number, Waiting>();
  #socket: Socket | null = null;
  #writer: FrameWriter | null = null;
  #taken: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;
  #lastId = 0;
  #reason = 'not asked yet';
  #status: EngineStatus;

  constructor(layout: NodeLayout) {
    this.#layout = layout;
    this.#status = this.#downStatus();
    this.#connect();
  }

  status(): EngineStatus {
    return this.#status;
  }

  onStatus(handler: (status: EngineStatus) => void): Unsubscribe {
    return this.#statusListeners.add(handler);
  }

  async group(name: string): Promise<Group> {
    if (this.#groups.has(name)) throw new Error(`this process is in the group ${name} already`);
    const group = new ClientGroup(name, {
      send: (payload) => this.#send(name, payload),
      leave: async () => {
        this.#groups.delete(name);
        if (this.#socket !== null) await this.#call({ call: 'leave', group: name });
      },
    });
    this.#groups.set(name, group);
    // Not connected yet: the connection joins every group that is here by then.
    if (this.#socket !== null) await this.#join(group);
    return group;
  }

  async setExpectedVotes(votes: number): Promise<void> {
    await this.#call({ call: 'expected', votes });
  }

  async reload(): Promise<ReloadReport> {
    const report = await this.#call({ call: 'reload' });
    if (report === null) throw new Error('the engine answered without a report');
    return report;
  }

  readBack(text: string): Promise<readonly string[]> {
    return Promise.resolve(readBackTotem(text, this.status()));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry ?? undefined);
    const socket = this.#socket;
    this.#writer?.flush();
    this.#socket = null;
    this.#writer = null;
    if (socket === null) return;
    await new Promise<void>((resolve) => socket.end(resolve));
    socket.destroy();
  }

  // --- the connection ---

  #connect(): void {
    const socket = connect(this.#layout.engineSocket);
    const reader = new FrameReader();
    let reason = 'the engine does not run on this node';
    socket.once('connect', () => {
      reason = 'the engine of this node has ended';
      this.#socket = socket;
      this.#writer = new FrameWriter(socket);
    });
    socket.on('data', (chunk) => {
      try {
        for (const frame of reader.read(chunk)) this.#take(frame);
      } catch (error) {
        // What is not a frame: another program listens there. A handler's own error must not be hidden.
        if (
          !(error instanceof SyntaxError) &&
          !(error instanceof Error && error.message.includes('is not one of ours'))
        )
          throw error;
        socket.destroy();
      }
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES') reason = `${this.#layout.engineSocket} may not be opened: this needs root`;
    });
    const watch = this.#watch(socket, () => (reason = 'the engine of this node hangs: it says nothing any more'));
    socket.on('close', () => {
      clearInterval(watch);
      this.#lost(socket, reason);
    });
  }

  /** Breaks off a connection whose engine hangs. Intervals are counted, not time: this process may have been the one that stood still. */
  #watch(socket: Socket, hangs: () => void): NodeJS.Timeout {
    let silent = 0;
    socket.on('data', () => (silent = 0));
    return setInterval(() => {
      silent += 1;
      if (silent <= SILENT_INTERVALS) return;
      hangs();
      socket.destroy();
    }, ALIVE_INTERVAL);
  }

  #lost(socket: Socket, reason: string): void {
    const wasConnected = this.#socket === socket;
    if (wasConnected) {
      this.#socket = null;
      this.#writer = null;
    }
    for (const waiting of this.#waiting.values()) waiting.reject(new EngineDown(reason));
    this.#waiting.clear();
    if (this.#closed) return;
    this.#reason = reason;
    if (wasConnected || this.#status.state.kind !== 'down' || this.#status.state.reason !== reason) {
      this.#status = this.#downStatus();
      this.#statusListeners.call(this.#status);
    }
    if (wasConnected) for (const group of this.#groups.values()) group.connection(false);
    this.#retry = setTimeout(() => this.#connect(), RETRY_MS);
  }

  #take(frame: Frame): void {
    if (frame.kind === 'data') {
      this.#groups.get(frame.group)?.deliver({ sender: nodeId(frame.sender), payload: frame.payload });
      return;
    }
    const told = frame.value as EngineTold; // the engine is of the same version, or its frames say otherwise
    switch (told.kind) {
      case 'status': {
        const first = this.#status.state.kind === 'down';
        this.#status = told.status;
        this.#statusListeners.call(told.status);
        if (first) this.#rejoin();
        return;
      }
      case 'alive':
        return;
      case 'view':
        this.#groups.get(told.group)?.view(told.view);
        return;
      case 'answer': {
        const waiting = this.#waiting.get(told.id);
        this.#waiting.delete(told.id);
        if (told.error === null) waiting?.resolve(told.report);
        else waiting?.reject(new Error(told.error));
      }
    }
  }

  #rejoin(): void {
    for (const group of this.#groups.values()) {
      if (group.joined) continue;
      // Another process may hold the group for a moment, while its predecessor's connection ends.
      this.#join(group).catch((error: unknown) => {
        if (error instanceof EngineDown) return;
        setTimeout(() => this.#rejoin(), RETRY_MS);
      });
    }
  }

  async #join(group: ClientGroup): Promise<void> {
    group.joined = true;
    try {
      await this.#call({ call: 'join', group: group.name });
    } catch (error) {
      group.joined = false;
      throw error;
    }
    group.connection(true);
  }

  #call(call: EngineCall): Promise<ReloadReport | null> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new EngineDown('the engine does not answer'));
      }, CALL_TIMEOUT_MS);
      const done = (then: () => void): void => {
        clearTimeout(timer);
        then();
      };
      this.#waiting.set(id, {
        resolve: (report) => done(() => resolve(report)),
        reject: (error) => done(() => reject(error)),
      });
      const writer = this.#writer;
      if (writer !== null) return writer.json({ ...call, id });
      this.#waiting.delete(id);
      done(() => reject(new EngineDown(this.#reason)));
    });
  }

  /** Resolves at once while the engine keeps up, else when it has taken what waits: it reads no more than it can pass on. */
  #send(group: string, payload: Uint8Array): Promise<void> {
    const socket = this.#socket;
    const writer = this.#writer;
    if (socket === null || writer === null) return Promise.reject(new EngineDown(this.#reason));
    if (payload.length > LARGEST_PAYLOAD)
      return Promise.reject(new RangeError(`a group message has at most ${LARGEST_PAYLOAD} bytes`));
    // What is sent in one turn of the event loop leaves in one write.
    if (!writer.waits) setImmediate(() => writer.flush());
    writer.data(group, payload);
    if (writer.unwritten < MOST_UNTAKEN) return TAKEN;
    writer.flush();
    // All that wait, wait for the same: the engine has taken what is there, or is gone.
    this.#taken ??= new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        socket.off('drain', settle);
        socket.off('close', settle);
        this.#taken = null;
        if (socket.destroyed) reject(new EngineDown(this.#reason));
        else resolve();
      };
      socket.on('drain', settle);
      socket.on('close', settle);
    });
    return this.#taken;
  }

  /** What can be said without the engine: the file's nodes, none of them seen. */
  #downStatus(): EngineStatus {
    const state = { kind: 'down', reason: this.#reason } as const;
    const settings = readSettings(this.#layout.corosyncConf);
    if (settings === null) {
      const quorum = quorumStatus(startQuorum(NO_VOTES));
      const nobody = {
        engine: 'totem',
        clusterName: '',
        configVersion: 0,
        transport: '',
        localNode: nodeId(1),
      } as const;
      return { ...nobody, state, ringId: null, members: [], links: [], quorum };
    }
    const self = localNode(settings.nodes, this.#layout.hostname, new Set())?.nodeId ?? nodeId(1);
    const quorum = quorumStatus(startQuorum(settings.quorum));
    return statusFrom(settings, self, { state, ringId: null, members: [], links: [], quorum });
  }
}

const TAKEN = Promise.resolve();

const NO_VOTES = quorumSettingsOf(new Map());

function readSettings(file: string): ReturnType<typeof settingsOf> {
  try {
    return settingsOf(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
function settingsOf(text: string) {
  const settings = engineSettings(text);
  return settings.ok ? settings.value : null;
}

interface GroupPort {
  send(payload: Uint8Array): Promise<void>;
  leave(): Promise<void>;
}

class ClientGroup implements Group {
  readonly name: string;
  readonly #port: GroupPort;
  readonly #deliveries = new Listeners<Delivery>();
  readonly #views = new Listeners<View>();
  readonly #connections = new Listeners<boolean>();
  /** Events that came before anybody listened: the first view may be in one packet with the answer to join. */
  #early: (() => void)[] | null = [];
  /** Asked for on the present connection. */
  joined = false;

  constructor(name: string, port: GroupPort) {
    this.name = name;
    this.#port = port;
  }
  multicast(payload: Uint8Array): Promise<void> {
    return this.#port.send(payload);
  }
  onDeliver(handler: (message: Delivery) => void): Unsubscribe {
    return this.#deliveries.add(handler);
  }
  onView(handler: (view: View) => void): Unsubscribe {
    // In a microtask, so that a caller can add its other handlers first.
    queueMicrotask(() => {
      const early = this.#early ?? [];
      this.#early = null;
      for (const event of early) event();
    });
    return this.#views.add(handler);
  }
  onConnection(handler: (connected: boolean) => void): Unsubscribe {
    return this.#connections.add(handler);
  }
  leave(): Promise<void> {
    return this.#port.leave();
  }

  deliver(message: Delivery): void {
    if (this.#early !== null) this.#early.push(() => this.#deliveries.call(message));
    else this.#deliveries.call(message);
  }
  view(view: View): void {
    if (this.#early !== null) this.#early.push(() => this.#views.call(view));
    else this.#views.call(view);
  }
  connection(connected: boolean): void {
    if (!connected) this.joined = false;
    this.#connections.call(connected);
  }
}
