/** The lab: a cluster of real nodes on this machine. What both kinds of lab can do. Types only. */
import type { EngineKind } from '../../agent/engine/engine.ts';

export interface LabNode {
  readonly name: string;
  /** Address of its SSH server, reachable from this machine. */
  readonly address: string;
  readonly port: number;
  readonly state: 'running' | 'stopped';
  /** Is it in the cluster's nodelist? A free host is not. */
  readonly member: boolean;
  readonly cut: boolean;
}

export interface LabOptions {
  readonly directory: string;
  readonly nodes: number;
  readonly free: number;
  readonly engine: EngineKind;
}

export interface LabStatus {
  readonly directory: string;
  readonly kind: 'namespaces' | 'processes';
  readonly engine: EngineKind;
  /** Account and private key with which the app connects. */
  readonly user: string;
  readonly identityFile: string;
  /** known_hosts lines of the lab's nodes, so that the app needs no blind trust. */
  readonly knownHostsFile: string;
  readonly nodes: readonly LabNode[];
}

export interface Lab {
  status(): Promise<LabStatus>;
  kill(name: string): Promise<void>;
  start(name: string): Promise<void>;
  cut(names: readonly string[]): Promise<void>;
  heal(): Promise<void>;
}
