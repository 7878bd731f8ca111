/** What this node says of its version of corosync.conf, and how it comes by a newer one that others have. */
import { readFileSync } from 'node:fs';
import type { NodeId } from '../../totem/ids.ts';
import { engineSettings, type EngineSettings } from '../settings.ts';
import { ConfExchange, type ConfExchangeEffect } from './conf-exchange.ts';
import { installConf } from './own-files.ts';

/** What the engine is told by the procedures that change corosync.conf. */
export interface EngineOptions {
  /** The text that was in force before a file on trial, or null when none is on trial. */
  beforeTrial(): string | null;
}

export interface ConfVersionsPorts extends EngineOptions {
  readonly self: NodeId;
  /** Path of corosync.conf. */
  readonly file: string;
  settings(): EngineSettings;
  nameOf(node: NodeId): string;
  send(to: NodeId, payload: Uint8Array): void;
  /** Runs what the file says now. */
  reload(): Promise<unknown>;
  log(severity: 'notice' | 'warning' | 'error', message: string): void;
}

export class ConfVersions {
  readonly #ports: ConfVersionsPorts;
  readonly #exchange: ConfExchange;
  #announced: number;
  #outdatedBy: string | null = null;

  constructor(ports: ConfVersionsPorts) {
    this.#ports = ports;
    this.#exchange = new ConfExchange(() => this.#toGive());
    this.#announced = this.#confirmed();
  }

  /** The version that speaks for this node. */
  get announced(): number {
    return this.#announced;
  }
  /** Why this node stays out of the ring, or null. */
  get outdatedBy(): string | null {
    return this.#outdatedBy;
  }
  deadline(): number {
    return this.#exchange.deadline();
  }
  timer(now: number): void {
    this.#carryOut(this.#exchange.timer(now));
  }

  /** Looks again at what may be announced. True when it is another version. */
  look(): boolean {
    const before = this.#announced;
    this.#announced = this.#confirmed();
    return this.#announced !== before;
  }

  /** The ring has stepped back: `peer` has a newer file. */
  outdated(peer: NodeId, version: number, now: number): void {
    const { log, nameOf } = this.#ports;
    const by = `${nameOf(peer)} has version ${version} of corosync.conf and this node has ${this.#announced}`;
    if (this.#outdatedBy === null) log('warning', `${by}: it stays out of the ring until it has the newer one`);
    this.#outdatedBy = by;
    this.#carryOut(this.#exchange.outdated(peer, version, this.#announced, now));
  }

  /** The ring is past stepping back. */
  settled(): void {
    this.#outdatedBy = null;
    this.#exchange.settled();
  }

  keptOut(peer: NodeId, version: number): void {
    const mine = this.#announced;
    const words =
      version < mine
        ? 'it is kept out until it has the newer file, which it can ask for'
        : 'the cluster has quorum with its own: put the cluster’s file there, or apply the change through the cluster';
    const { log, nameOf } = this.#ports;
    log('warning', `${nameOf(peer)} has version ${version} of corosync.conf and this ring ${mine}: ${words}`);
  }

  receive(sender: NodeId, payload: Uint8Array): void {
    this.#carryOut(this.#exchange.receive(sender, payload));
  }

  /** A file on trial may be taken back: until it is confirmed the version before it speaks for this node. */
  #confirmed(): number {
    const before = this.#ports.beforeTrial();
    const running = this.#ports.settings().configVersion;
    if (before === null) return running;
    const settings = engineSettings(before);
    return settings.ok ? settings.value.configVersion : running;
  }

  #toGive(): { readonly version: number; readonly conf: string } | null {
    if (this.#ports.beforeTrial() !== null) return null;
    try {
      return { version: this.#ports.settings().configVersion, conf: readFileSync(this.#ports.file, 'utf8') };
    } catch {
      return null;
    }
  }

  #carryOut(effects: readonly ConfExchangeEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'send') this.#ports.send(effect.to, effect.payload);
      else void this.#take(effect.by, effect.conf);
    }
  }

  /** Puts a newer file on the disk and runs it. What speaks against it goes to the log, once a second at most. */
  async #take(by: NodeId, conf: string): Promise<void> {
    if (this.#outdatedBy === null) return;
    const { file, log, nameOf } = this.#ports;
    const refusal = this.#refusal(conf);
    if (refusal !== null) return log('warning', `corosync.conf as ${nameOf(by)} has it is not installed: ${refusal}`);
    try {
      installConf(file, conf);
      log('notice', `corosync.conf of ${nameOf(by)} is installed; the one before is ${file}.bak`);
      await this.#ports.reload();
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      log('error', `corosync.conf of ${nameOf(by)} could not be taken over: ${words}`);
    }
  }

  #refusal(conf: string): string | null {
    const offered = engineSettings(conf);
    if (!offered.ok) return offered.error;
    const { configVersion, clusterName, nodes } = offered.value;
    const running = this.#ports.settings();
    if (configVersion <= running.configVersion) return `it has version ${configVersion}`;
    if (clusterName !== running.clusterName) return `it is of the cluster ${clusterName}`;
    if (!nodes.some((node) => node.nodeId === this.#ports.self))
      return 'this node is no longer in its nodelist: it was removed from the cluster';
    return null;
  }
}
