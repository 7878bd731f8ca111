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
  /** An apply of corosync.conf that is not over; null when there is none. */
  readonly apply: OpenApply | null;
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

/** What a changed corosync.conf takes: nothing restarts, nodes one after the other, or all at once. */
export type ApplyMethod = 'reload' | 'rolling-restart' | 'whole-restart';

export interface PlannedNode {
  readonly nodeId: number;
  readonly name: string;
  readonly state: 'member' | 'absent';
  /** What the apply does to it: the rest of a sentence that begins with its name. */
  readonly effect: string;
  readonly diskVersion: number | null;
  readonly runningVersion: number | null;
  /** Its own file differs from the cluster's: the rest of a sentence. Null when it does not. */
  readonly drift: string | null;
}

export interface PlanRequest {
  readonly text: string;
  /** Digest of the tree's file that the text was made from; null when it is not known. */
  readonly baseDigest: string | null;
  /** When the text was last edited, milliseconds since 1970; null when that is not known. */
  readonly editedMs: number | null;
}

/** What an apply would do, said before anything is done. */
export interface ApplyPlan {
  readonly fromVersion: number;
  readonly version: number;
  /** Digest of the tree's file it was planned against: the apply refuses when that has changed since. */
  readonly baseDigest: string;
  /** The file as it would be written: merged, and with its config_version raised. */
  readonly text: string;
  readonly method: ApplyMethod;
  readonly changes: readonly {
    readonly sentence: string;
    readonly effect: 'none' | 'live' | 'rolling-restart' | 'whole-restart';
    /** A reload takes it without a word and changes nothing until the engine restarts. */
    readonly silent: boolean;
    /** How to have the same without a restart, or what has to be done beside it; null: nothing to say. */
    readonly advice: string | null;
  }[];
  readonly nodes: readonly PlannedNode[];
  readonly warnings: readonly string[];
  /** Somebody else has changed the file since: both changes are in the text. */
  readonly merged: boolean;
}

export interface ApplyRequest {
  /** As it stands in the plan. */
  readonly text: string;
  readonly baseDigest: string;
  /** What the person has agreed to. The apply refuses when it would take more by now. */
  readonly method: ApplyMethod;
  /** Who asks, for the record: `root@laptop`. */
  readonly author: string;
  /** Milliseconds in which it must be confirmed once it runs everywhere. */
  readonly confirmWithinMs: number;
}

/** An apply that is not over yet, as this node sees it. */
export interface OpenApply {
  readonly id: string;
  readonly author: string;
  readonly leader: string;
  /** By the leader's clock, milliseconds since 1970. */
  readonly startedMs: number;
  readonly fromVersion: number;
  readonly version: number;
  readonly method: ApplyMethod;
  readonly phase: 'prepare' | 'install' | 'effect' | 'confirm' | 'revert';
  readonly changes: readonly string[];
  /** Milliseconds until this node goes back by its own clock; null where the file is not on trial here. */
  readonly remainingMs: number | null;
}

/** An apply that is over. */
export interface EndedApply {
  readonly id: string;
  readonly author: string;
  readonly leader: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly fromVersion: number;
  readonly version: number;
  readonly method: ApplyMethod;
  readonly changes: readonly string[];
  readonly outcome: 'confirmed' | 'reverted' | 'refused';
  readonly reason: string;
  /** Who ended it: a person, or the node whose clock did. */
  readonly by: string;
  readonly before: string;
  readonly after: string;
}

/** What a move of the whole cluster to the other engine would do, said before anything is done. */
export interface MovePlan {
  readonly from: EngineKind;
  readonly to: EngineKind;
  readonly fromVersion: number;
  /** config_version of `text`. */
  readonly version: number;
  /** corosync.conf in the words of the new engine. */
  readonly text: string;
  /** What had to be said otherwise there, a sentence each. */
  readonly notes: readonly string[];
  /** About how long writes wait, in milliseconds. */
  readonly pauseMs: number;
  /** Names of the nodes. */
  readonly nodes: readonly string[];
  /** What is going to happen, for a person. */
  readonly sentences: readonly string[];
}

/** Calls fail with an Error whose message is ready for a person: what is wrong and what to do next. */
export interface AgentApi {
  hello(): AgentHello;
  /** The present report; from now on `report` is called on every change. */
  watch(): Promise<NodeReport>;
  events(limit: number): Promise<EventEntry[]>;

  readConf(): Promise<ConfFiles>;
  /** What applying this text would do. Changes nothing; rejects with why it cannot be done. */
  planConf(request: PlanRequest): Promise<ApplyPlan>;
  /** Resolves when every node runs it; it goes back on every node unless it is confirmed in time. */
  applyConf(operation: string, request: ApplyRequest): Promise<void>;
  /** The apply that waits for it stays. Resolves to a sentence. */
  confirmConf(author: string): Promise<string>;
  /** The open apply is taken back. Resolves to a sentence when every node is back. */
  revertConf(author: string): Promise<string>;
  /** votequorum's `expected` on this node. */
  expectVotes(votes: number): Promise<void>;
  /** Without quorum: replaces this node's own file and restarts its engine. Gives the digest of what is on disk. */
  installLocalConf(
    operation: string,
    request: { readonly text: string; readonly author: string },
  ): Promise<{ readonly digest: string }>;
  /** Waits for quorum, and puts this node's file into the tree where the tree's is another. */
  publishLocalConf(operation: string): Promise<void>;
  /** What a move to this engine would do. Changes nothing; rejects with why it cannot be done. */
  planMove(to: EngineKind): Promise<MovePlan>;
  /** Resolves when the whole cluster runs on the engine; when it fails every node is back, or goes back by itself. */
  moveEngine(operation: string, order: { readonly to: EngineKind; readonly author: string }): Promise<void>;
  /** Ended applies, the newest first. */
  confHistory(): Promise<EndedApply[]>;

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
  /** Installs the distribution's package of Corosync, unless it is there. */
  installCorosync(operation: string): Promise<void>;
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
