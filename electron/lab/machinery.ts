/** What differs between a lab of namespaces and one of processes. Types only. */
import type { LabPaths, LabState, NodeState } from './state.ts';

/** A program to start so that it runs in a node. */
export interface Entrance {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

export interface Machinery {
  /** Why nodes cannot be cut off from each other here; null when they can. */
  readonly whyNoCut: string | null;
  /** Makes what is missing of networks, keys and files. Starts nothing. */
  prepare(paths: LabPaths, state: LabState): Promise<void>;
  /** Starts the node unless it runs; resolves when its SSH server answers. */
  boot(paths: LabPaths, state: LabState, node: NodeState): Promise<void>;
  /** Ends everything of the node at once. */
  end(paths: LabPaths, node: NodeState): Promise<void>;
  isRunning(paths: LabPaths, node: NodeState): boolean;
  /** Makes the network as the nodes' groups say. */
  partition(state: LabState): Promise<void>;
  /** Throws when the node is stopped. */
  enter(paths: LabPaths, state: LabState, node: NodeState, command: readonly string[]): Entrance;
}
