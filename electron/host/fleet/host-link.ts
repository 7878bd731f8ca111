/** One host: keeps its SSH connection and its agent's conversation up, and holds what it last said. */
import type { EventEntry, NodeReport, Step } from '../../../agent/rpc/api.ts';
import type { AgentState, ConnectionState, HostAddress } from '../api.ts';
import { asReport } from '../adopt/as-report.ts';
import { askHost } from '../adopt/ask.ts';
import type { AdoptedFacts } from '../adopt/facts.ts';
import { bootstrapAgent, detectAgent, removeAgent } from '../agent/bootstrap.ts';
import { openAgent } from '../agent/client.ts';
import type { AgentClient } from '../agent/client.ts';
import { readManifest } from '../agent/manifest.ts';
import { openConnection, systemKnownHosts } from '../ssh/connection.ts';
import type { ConnectFailure, Secret, SshConnection } from '../ssh/connection.ts';
import { rememberLine } from '../ssh/known-hosts.ts';
import { pausable } from './pause.ts';

export interface LinkEvents {
  /** Connection, agent or report is another now. */
  changed(): void;
  /** Of the host's agent. */
  event(entry: EventEntry): void;
  /** Of the link itself: lost, regained. */
  noted(severity: EventEntry['severity'], message: string): void;
  step(operation: string, step: Step): void;
  treeChanged(path: string): void;
  /** A host without an agent has been looked at. */
  looked(facts: AdoptedFacts): void;
}

export interface LinkOptions {
  readonly id: string;
  readonly host: HostAddress;
  /** The lab's own known_hosts; null for a host of the user's. */
  readonly labKnownHosts: string | null;
  readonly appKnownHosts: string;
  readonly bundleDirectory: string;
  readonly events: LinkEvents;
}

const CONNECT_WITHIN_MS = 10_000;
/** Pauses before the next try, in milliseconds; a lab node is on this machine and comes back soon. */
const PAUSES = [1000, 2000, 4000, 8000, 15_000];
const LAB_PAUSES = [500, 1000, 2000];
const PAST_EVENTS = 200;
/** How often a host without an agent is looked at, in milliseconds: with Corosync on it, and without. */
const ADOPTED_EVERY_MS = 3000;
const ABSENT_EVERY_MS = 15_000;
/** A host that is connected and has not answered for so long is shown by what it said last. */
const STALE_MS = 45_000;
/** Versions and packages are asked for again after so many looks. */
const WHOLE_EVERY = 40;

export class HostLink {
  readonly id: string;
  readonly lab: boolean;
  host: HostAddress;
  connection: ConnectionState = { kind: 'connecting' };
  agent: AgentState = { kind: 'unknown' };
  report: NodeReport | null = null;
  /** When the report came, in milliseconds since 1970. */
  toldMs = 0;
  /** What a host that has Corosync and no agent said last; null where there is none, or the agent answers. */
  adopted: AdoptedFacts | null = null;

