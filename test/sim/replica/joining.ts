/** A node joins two that are written to all the time: how long it takes, and how long the writers wait. */
import { createHash } from 'node:crypto';
import { Database } from '../../../agent/replica/database.ts';
import type { ReplicaImage } from '../../../agent/replica/types.ts';
import { nodeId, type NodeId } from '../../../agent/totem/ids.ts';
import { quorumSettingsOf } from '../../../agent/quorum/quorum.ts';
import { Tree } from '../../../agent/tree/tree.ts';
import { CALM, defaultTimeouts, type Plan } from '../plan.ts';
import { Simulation } from '../simulation.ts';
import type { Asked, ReplicaChecker } from './checkers/checker.ts';
import { ReplicaNodes } from './replica-nodes.ts';

export interface Joining {
  readonly seed: number;
  /** What the two have, and the one that joins: files of 1 KiB, of which it lacks the last ones. */
  readonly files: number;
  readonly missing: number;
  /** Bytes of a millisecond. */
  readonly bandwidth: number;
}

export interface Joined {
  /** From the start of the node until it has the state. Milliseconds of virtual time. */
  readonly took: number;
  /** The longest that a writer waited from then on, and before. */
  readonly longestWait: number;
  readonly longestBefore: number;
  readonly written: number;
  readonly breach: string | null;
}

const PAUSE_MS = 3;
const sha = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

function imageOf(files: number): ReplicaImage {
  const database = new Database(new Tree(), {
    ...{ branch: '', lineage: [], sessions: [], version: { epoch: 0, index: 0 } },
  });
  database.enter(4, 'aa');
  for (let at = 0; at < files; at += 1) {
    const operation = { kind: 'write', target: `old${at}`, data: new Uint8Array(1024).fill(at), create: true } as const;
    database.apply({ node: nodeId(1), session: 9_999, counter: at, floor: at, mtimeS: 7, operation });
  }
  database.digest(sha);
  return database.image(4, null);
}

class Waits implements ReplicaChecker {
  readonly invariant = 'everybody-answered';
  longest = 0;
  count = 0;
  readonly asked = new Map<string, number>();
  /** To be asked again: it goes on waiting. */
  readonly refused: { readonly name: string; readonly node: NodeId }[] = [];
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }
  answered({ name, node }: Asked, errno: string | null): void {
    const since = this.asked.get(name);
    // In the simulation a view is there a moment before its quorum, and what is asked then is refused.
    if (errno !== null) this.refused.push({ name, node });
    if (since === undefined || errno !== null) return;
    this.asked.delete(name);
    this.longest = Math.max(this.longest, this.now() - since);
    this.count += 1;
  }
}

export function joinUnderLoad({ seed, files, missing, bandwidth }: Joining): Joined {
  const ids = [nodeId(1), nodeId(2), nodeId(3)];
  const plan: Plan = {
    ...{ seed, nodes: ids, timeouts: defaultTimeouts(3), datagram: 1_400, window: 64, patient: false },
    quorum: quorumSettingsOf(new Map(ids.map((id) => [id, 1]))),
    faults: { ...CALM, bandwidth },
    workload: { pause: 100, burst: 1, small: 20, large: 0 },
    storm: 0,
  };
  const [full, part] = [imageOf(files), imageOf(files - missing)];
  const images = new Map<NodeId, ReplicaImage>(ids.map((id) => [id, id === 3 ? part : full]));
  let simulation: Simulation | null = null;
  const waits = new Waits(() => simulation?.now ?? 0);
  let replicas: ReplicaNodes | null = null;
  simulation = new Simulation(plan, null, (of) => {
    replicas = new ReplicaNodes(of, { images, checkers: [waits], largePieces: true });
    return replicas;
  });
  // Its constructor has made them.
  const nodes = replicas as ReplicaNodes | null;
  if (nodes === null) throw new Error('the simulation made no replicas');
  const [writers, joiner] = [ids.slice(0, 2).map((id) => simulation.node(id)), simulation.node(nodeId(3))];
  let names = 0;
  const ask = (node: NodeId, name: string): void => {
    const operation = { kind: 'write', target: name, data: new Uint8Array(200), create: true } as const;
    const isAsked = nodes.ask(simulation.node(node), operation, { node, name, kind: 'file' });
    if (!isAsked) waits.refused.push({ node, name });
  };
  const write = (): void => {
    for (const { node, name } of waits.refused.splice(0)) ask(node, name);
    for (const { id } of writers) {
      names += 1;
      waits.asked.set(`new${names}`, simulation.now);
      ask(id, `new${names}`);
    }
    simulation.later(PAUSE_MS, write);
  };
  for (const node of writers) simulation.start(node);
  simulation.advance(2_000);
  waits.asked.clear();
  write();
  simulation.advance(3_000);
  const longestBefore = waits.longest;
  waits.longest = 0;
  const from = simulation.now;
  simulation.start(joiner);
  while (!nodes.isSynced(joiner) && simulation.now < from + 20_000) simulation.advance(simulation.now + 5);
  const took = simulation.now - from;
  simulation.advance(simulation.now + 300);
  // Who waits still has waited for so long already.
  for (const since of waits.asked.values()) waits.longest = Math.max(waits.longest, simulation.now - since);
  const breach = nodes.breach?.text ?? simulation.breach?.text ?? null;
  return { took, longestWait: waits.longest, longestBefore, written: waits.count, breach };
}
