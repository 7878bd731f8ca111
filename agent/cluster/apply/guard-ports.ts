/** What the guard touches of its node. Types only. */
import type { EngineKind, EngineStatus } from '../../engine/engine.ts';
import type { Clock, TreePort } from '../ports.ts';
import type { Journal } from './trial.ts';

/** What the guard does to its node's disk. Each write is on stable storage when the call returns. */
export interface GuardDisk {
  readConf(): string | null;
  writeConf(text: string): void;
  /** Puts everything on the disk that an apply and its way back need, so that no full disk stops either. */
  stage(text: string, journal: Journal): void;
  /** The staged file becomes corosync.conf, the staged journal the journal. */
  install(): void;
  /** The staged journal becomes the journal; the staged file waits for `place`. For a change of engine. */
  begin(): void;
  /** The staged file becomes corosync.conf. It holds `text`, which is written where it is gone. */
  place(text: string): void;
  /** The file from before the install becomes corosync.conf again. Needs no room on the disk. */
  putBack(before: string): void;
  readJournal(): Journal | null;
  writeJournal(journal: Journal): void;
  /** Forgets journal, staged file and the copy of the old one. */
  clear(): void;
}

export interface GuardPorts {
  readonly self: { readonly nodeId: number; readonly name: string };
  /** Version of the agent. */
  readonly agent: string;
  readonly disk: GuardDisk;
  readonly tree: TreePort;
  readonly clock: Clock;
  /** Milliseconds of a clock that never goes back. */
  monotonic(): number;
  readonly engine: {
    kind(): EngineKind;
    status(): EngineStatus;
    reload(): Promise<unknown>;
    /** What of this text the engine does not run, in sentences; empty when it runs all of it. */
    readBack(text: string): Promise<readonly string[]>;
    restart(): Promise<void>;
    /** Stops the engine, has the file put in its place, and starts the engine `to`. May be repeated from anywhere. */
    changeTo(to: EngineKind, placeConf: () => void): Promise<void>;
  };
  /** Is there a process with this number on this node? */
  isAlive(pid: number): boolean;
  /** Why this machine would not take the text for this engine, or null. */
  refuses(text: string, engine: EngineKind): Promise<string | null>;
  /** Installs the tree's corosync.conf where it is newer: a change without an apply. */
  push(): Promise<void>;
  digest(text: string): string;
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
}
