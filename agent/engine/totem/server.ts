/** The Unix socket on which the processes of this node use the engine's groups and see its status. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { EngineStatus, ReloadReport } from '../engine.ts';
import { ALIVE_INTERVAL, type EngineRequest, type EngineTold } from './calls.ts';
import { FrameReader, FrameWriter, type Frame } from './frames.ts';
import type { GroupEvent } from './groups.ts';

/** Bytes waiting for the ring above which clients are not read, and below which they are again. */
const PAUSE_ABOVE = 4 * 1024 * 1024;
const RESUME_BELOW = 1024 * 1024;
/** A client that lets this much pile up is cut off: the ring cannot wait for one process. */
const MOST_UNREAD = 64 * 1024 * 1024;
/** CPG_MAX_NAME_LENGTH (cpg.h) is 128. */
const LONGEST_GROUP = 128;

/** What the server needs of the engine. */
export interface EngineCore {
  status(): EngineStatus;
  join(group: string): void;
  leave(group: string): void;
  /** A message of a group that the client is in, in the form of group-message.ts. */
  multicast(message: Uint8Array): void;
  /** Bytes that wait for the ring. */
  waiting(): number;
  setExpectedVotes(votes: number): void;
  reload(): Promise<ReloadReport>;
}

type Log = (severity: 'notice' | 'warning' | 'error', message: string) => void;

interface Client {
  readonly socket: Socket;
  readonly writer: FrameWriter;
  /** Groups asked for; true once its own join has been delivered. */
  readonly groups: Map<string, boolean>;
}

export class EngineServer {
  readonly #core: EngineCore;
  readonly #log: Log;
  readonly #clients = new Set<Client>();
  readonly #holders = new Map<string, Client>();
  readonly #unflushed = new Set<Client>();
  #server: Server | null = null;
  #alive: NodeJS.Timeout | null = null;
  #paused = false;

  constructor(core: EngineCore, log: Log) {
    this.#core = core;
    this.#log = log;
  }

  async listen(path: string): Promise<void> {
    mkdirSync(dirname(path), { recursive: true });
    // Left by a crash: a living engine would hold the UDP port, which is bound before.
    rmSync(path, { force: true });
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    this.#alive = setInterval(() => {
      for (const client of this.#clients) this.#tell(client, { kind: 'alive' });
      this.flush();
    }, ALIVE_INTERVAL);
  }

  close(): void {
    clearInterval(this.#alive ?? undefined);
    this.#server?.close();
    for (const client of this.#clients) client.socket.destroy();
  }

  pushStatus(): void {
    if (this.#clients.size === 0) return;
    const status = this.#core.status();
    for (const client of this.#clients) this.#tell(client, { kind: 'status', status });
  }

  /** An event of a group, in the ring's order. */
  push(event: GroupEvent): void {
    const holder = this.#holders.get(event.group);
    if (holder === undefined) return;
    if (event.kind === 'view') {
      const self = this.#core.status().localNode;
      if (event.view.joined.includes(self)) holder.groups.set(event.group, true);
      if (holder.groups.get(event.group) !== true) return;
      this.#tell(holder, { kind: 'view', group: event.group, view: event.view });
    } else if (holder.groups.get(event.group) === true) {
      holder.writer.message(event.sender, event.message);
      this.#unflushed.add(holder);
    }
  }

  /** To be called when a step of the ring is over: what it delivered leaves together. */
  flush(): void {
    if (this.#unflushed.size === 0) return;
    for (const client of this.#unflushed) {
      client.writer.flush();
      this.#cutOffIfDeaf(client);
    }
    this.#unflushed.clear();
  }

  /** To be called when the ring has taken payloads: clients that were held back are read again. */
  relieve(): void {
    if (!this.#paused || this.#core.waiting() > RESUME_BELOW) return;
    this.#paused = false;
    for (const client of this.#clients) client.socket.resume();
  }

  #accept(socket: Socket): void {
    const client: Client = { socket, writer: new FrameWriter(socket), groups: new Map() };
    const reader = new FrameReader();
    this.#clients.add(client);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#gone(client));
    socket.on('data', (chunk) => {
      try {
        for (const frame of reader.read(chunk)) this.#take(client, frame);
      } catch (error) {
        this.#log('warning', `a client was cut off: ${error instanceof Error ? error.message : String(error)}`);
        socket.destroy();
        return;
      }
      if (this.#core.waiting() > PAUSE_ABOVE) {
        this.#paused = true;
        for (const other of this.#clients) other.socket.pause();
      }
    });
    this.#tell(client, { kind: 'status', status: this.#core.status() });
    if (this.#paused) socket.pause();
  }

  #gone(client: Client): void {
    this.#clients.delete(client);
    for (const group of client.groups.keys()) this.#release(client, group);
  }

  #release(client: Client, group: string): void {
    client.groups.delete(group);
    if (this.#holders.get(group) !== client) return;
    this.#holders.delete(group);
    this.#core.leave(group);
  }

  #take(client: Client, frame: Frame): void {
    if (frame.kind === 'data') {
      if (!client.groups.has(frame.group)) throw new Error(`it sent to the group ${frame.group} that it is not in`);
      this.#core.multicast(frame.message);
      return;
    }
    const request = frame.value as EngineRequest; // our own client's; each field is checked where it is used
    const answer = (error: unknown, report: ReloadReport | null = null): void => {
      const words = error === null ? null : error instanceof Error ? error.message : String(error);
      this.#tell(client, { kind: 'answer', id: request.id, error: words, report });
    };
    this.#call(client, request).then((report) => answer(null, report), answer);
  }

  async #call(client: Client, request: EngineRequest): Promise<ReloadReport | null> {
    switch (request.call) {
      case 'join': {
        const { group } = request;
        if (typeof group !== 'string' || group === '' || Buffer.byteLength(group) > LONGEST_GROUP)
          throw new Error(`a group's name has 1 to ${LONGEST_GROUP} bytes`);
        if (this.#holders.has(group)) throw new Error(`another process of this node is in the group ${group}`);
        this.#holders.set(group, client);
        client.groups.set(group, false);
        this.#core.join(group);
        return null;
      }
      case 'leave':
        this.#release(client, request.group);
        return null;
      case 'expected':
        this.#core.setExpectedVotes(request.votes);
        return null;
      case 'reload':
        return this.#core.reload();
      default:
        throw new Error('the engine does not know this call: agent and engine are of different versions');
    }
  }

  #tell(client: Client, told: EngineTold): void {
    if (client.socket.destroyed) return;
    client.writer.json(told);
    this.#cutOffIfDeaf(client);
  }

  #cutOffIfDeaf(client: Client): void {
    if (client.socket.destroyed || client.writer.unwritten < MOST_UNREAD) return;
    this.#log('error', 'a client does not read what its group delivers and was cut off');
    client.socket.destroy();
  }
}