  readonly #options: LinkOptions;
  readonly #pause = pausable();
  #ssh: SshConnection | null = null;
  #client: AgentClient | null = null;
  #installing: Promise<unknown> | null = null;
  #secret: Secret | undefined;
  /** The key waiting for approval. */
  #unknownKey: { fingerprint: string; line: string } | null = null;
  #stopped = false;
  #looks = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.id = options.id;
    this.host = options.host;
    this.lab = options.labKnownHosts !== null;
    void this.#run();
  }

  /** The agent to call, or null while there is none. */
  get client(): AgentClient | null {
    return this.#client;
  }

  get ssh(): SshConnection | null {
    return this.#ssh;
  }

  /** Its report is of now, and it can be asked. */
  get reachable(): boolean {
    return this.#client !== null && this.connection.kind === 'connected';
  }

  /** Without an agent, but Corosync on it answers now. */
  get adoptedLive(): boolean {
    const fresh = Date.now() - this.toldMs < STALE_MS;
    return this.adopted !== null && fresh && this.#client === null && this.connection.kind === 'connected';
  }

  /** Looks at a host without an agent now, and not when its time comes. Rejects when it cannot be asked. */
  async look(): Promise<AdoptedFacts | null> {
    if (this.#ssh === null) throw new Error(`${this.host.name} is not connected.`);
    return this.#look(this.#ssh);
  }

  /** Tries at once. A connection that is up stays up. */
  reconnect(): void {
    if (this.#ssh === null) this.#setConnection({ kind: 'connecting' });
    this.#pause.wake();
  }

  giveSecret(value: string): void {
    if (this.connection.kind !== 'needs-credentials') throw new Error(`${this.host.name} asks for no secret now.`);
    this.#secret = { for: this.connection.want, value };
    this.reconnect();
  }

  approveKey(fingerprint: string): void {
    if (this.#unknownKey?.fingerprint !== fingerprint) {
      throw new Error('The host shows another key by now. Compare its fingerprint again.');
    }
    rememberLine(this.#options.appKnownHosts, this.#unknownKey.line);
    this.#unknownKey = null;
    this.reconnect();
  }

  /** Installs or upgrades the agent and waits until it answers. Rejects with the reason. */
  async install(onProgress: (doing: string, fraction: number) => void = () => undefined): Promise<void> {
    const ssh = this.#ssh;
    if (ssh === null) throw new Error(`${this.host.name} is not connected.`);
    if (this.#installing !== null) throw new Error(`The agent is being installed on ${this.host.name} already.`);
    const work = bootstrapAgent(ssh, this.#options.bundleDirectory, (doing, fraction) => {
      this.#setAgent({ kind: 'installing', doing, fraction });
      onProgress(doing, fraction);
    });
    this.#installing = work;
    const done = await work;
    this.#installing = null;
    if (!done.ok) {
      this.#setAgent({ kind: 'failed', reason: done.error });
      throw new Error(done.error);
    }
    this.#client?.close();
    this.#setAgent({ kind: 'unknown' });
    this.#pause.wake();
    const deadline = Date.now() + 30_000;
    while (!this.reachable) {
      if (Date.now() > deadline || this.#stopped) throw new Error(`The agent on ${this.host.name} does not answer.`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async uninstall(): Promise<void> {
    if (this.#ssh === null) throw new Error(`${this.host.name} is not connected.`);
    const work = removeAgent(this.#ssh, false);
    this.#installing = work.catch(() => undefined);
    try {
      await work;
    } finally {
      this.#installing = null;
      this.#client?.close();
      this.#pause.wake();
    }
    this.report = null;
    this.#setAgent({ kind: 'absent' });
  }

  stop(): void {
    this.#stopped = true;
    this.#client?.close();
    this.#ssh?.close();
    this.#pause.wake();
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      const opened = await openConnection(this.host, this.#connectOptions());
      if (this.#stopped) {
        if (opened.ok) opened.value.close();
        return;
      }
      if (!opened.ok) {
        this.#failed(opened.error);
        const pauses = this.lab ? LAB_PAUSES : PAUSES;
        const pause = pauses[Math.min(failures, pauses.length - 1)] ?? 15_000;
        // A question to the user waits for the user.
        const woken = await this.#pause.wait(opened.error.kind === 'unreachable' ? pause : null);
        failures = woken ? 0 : failures + 1;
        continue;
      }
      if (failures > 0 || this.report !== null) this.#options.events.noted('notice', 'The connection is up again.');
      failures = 0;
      this.#ssh = opened.value;
      let lost: string | null = null;
      void opened.value.closed.then((reason) => {
        lost = reason;
        this.#pause.wake();
      });
      this.#setConnection({ kind: 'connected' });
      while (!this.#stopped && lost === null) await this.#serve(opened.value, () => lost !== null);
      this.#ssh = null;
      this.#client = null;
      if (this.#stopped) return;
      this.agent = { kind: 'unknown' };
      const reason: string = lost ?? 'The connection was closed.';
      this.#setConnection({ kind: 'unreachable', reason, sinceMs: Date.now() });
      this.#options.events.noted('warning', `The connection is lost. ${reason}`);
      await this.#pause.wait(200);
    }
  }

  /** One life of the agent: find it, greet it, listen until it ends. Never rejects. */
  async #serve(ssh: SshConnection, lost: () => boolean): Promise<void> {
    await this.#installing?.catch(() => undefined);
    if (lost()) return;
    try {
      const found = await detectAgent(ssh);
      if (found.version === null) {
        // One look that fails, on a host that is busy, is no failure of the host's: what it said last grows old.
        const facts = this.lab ? null : await this.#look(ssh).catch(() => this.adopted);
        // A failed installation stays on the screen with its reason.
        if (this.agent.kind !== 'failed') this.#setAgent({ kind: 'absent' });
        // Someone else may install it: the lab's own start, or a colleague.
        const every = this.lab ? 2000 : facts === null ? ABSENT_EVERY_MS : ADOPTED_EVERY_MS;
        if (!lost()) await this.#pause.wait(every);
        return;
      }
      if (this.lab && (await this.#upgradeLab(ssh, found.version))) return;
      await this.#listen(ssh);
      await this.#pause.wait(300);
    } catch (error) {
      if (lost()) return;
      this.#setAgent({ kind: 'failed', reason: (error as Error).message });
      await this.#pause.wait(5000);
    }
  }

  /** What Corosync on a host without an agent says; null where there is none. */
  async #look(ssh: SshConnection): Promise<AdoptedFacts | null> {
    const whole = this.adopted === null || this.#looks % WHOLE_EVERY === 0;
    this.#looks += 1;
    const facts = await askHost(ssh, whole ? null : this.adopted);
    if (this.#client !== null || ssh !== this.#ssh) return facts;
    this.adopted = facts;
    if (facts === null) this.report = null;
    else {
      this.#options.events.looked(facts);
      this.#takeReport(asReport(facts));
    }
    return facts;
  }

  /** A lab node runs what this working tree builds. True when it was brought up to date just now. */
  async #upgradeLab(ssh: SshConnection, version: string): Promise<boolean> {
    const bundled = await readManifest(this.#options.bundleDirectory).catch(() => null);
    if (bundled === null || bundled.version === version) return false;
    const done = await bootstrapAgent(ssh, this.#options.bundleDirectory, (doing, fraction) =>
      this.#setAgent({ kind: 'installing', doing, fraction }),
    );
    if (!done.ok) throw new Error(done.error);
    return true;
  }

  async #listen(ssh: SshConnection): Promise<void> {
    const { events } = this.#options;
    const client = await openAgent(ssh, {
      report: (report) => this.#takeReport(report),
      event: (entry) => events.event(entry),
      step: (operation, step) => events.step(operation, step),
      treeChanged: (path) => events.treeChanged(path),
    });
    try {
      const report = await client.watch();
      this.#client = client;
      this.adopted = null;
      this.agent = { kind: 'running', version: client.greeting.version };
      this.#takeReport(report);
      for (const entry of await client.events(PAST_EVENTS)) events.event(entry);
      const reason = await client.closed;
      if (this.#installing === null) this.#setAgent({ kind: 'failed', reason });
    } finally {
      this.#client = null;
      client.close();
      events.changed();
    }
  }

  #takeReport(report: NodeReport): void {
    this.report = report;
    this.toldMs = Date.now();
    this.#options.events.changed();
  }

  #connectOptions(): Parameters<typeof openConnection>[1] {
    const { labKnownHosts, appKnownHosts } = this.#options;
    if (labKnownHosts !== null) {
      // A lab is a world of its own: the user's ssh configuration and agent have no part in it.
      return { knownHostsFiles: [labKnownHosts], timeoutMs: CONNECT_WITHIN_MS, userConfig: '', agent: null };
    }
    return {
      knownHostsFiles: [appKnownHosts, ...systemKnownHosts()],
      timeoutMs: CONNECT_WITHIN_MS,
      secret: this.#secret,
    };
  }

  #failed(failure: ConnectFailure): void {
    this.#unknownKey = null;
    switch (failure.kind) {
      case 'unreachable': {
        const sinceMs = this.connection.kind === 'unreachable' ? this.connection.sinceMs : Date.now();
        this.#setConnection({ ...failure, sinceMs });
        return;
      }
      case 'unknown-key': {
        const { keyType, fingerprint, line } = failure;
        this.#unknownKey = { fingerprint, line };
        this.#setConnection({ kind: 'unknown-key', keyType, fingerprint });
        return;
      }
      case 'changed-key':
        this.#setConnection(failure);
        return;
      case 'needs-credentials': {
        const refused = this.#secret?.for === failure.want;
        this.#secret = undefined;
        const reason = refused ? `That ${failure.want} was not accepted. ${failure.reason}` : failure.reason;
        this.#setConnection({ ...failure, reason });
      }
    }
  }

  #setConnection(state: ConnectionState): void {
    this.connection = state;
    this.#options.events.changed();
  }

  #setAgent(state: AgentState): void {
    this.agent = state;
    this.#options.events.changed();
  }
}
