/** Callers everywhere, and kills, power cuts, pauses and partitions; then the network heals and everything must be well. */
import { quorumSettingsOf } from '../../../agent/quorum/quorum.ts';
import { CALM, planOf, type Plan } from '../plan.ts';
import type { SimulatedNode } from '../simulated-node.ts';
import { Simulation } from '../simulation.ts';
import { healingTime } from '../storm.ts';
import { ReplicaNodes, type ReplicaBreach } from './replica-nodes.ts';

export interface ReplicaRun {
  readonly breach: ReplicaBreach | null;
  readonly answers: number;
  readonly acknowledged: number;
}

/**
 * The ring's plan of a seed with votes of which any two majorities share one: with rules that lower the quorum
 * (last_man_standing, two_node) a majority may come together that has no disk in common with the one before.
 */
export function replicaPlanOf(seed: number, nodes: number): Plan {
  const plan = planOf(seed, nodes);
  const { incidents } = plan.faults;
  return {
    ...plan,
    quorum: quorumSettingsOf(new Map(plan.nodes.map((id) => [id, 1]))),
    datagram: 1_400,
    window: Math.max(8, plan.window),
    faults: { ...plan.faults, loss: Math.min(plan.faults.loss, 0.02), incidents },
    storm: 1_500 + (seed % 7) * 500,
  };
}

/** Runs a seed's storm and gives the first breach of an invariant of the replicas; null: there is none. */
export function replicaWeather(plan: Plan, trace: ((line: string) => void) | null = null): ReplicaRun {
  let nodes: ReplicaNodes | null = null;
  const simulation = new Simulation(plan, trace, (of) => (nodes = new ReplicaNodes(of)));
  // Its constructor has made them.
  const replicas = nodes as ReplicaNodes | null;
  if (replicas === null) throw new Error('the simulation made no replicas');
  const storm = new ReplicaStorm(simulation, replicas);
  const isWell = (): boolean => replicas.breach === null && simulation.breach === null;
  const run = (until: number): void => {
    while (isWell() && simulation.now < until) simulation.advance(Math.min(until, simulation.now + 50));
  };
  storm.begin();
  run(plan.storm);
  storm.end();
  // A ring that is about to break looks well until the token is missed: it has to stay so.
  const steady = 2 * plan.timeouts.token;
  const latest = simulation.now + healingTime(plan) + 6_000;
  for (let well = 0; isWell() && simulation.now < latest && well < steady;) {
    run(simulation.now + 100);
    well = replicas.isHealed() ? well + 100 : 0;
  }
  if (simulation.breach !== null)
    throw new Error(`the ring: ${simulation.breach.invariant}: ${simulation.breach.text}`);
  if (replicas.breach === null) replicas.healed();
  return replicas;
}

class ReplicaStorm {
  private readonly simulation: Simulation;
  private readonly replicas: ReplicaNodes;
  private raging = true;
  private names = 0;
  private locks = 0;

  constructor(simulation: Simulation, replicas: ReplicaNodes) {
    this.simulation = simulation;
    this.replicas = replicas;
  }

  begin(): void {
    const { plan, nodes } = this.simulation;
    for (const node of nodes) {
      this.simulation.later(this.around(100), () => this.simulation.start(node));
      this.simulation.later(this.around(300), () => this.call(node));
    }
    this.simulation.later(this.around(plan.faults.incidents), () => this.incident());
  }

  end(): void {
    const { simulation } = this;
    this.raging = false;
    simulation.note('the storm is over');
    simulation.network.heal();
    simulation.network.faults = CALM;
    for (const node of simulation.nodes) {
      node.dyingAfter = null;
      node.dyingIn = null;
      if (simulation.now < node.pausedUntil) {
        node.pausedUntil = simulation.now;
        simulation.pause(node, 0);
      }
      simulation.start(node);
    }
  }

  private call(node: SimulatedNode): void {
    if (!this.raging) return;
    const { chance } = this.simulation;
    for (let count = 1 + chance.below(4); count > 0; count -= 1) this.ask(node);
    this.simulation.later(this.around(25), () => this.call(node));
  }

  private ask(node: SimulatedNode): void {
    const { chance } = this.simulation;
    if (chance.happens(0.15)) {
      // All want the same lock at about the same time.
      if (chance.happens(0.3)) this.locks += 1;
      const name = `lock${this.locks}`;
      this.replicas.ask(node, { kind: 'mkdir', path: name }, { node: node.id, name, kind: 'exclusive' });
      return;
    }
    this.names += 1;
    const name = `f${this.names}`;
    const data = new Uint8Array(chance.happens(0.02) ? 20_000 : chance.below(60)).fill(this.names);
    const operation = { kind: 'write', target: name, data, create: true } as const;
    this.replicas.ask(node, operation, { node: node.id, name, kind: 'file' });
  }

  private incident(): void {
    if (!this.raging) return;
    this.strike(this.any());
    this.simulation.later(this.around(this.simulation.plan.faults.incidents), () => this.incident());
  }

  private strike(node: SimulatedNode): void {
    const { simulation } = this;
    const { chance, network, plan } = simulation;
    switch (chance.below(9)) {
      case 0:
      case 1:
        network.partition(new Map(plan.nodes.map((id) => [id, chance.below(2)])));
        return simulation.note('the network falls apart');
      case 2:
      case 3:
        network.heal();
        return simulation.note('the network is whole');
      case 4:
        simulation.kill(node);
        return this.startAgain(node);
      case 5:
        simulation.killAmid(node, chance.below(8));
        return this.startAgain(node);
      case 6:
        return simulation.pause(node, this.around(plan.timeouts.token * (chance.happens(0.5) ? 0.5 : 2)));
      case 7: {
        const other = this.any();
        if (other !== node) network.cut(node.id, other.id);
        return;
      }
      default:
        simulation.note('the power of all nodes fails');
        for (const each of simulation.nodes) {
          simulation.kill(each);
          this.startAgain(each);
        }
    }
  }

  private startAgain(node: SimulatedNode): void {
    this.simulation.later(this.around(700), () => this.simulation.start(node));
  }

  private any(): SimulatedNode {
    const { chance, nodes } = this.simulation;
    const node = nodes[chance.below(nodes.length)];
    if (node === undefined) throw new RangeError('a simulation has nodes');
    return node;
  }

  /** A random time around `mean`, at least 0.1 ms. */
  private around(mean: number): number {
    return 0.1 + this.simulation.chance.below(Math.max(1, Math.round(mean * 20))) / 10;
  }
}
