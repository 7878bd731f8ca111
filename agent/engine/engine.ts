/**
 * Membership as the rest of the agent sees it. Two engines stand behind this interface: the bundled
 * Totem ring (`engine/totem`) and the distribution's Corosync (`engine/corosync`). Types only.
 */
import type { NodeId, RingId } from '../totem/ids.ts';

export type EngineKind = 'totem' | 'corosync';

export type Unsubscribe = () => void;

/** Why an engine is or is not serving. */
export type EngineState =
  | { readonly kind: 'operational' }
  | { readonly kind: 'forming' } // gather, commit or recovery: the ring is being agreed
  /** Another node has a newer corosync.conf: this one stays out of the ring until it has it too. */
  | { readonly kind: 'outdated'; readonly reason: string }
  | { readonly kind: 'down'; readonly reason: string }; // the engine's process cannot be reached

export interface MemberStatus {
  readonly nodeId: NodeId;
  /** `name` in the nodelist, or null where the configuration gives none. */
  readonly name: string | null;
  readonly votes: number;
  /** ringX_addr of every configured link, in order of link number. */
  readonly addresses: readonly { readonly link: number; readonly address: string }[];
  /** `member`: in the current ring. `absent`: in the nodelist, not in the ring. */
  readonly state: 'member' | 'absent';
  readonly local: boolean;
}

export interface LinkStatus {
  readonly link: number;
  readonly peer: NodeId;
  readonly address: string;
  /** It answers: `state` is up. */
  readonly connected: boolean;
  /** `untested`: neither an answer nor a silence that is long enough. */
  readonly state: 'up' | 'down' | 'untested';
  /** Since when, in milliseconds since 1970; null when the engine does not tell. */
  readonly since: number | null;
  /** Smoothed round trip in microseconds; null before the first measurement. */
  readonly latencyUs: number | null;
  /** Largest IP packet in bytes that is known to pass; null before it was measured, or when the engine does not tell. */
  readonly mtu: number | null;
  /** How often it failed since the engine started. */
  readonly failures: number;
}

export type QuorumFlag =
  'Quorate' | '2Node' | 'WaitForAll' | 'LastManStanding' | 'AutoTieBreaker' | 'AllowDownscale' | 'Qdevice';

/** Votes as votequorum counts them. `quorum` is the number of votes needed. */
export interface QuorumStatus {
  readonly quorate: boolean;
  readonly expectedVotes: number;
  readonly highestExpected: number;
  readonly totalVotes: number;
  readonly quorum: number;
  readonly flags: readonly QuorumFlag[];
}

export interface EngineStatus {
  readonly engine: EngineKind;
  readonly state: EngineState;
  readonly clusterName: string;
  /** config_version the engine runs with, which may lag behind the file. */
  readonly configVersion: number;
  readonly transport: string;
  readonly localNode: NodeId;
  readonly ringId: RingId | null;
  /** Every configured node, and every member, in ring order (ascending node id). */
  readonly members: readonly MemberStatus[];
  readonly links: readonly LinkStatus[];
  readonly quorum: QuorumStatus;
}

export interface ReloadReport {
  readonly configVersion: number;
  /** Sentences: what is in effect now. */
  readonly live: readonly string[];
  /** Sentences: what waits for a restart of the engine. */
  readonly needsRestart: readonly string[];
}

export interface View {
  readonly ringId: RingId;
  /** Members in ascending node id. */
  readonly members: readonly NodeId[];
  readonly joined: readonly NodeId[];
  readonly left: readonly NodeId[];
}

export interface Delivery {
  readonly sender: NodeId;
  readonly payload: Uint8Array;
}

/**
 * A closed process group, after corosync's CPG: messages reach every member, the sender too, in one
 * total order, and views are delivered in that same order.
 */
export interface Group {
  readonly name: string;
  /**
   * Queues one message of up to 1 MiB. Resolves when it is queued (not delivered); waits while the
   * engine's window is full. Rejects with EngineDown when the engine's process is gone.
   */
  multicast(payload: Uint8Array): Promise<void>;
  onDeliver(handler: (message: Delivery) => void): Unsubscribe;
  onView(handler: (view: View) => void): Unsubscribe;
  /** The engine was lost (`false`) or is back (`true`). After `true` a fresh view follows. */
  onConnection(handler: (connected: boolean) => void): Unsubscribe;
  leave(): Promise<void>;
}

export interface Engine {
  /** Last known status; never blocks. */
  status(): EngineStatus;
  group(name: string): Promise<Group>;
  /** votequorum's `expected`: rejects values below 1 or above what the nodelist allows. */
  setExpectedVotes(votes: number): Promise<void>;
  /** Reads /etc/corosync/corosync.conf anew. Rejects with the reason when the file is refused. */
  reload(): Promise<ReloadReport>;
  /**
   * Compares what the engine runs with what this text asks for: a reload that says "done" proves little
   * (measured on Corosync). Sentences for what differs; empty when all of it is in effect.
   */
  readBack(text: string): Promise<readonly string[]>;
  /** Called with the new status after every change of quorum, links or membership. */
  onStatus(handler: (status: EngineStatus) => void): Unsubscribe;
  close(): Promise<void>;
}

/** The engine's process cannot be reached: not started, crashed or stopped. */
export class EngineDown extends Error {
  override readonly name = 'EngineDown';
}
