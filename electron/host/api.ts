/**
 * The one interface between renderer and host, carried by Electron IPC or a WebSocket, with birpc
 * on both. The host holds all state and pushes it whole; the renderer draws it. Types only.
 */
import type {
  ApplyMethod,
  ApplyPlan,
  Check,
  ConfFile,
  CreateRequest,
  EndedApply,
  EventEntry,
  MovePlan,
  NodeReport,
  OpenApply,
  Step,
} from '../../agent/rpc/api.ts';
import type { EngineKind, EngineState, LinkStatus, QuorumStatus } from '../../agent/engine/engine.ts';
import type { TreeEntry } from '../../agent/mount/control.ts';

export type { ApplyMethod, ApplyPlan, Check, ConfFile, EndedApply, EventEntry, LinkStatus, NodeReport, OpenApply };
export type { QuorumStatus, Step, TreeEntry, EngineKind, MovePlan };

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

/** Who else looks after a cluster that we did not make. */
export type AdoptedManager = 'proxmox' | 'pacemaker' | 'plain';

/** A link from an adopted node to another one, where Corosync measures it. */
export interface AdoptedLink {
  readonly link: number;
  readonly peer: number;
  readonly connected: boolean;
  /** Microseconds; null before the first measurement. */
  readonly latencyUs: number | null;
  readonly latencyMaxUs: number | null;
  /** Bytes of payload in one packet; null while it is not known. */
  readonly mtu: number | null;
  /** How often it went down since the node's Corosync started. */
  readonly downs: number;
}

/** What is known of a host that has Corosync and no agent of ours: read over SSH, nothing installed. */
export interface AdoptedNode {
  readonly manager: AdoptedManager;
  /** Version of Corosync; null when it does not say. */
  readonly corosync: string | null;
  /** Proxmox VE, Pacemaker and what belongs to them: a name for people, and the version. */
  readonly programs: readonly { readonly name: string; readonly version: string }[];
  readonly running: boolean;
  readonly links: readonly AdoptedLink[];
  readonly statistics: {
    readonly tokenRoundMs: number | null;
    readonly tokenLost: number;
    readonly messagesSent: number;
    readonly messagesReceived: number;
    readonly retransmits: number;
    readonly ringsFormed: number;
  } | null;
  /** What could not be found out, a sentence each. */
  readonly gaps: readonly string[];
}

/** Something about an adopted cluster that a person should know, and what to do about it. */
export interface AdoptedFinding {
  readonly id: string;
  readonly tone: 'info' | 'warn' | 'bad';
  readonly sentence: string;
  /** Null: nothing has to be done. */
  readonly advice: string | null;
}

/** A cluster that runs without our agent. */
export interface AdoptedCluster {
  readonly manager: AdoptedManager;
  /** `Corosync 3.1.7`, or with mixed versions the lowest and the highest. */
  readonly versions: string;
  /** Which rules corosync.conf is read by. */
  readonly dialect: 'corosync3' | 'corosync2';
  /** What can be done from here, and what cannot, a sentence each. */
  readonly can: readonly string[];
  readonly cannot: readonly string[];
  readonly findings: readonly AdoptedFinding[];
  /** Nodes of the nodelist that no host entry leads to: offered, never connected without asking. */
  readonly offers: readonly { readonly nodeId: number; readonly name: string; readonly address: string }[];
}

export interface HostView {
  readonly id: string;
  readonly host: HostAddress;
  readonly connection: ConnectionState;
  readonly agent: AgentState;
  /** Last report; kept (and marked by `connection`) when the connection is lost. */
  readonly report: NodeReport | null;
  readonly clusterId: string | null;
  /** Corosync that runs there without our agent; null where there is none, or the agent runs. */
  readonly adopted: AdoptedNode | null;
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
  /** An apply of corosync.conf, by anybody, that is not over; `atMs` is this computer's clock when it was told. */
  readonly apply: (OpenApply & { readonly atMs: number }) | null;
  /** Set where none of its hosts has our agent. */
  readonly adopted: AdoptedCluster | null;
}

export type OperationKind =
  | 'create'
  | 'join'
  | 'remove-node'
  | 'move-engine'
  | 'apply-conf'
  | 'emergency-conf'
  | 'install-agent'
  | 'uninstall-agent';

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
  /** With its text, so that it can be compared. */
  readonly local: ConfFile | null;
  readonly runningVersion: number | null;
}

export interface OpenedConf {
  readonly clusterId: string;
  readonly file: ConfFile;
  readonly nodes: readonly NodeConf[];
}

/** Of a plan: its text, what it was planned against, and what the person has agreed to. */
export interface ApplyOrder {
  readonly text: string;
  readonly baseDigest: string;
  readonly method: ApplyMethod;
  readonly confirmWithinMs: number;
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
  /** What applying this text would do, node by node. Changes nothing; rejects with why it cannot be done. */
  planConf(clusterId: string, text: string, baseDigest: string): Promise<ApplyPlan>;
  /** Puts a plan's text on trial on every node. It goes back unless it is confirmed in time. */
  applyConf(clusterId: string, order: ApplyOrder): Promise<{ operation: string }>;
  /** Keeps what waits for a confirmation. Resolves to a sentence. */
  confirmConf(clusterId: string): Promise<string>;
  /** Takes back what is not confirmed. Resolves to a sentence when every node is back. */
  revertConf(clusterId: string): Promise<string>;
  /**
   * Without quorum (the chapter's "Write Configuration When Not Quorate"): this host's engine expects so many
   * votes only. Dangerous while nodes that it does not see may run.
   */
  expectVotes(hostId: string, votes: number): Promise<void>;
  /**
   * Without quorum: puts this text into /etc/corosync on every node that can be reached, restarts their engine,
   * compares the files byte for byte, and writes it into the tree once that can be written again.
   */
  emergencyConf(clusterId: string, text: string): Promise<{ operation: string }>;
  /** What a move of the whole cluster to this engine would do. Changes nothing; rejects with why it cannot be done. */
  planMove(clusterId: string, to: EngineKind): Promise<MovePlan>;
  /** Installs Corosync where it is needed and lacks, then changes all nodes over together. */
  moveEngine(clusterId: string, to: EngineKind): Promise<{ operation: string }>;
  /** Ended applies, the newest first. */
  confHistory(clusterId: string): Promise<EndedApply[]>;

  listFiles(hostId: string, path: string): Promise<TreeEntry[]>;
  /** Contents in base64. */
  readFile(hostId: string, path: string): Promise<string>;

  createCluster(hostId: string, request: CreateRequest): Promise<{ operation: string }>;
  preflightJoin(clusterId: string, hostId: string): Promise<{ checks: Check[]; nodeId: number; ring0Addr: string }>;
  join(clusterId: string, hostId: string): Promise<{ operation: string }>;
  /** Adopted clusters: takes a node out of the cluster for good. Stops Corosync there first, where it can be reached. */
  removeNode(clusterId: string, nodeId: number): Promise<{ operation: string }>;
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
