/**
 * The one interface between renderer and host, carried by Electron IPC or a WebSocket, with birpc
 * on both. The host holds all state and pushes it whole; the renderer draws it. Types only.
 */
import type {
  ApplyOutcome,
  Check,
  ConfFile,
  CreateRequest,
  EventEntry,
  NodeReport,
  Step,
} from '../../agent/rpc/api.ts';
import type { EngineKind, EngineState, LinkStatus, QuorumStatus } from '../../agent/engine/engine.ts';
import type { TreeEntry } from '../../agent/mount/control.ts';

export type { Check, ConfFile, EventEntry, LinkStatus, NodeReport, QuorumStatus, Step, TreeEntry, EngineKind };

/** Where and how a host is reached: what the settings file keeps (never a secret). */
export interface HostAddress {
  /** Shown name; the address where the user gave none. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Path of a private key, or null for the SSH agent and the default keys. */
  readonly identityFile: string | null;
}

export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected' }
  | { readonly kind: 'unreachable'; readonly reason: string; readonly sinceMs: number }
  /** First contact: the user must approve this key. */
  | { readonly kind: 'unknown-key'; readonly keyType: string; readonly fingerprint: string }
  /** known_hosts has another key: stopped, with an explanation. */
  | {
      readonly kind: 'changed-key';
      readonly keyType: string;
      readonly fingerprint: string;
      readonly knownHostsLine: string;
    }
  /** No key was accepted: a password or passphrase is needed. */
  | { readonly kind: 'needs-credentials'; readonly want: 'password' | 'passphrase'; readonly reason: string };

export type AgentState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'absent' }
  /** 0 to 1. */
  | { readonly kind: 'installing'; readonly doing: string; readonly fraction: number }
  | { readonly kind: 'running'; readonly version: string }
  | { readonly kind: 'failed'; readonly reason: string };

export interface HostView {
  readonly id: string;
  readonly host: HostAddress;
  readonly connection: ConnectionState;
  readonly agent: AgentState;
  /** Last report; kept (and marked by `connection`) when the connection is lost. */
  readonly report: NodeReport | null;
  readonly clusterId: string | null;
  /** Belongs to the lab on this machine. */
  readonly lab: boolean;
}

export interface ClusterMember {
  readonly nodeId: number;
  readonly name: string;
  readonly votes: number;
  readonly addresses: readonly { readonly link: number; readonly address: string }[];
  readonly state: 'member' | 'absent';
  /** The host entry we reach it through; null where none is known. */
  readonly hostId: string | null;
  /** config_version its engine runs; null while it cannot be asked. */
  readonly runningVersion: number | null;
  /** config_version in its /etc/corosync/corosync.conf; null while it cannot be asked. */
  readonly diskVersion: number | null;
  /** What the vote sum would be without it, and whether quorum would hold. Null when absent already. */
  readonly ifItFailed: { readonly votes: number; readonly quorate: boolean } | null;
}

/** One cluster as its best-informed reachable member sees it. */
export interface ClusterView {
  readonly id: string;
  readonly name: string;
  readonly engine: EngineKind;
  readonly engineState: EngineState;
  readonly transport: string;
  readonly configVersion: number;
  /** Formatted ring id, or null. */
  readonly ringId: string | null;
  readonly quorum: QuorumStatus;
  readonly members: readonly ClusterMember[];
  readonly links: readonly LinkStatus[];
  /** Host whose report this is; null when no member can be reached and this is the last known state. */
  readonly seenFrom: string | null;
  /** State of the cluster in one plain sentence. */
  readonly summary: string;
  readonly writability: 'writable' | 'read-only' | 'unknown';
}

export type OperationKind = 'create' | 'join' | 'apply-conf' | 'install-agent' | 'uninstall-agent';

export interface OperationView {
  readonly id: string;
  readonly kind: OperationKind;
  readonly title: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  /** Why it failed and what to do next. */
  readonly error: string | null;
  readonly cancellable: boolean;
  /** Steps in order; `where` names the host each runs on. */
  readonly steps: readonly (Step & { readonly where: string })[];
  readonly startedMs: number;
  readonly endedMs: number | null;
}

export interface LabView {
  readonly nodes: readonly {
    readonly name: string;
    readonly state: 'running' | 'stopped';
    readonly hostId: string;
    readonly cut: boolean;
  }[];
  /** Namespaces are there, so a partition can be made. */
  readonly canCut: boolean;
}

/** Everything the renderer shows apart from files and editors. */
export interface Snapshot {
  readonly version: string;
  readonly shell: 'electron' | 'browser';
  readonly hosts: readonly HostView[];
  readonly clusters: readonly ClusterView[];
  readonly operations: readonly OperationView[];
  readonly lab: LabView | null;
}

export interface HostEvent extends EventEntry {
  /** Grows by one with each event of this run of the app. */
  readonly id: number;
  readonly hostId: string;
  readonly hostName: string;
}

/** One node's copies of corosync.conf, for the drift view. */
export interface NodeConf {
  readonly nodeName: string;
  readonly hostId: string | null;
  readonly tree: { readonly digest: string; readonly configVersion: number | null } | null;
  readonly local: { readonly digest: string; readonly configVersion: number | null } | null;
  readonly runningVersion: number | null;
}

export interface OpenedConf {
  readonly clusterId: string;
  readonly file: ConfFile;
  readonly nodes: readonly NodeConf[];
}

/** Calls reject with an Error whose message is ready for a person. */
export interface HostApi {
  /** The present state; from now on `snapshot` and `event` are called. */
  watch(): Promise<Snapshot>;
  eventLog(): Promise<HostEvent[]>;

  addHost(host: HostAddress): Promise<{ id: string }>;
  removeHost(id: string): Promise<void>;
  reconnect(id: string): Promise<void>;
  /** The user has compared the fingerprint: remember it in known_hosts and go on. */
  approveKey(id: string, fingerprint: string): Promise<void>;
  /** Kept in memory for this run only. */
  giveSecret(id: string, secret: string): Promise<void>;

  installAgent(hostId: string): Promise<{ operation: string }>;
  uninstallAgent(hostId: string): Promise<{ operation: string }>;

  openConf(clusterId: string): Promise<OpenedConf>;
  /** `text` must already carry the raised config_version. */
  applyConf(clusterId: string, text: string, baseDigest: string): Promise<{ operation: string }>;

  listFiles(hostId: string, path: string): Promise<TreeEntry[]>;
  /** Contents in base64. */
  readFile(hostId: string, path: string): Promise<string>;

  createCluster(hostId: string, request: CreateRequest): Promise<{ operation: string }>;
  preflightJoin(clusterId: string, hostId: string): Promise<{ checks: Check[]; nodeId: number; ring0Addr: string }>;
  join(clusterId: string, hostId: string): Promise<{ operation: string }>;
  cancel(operation: string): Promise<void>;
  /** Forgets an ended operation. */
  dismiss(operation: string): Promise<void>;

  labKill(name: string): Promise<void>;
  labStart(name: string): Promise<void>;
  labCut(names: readonly string[]): Promise<void>;
  labHeal(): Promise<void>;
}

/** What the host calls on the renderer. */
export interface HostEvents {
  snapshot(snapshot: Snapshot): void;
  event(event: HostEvent): void;
  treeChanged(clusterId: string, path: string): void;
}

export type { ApplyOutcome };
