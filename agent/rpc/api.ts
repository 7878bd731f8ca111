/**
 * What the desktop's host asks of an agent, over birpc on the standard input and output of
 * `ringmaster-agent rpc`, run through SSH. Types only: the host and the renderer import nothing
 * else of this room.
 */
import type { EngineKind, EngineStatus } from '../engine/engine.ts';
import type { FileSystemStatus, TreeEntry } from '../mount/control.ts';

/** Grows when a call changes in a way an older host or agent would misread. */
export const AGENT_PROTOCOL = 1;

export interface AgentHello {
  readonly protocol: number;
  readonly version: string;
  readonly hostname: string;
  readonly pid: number;
}

export interface NetworkAddress {
  readonly interface: string;
  readonly address: string;
  readonly prefix: number;
  readonly family: 4 | 6;
}

export interface ServiceState {
  readonly name: 'engine' | 'pmxcfs';
  readonly state: 'running' | 'stopped' | 'failed';
  readonly pid: number | null;
  /** How often it had to be started anew since the supervisor began. */
  readonly restarts: number;
  /** Last words of a failed service, one sentence. */
  readonly reason: string | null;
}

/** Everything a node says about itself. Pushed whole on every change. */
export interface NodeReport {
  readonly hostname: string;
  readonly agentVersion: string;
  readonly os: string;
  readonly supervision: 'systemd' | 'self';
  /** Milliseconds since 1970, this node's clock. */
  readonly clockMs: number;
  readonly addresses: readonly NetworkAddress[];
  readonly services: readonly ServiceState[];
  /** null where the node belongs to no cluster. */
  readonly engine: EngineStatus | null;
  /** null when pmxcfs does not run. */
  readonly fileSystem: FileSystemStatus | null;
  /** config_version of /etc/corosync/corosync.conf; null where there is none or it is unreadable. */
  readonly localConfigVersion: number | null;
}

export interface ConfFile {
  readonly text: string;
  /** SHA-256 of the bytes, hexadecimal. */
  readonly digest: string;
  readonly configVersion: number | null;
}

/** The two copies a node has (seed: "There are two on each cluster"). */
export interface ConfFiles {
  readonly tree: ConfFile | null; // /etc/pve/corosync.conf
  readonly local: ConfFile | null; // /etc/corosync/corosync.conf
}

export type StepState = 'waiting' | 'running' | 'done' | 'failed' | 'skipped';

/** One step of a procedure, pushed whole whenever it changes. */
export interface Step {
  readonly id: string;
  readonly title: string;
  /** The shell command that does the same by hand, for the runbook; null where there is none. */
  readonly command: string | null;
  readonly state: StepState;
  readonly output: readonly string[];
}

export interface Check {
  readonly id: string;
  readonly title: string;
  readonly state: 'pass' | 'warn' | 'fail';
  /** What was found and, unless it passed, what to do next. */
  readonly detail: string;
}

export interface EventEntry {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly severity: 'info' | 'notice' | 'warning' | 'error';
  readonly source: 'engine' | 'pmxcfs' | 'supervisor' | 'cluster';
  readonly message: string;
}

export interface CreateRequest {
  readonly clusterName: string;
  readonly engine: EngineKind;
  /** ring0_addr; null takes the address the host name resolves to. */
  readonly ring0Addr: string | null;
  readonly nodeId: number | null;
  readonly votes: number;
}

export interface AddNodeRequest {
  readonly name: string;
  readonly ring0Addr: string;
  readonly nodeId: number | null;
  readonly votes: number;
}

/** What a new node needs in order to join; made by a member. */
export interface JoinTicket {
  readonly clusterName: string;
  readonly engine: EngineKind;
  readonly nodeId: number;
  readonly conf: string;
  /** /etc/corosync/authkey in base64, or null while the cluster has none. Secret. */
  readonly authkey: string | null;
}

export interface ApplyRequest {
  readonly text: string;
  /** Digest of the tree's file when it was opened: the apply refuses when it has changed since. */
  readonly baseDigest: string;
  /** Who asks, for the record: `root@laptop`. */
  readonly author: string;
}

export interface ApplyOutcome {
  readonly configVersion: number;
  readonly live: readonly string[];
  readonly needsRestart: readonly string[];
}

/** Calls fail with an Error whose message is ready for a person: what is wrong and what to do next. */
export interface AgentApi {
  hello(): AgentHello;
  /** The present report; from now on `report` is called on every change. */
  watch(): Promise<NodeReport>;
  events(limit: number): Promise<EventEntry[]>;

  readConf(): Promise<ConfFiles>;
  /** Writes .new, keeps .bak, renames, and waits until this node runs the new version. */
  applyConf(operation: string, request: ApplyRequest): Promise<ApplyOutcome>;

  list(path: string): Promise<TreeEntry[]>;
  /** Contents in base64. */
  read(path: string): Promise<string>;

  createCluster(operation: string, request: CreateRequest): Promise<void>;
  /** Asked of the node that wants to join: is anything in the way? */
  preflightJoin(request: {
    readonly clusterName: string;
    readonly memberAddresses: readonly string[];
  }): Promise<Check[]>;
  /** Asked of a member: would it accept this node? */
  preflightAdd(request: AddNodeRequest): Promise<Check[]>;
  /** Asked of a member: writes the node into corosync.conf and hands out what it needs. */
  addNode(operation: string, request: AddNodeRequest): Promise<JoinTicket>;
  /** Asked of a member: takes a node that never joined out of corosync.conf again. */
  undoAddNode(operation: string, request: { readonly nodeId: number }): Promise<void>;
  /** Asked of the new node. Resolves when it is a member of a quorate ring and its tree is in sync. */
  joinCluster(operation: string, ticket: JoinTicket): Promise<void>;
  /** Cancels a running operation at its next safe point. */
  cancel(operation: string): void;
}

/** What the agent calls on the host. */
export interface AgentEvents {
  report(report: NodeReport): void;
  event(entry: EventEntry): void;
  step(operation: string, step: Step): void;
  treeChanged(path: string): void;
}
