/**
 * The edges of the procedures: all that create, add, join and apply touch of a node. The real ones
 * are in node-ports.ts; tests pass their own. Types only.
 */
import type { EngineKind, EngineStatus } from '../engine/engine.ts';
import type { FileSystemControl, FileSystemStatus } from '../mount/control.ts';
import type { ServiceState } from '../rpc/api.ts';
import type { Packages } from './install/install.ts';

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after that many milliseconds, or at once when the signal is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The files outside the tree. */
export interface NodeFiles {
  /** /etc/corosync/corosync.conf, or null. */
  readConf(): string | null;
  writeConf(text: string): void;
  /** Keeps a copy as corosync.conf.bak beside it, if there is a file. */
  backUpConf(): void;
  removeConf(): void;
  /** /etc/corosync/authkey in base64, or null. */
  readAuthkey(): string | null;
  /** Written with mode 0400. */
  writeAuthkey(base64: string): void;
  removeAuthkey(): void;
  /** Moves the tree's database aside; returns the copy's name, or null when there was none. pmxcfs must be stopped. */
  setTreeAside(): string | null;
  /** Puts a set-aside database back in place of whatever is there now. pmxcfs must be stopped. */
  restoreTree(copy: string): void;
  /** Removes the tree's database. pmxcfs must be stopped. */
  removeTree(): void;
}

export interface Services {
  readonly supervision: 'systemd' | 'self';
  list(): Promise<ServiceState[]>;
  start(name: ServiceState['name']): Promise<void>;
  stop(name: ServiceState['name']): Promise<void>;
  restart(name: ServiceState['name']): Promise<void>;
  /** Has the chosen engine's service start with the machine, and the other engine's not. */
  engineAtBoot(): Promise<void>;
  /** The shell command that does the same by hand. */
  command(verb: 'start' | 'stop' | 'restart', name: ServiceState['name']): string;
}

export interface EnginePort {
  /** The last known status; null while this node belongs to no cluster. */
  status(): EngineStatus | null;
  setExpectedVotes(votes: number): Promise<void>;
  choice(): EngineKind;
  choose(kind: EngineKind): void;
}

/** The running pmxcfs. Every call rejects while it does not run. */
export type TreePort = {
  readonly [Name in Exclude<keyof FileSystemControl, 'watch' | 'status'>]: (
    ...args: Parameters<FileSystemControl[Name]>
  ) => Promise<Awaited<ReturnType<FileSystemControl[Name]>>>;
} & {
  /** null while pmxcfs does not run. */
  status(): Promise<FileSystemStatus | null>;
};

export interface NetworkPort {
  /** Addresses a host name stands for; empty when it cannot be resolved. */
  resolve(name: string): Promise<string[]>;
  /** This node's address from which packets to `address` would leave; null when there is no route. */
  sourceFor(address: string): Promise<string | null>;
  /** Is this an address of this node? */
  isLocal(address: string): boolean;
  /** null when this UDP port of the address can be bound, else the reason. */
  udpPortTaken(address: string, port: number): Promise<string | null>;
}

export interface NodePorts {
  readonly hostname: string;
  /** A node below RINGMASTER_ROOT, which may live on loopback addresses. */
  readonly rootless: boolean;
  /** Paths as they are shown in runbooks. */
  readonly paths: {
    readonly conf: string;
    readonly authkey: string;
    readonly tree: string;
    readonly mount: string;
  };
  readonly clock: Clock;
  readonly files: NodeFiles;
  readonly services: Services;
  readonly packages: Packages;
  readonly engine: EnginePort;
  readonly tree: TreePort;
  readonly network: NetworkPort;
  /** Of this process. */
  readonly pid: number;
  /** The apply whose file is on trial on this node, and when it goes back, in milliseconds since 1970; or null. */
  onTrial(): { readonly id: string; readonly deadlineWallMs: number } | null;
  /** A fresh authkey in base64. */
  newAuthkey(): string;
  /** SHA-256 in hexadecimal of the text's UTF-8 bytes. */
  digest(text: string): string;
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
}
