/** A run under faults: random incidents for a while, then the network heals and everything must be well. */
import type { NodeId } from '../../agent/totem/ids.ts';
import type { RingPhase } from '../../agent/totem/ring-types.ts';
import { CALM, type Plan } from './plan.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { Simulation, type Breach } from './simulation.ts';

const PHASES: readonly RingPhase[] = ['gather', 'commit', 'recovery', 'operational'];

/** How long a healed cluster may take to be one ring, in milliseconds: token timeouts, and what waits for them. */
export const healingTime = ({ timeouts }: Pick<Plan, 'timeouts'>): number =>
  16 * timeouts.token + 6 * timeouts.consensus;

/** Runs a seed's storm and gives the first breach of an invariant: null, if the ring is right. */
export function weather(plan: Plan, trace: ((line: string) => void) | null = null): Breach | null {
  const simulation = new Simulation(plan, trace);
  const storm = new Storm(simulation);
  storm.begin();
  simulation.advance(plan.storm);
  storm.end();
  // What is said and changed last, below, is said within this time.
  simulation.advance(simulation.now + 300);
  simulation.heal(healingTime(plan));
  return simulation.breach;
}

class Storm {
  private readonly simulation: Simulation;
  private readonly plan: Plan;
  private raging = true;
  private version = 1;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
    this.plan = simulation.plan;
  }

  begin(): void {
    const { simulation } = this;
    const together = simulation.chance.happens(0.5);
    for (const node of simulation.nodes) {
      if (together) simulation.start(node);
      else simulation.later(this.around(300), () => simulation.start(node));
      simulation.later(this.around(50), () => this.talk(node));
    }
    simulation.later(this.around(this.plan.faults.incidents), () => this.incident());
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
    // Every node is in the last configuration again. Who was away finds out by itself.
    const all = { version: this.version + 1, peers: this.plan.nodes };
    const newest = simulation.nodes.filter((node) => node.disk.conf.version === this.version);
    for (const node of newest) simulation.configure(node, all, simulation.chance.below(50));
    for (const node of simulation.nodes) simulation.later(this.around(100), () => simulation.say(node, 30, true));
  }

  private talk(node: SimulatedNode): void {
    const { chance } = this.simulation;
    const { pause, burst, small, large } = this.plan.workload;
    if (!this.raging) return;
    for (let count = 1 + chance.below(burst); count > 0; count -= 1) {
      const most = large > 0 && chance.happens(0.01) ? large : small;
      if (!this.simulation.say(node, chance.below(most), chance.happens(0.3))) break;
    }
    this.simulation.later(this.around(pause), () => this.talk(node));
  }

  private incident(): void {
    if (!this.raging) return;
    this.strike(this.any());
    this.simulation.later(this.around(this.plan.faults.incidents), () => this.incident());
  }

  private strike(node: SimulatedNode): void {
    const { simulation, plan } = this;
    const { chance, network } = simulation;
    const { token } = plan.timeouts;
    switch (chance.below(14)) {
      case 0:
        network.partition(new Map(plan.nodes.map((id) => [id, chance.below(2)])));
        return simulation.note('the network falls apart');
      case 1:
      case 2:
        network.heal();
        return simulation.note('the network is whole');
      case 3:
        simulation.kill(node);
        return this.startAgain(node);
      case 4:
        simulation.killAmid(node, chance.below(6));
        return this.startAgain(node);
      case 5:
        simulation.killIn(node, PHASES[chance.below(PHASES.length)] ?? 'gather');
        return this.startAgain(node);
      case 6:
        if (chance.happens(0.5)) return simulation.pause(node, this.around(token));
        return simulation.pause(node, this.around(token * 2.5));
      case 7: {
        const other = this.any();
        if (other === node) return;
        network.cut(node.id, other.id);
        return simulation.note(`cut from ${node.id} to ${other.id}`);
      }
      case 8:
        simulation.leave(node);
        return this.startAgain(node);
      case 9:
        // Killed, and its disk is lost; corosync.conf is put there again, with whatever version was at hand.
        simulation.kill(node);
        node.disk.sequence = null;
        node.disk.memory = null;
        return this.startAgain(node);
      case 10:
        simulation.note(`the clock of node ${node.id} jumps`);
        return node.jump(this.around(token * 1.5));
      case 11:
        for (let count = chance.below(20); count > 0; count -= 1) {
          const bytes = network.replayed();
          if (bytes !== null) simulation.inject(this.any(), bytes);
        }
        return simulation.note('old packets are sent again');
      case 12:
        for (let count = chance.below(50); count > 0; count -= 1) simulation.inject(this.any(), network.forged());
        return simulation.note('a stranger sends');
      default:
        return this.apply(node);
    }
  }

  /**
   * A new configuration is put on the disks of a quorate component that is whole, and loaded at different moments:
   * what an apply does that is confirmed.
   */
  private apply(node: SimulatedNode): void {
    const { simulation, plan } = this;
    const { chance } = simulation;
    const component = node.members.map((id) => simulation.node(id));
    const isWhole = component.every(
      (other) =>
        other.standing().quorate &&
        other.members.join() === node.members.join() &&
        simulation.now >= other.pausedUntil &&
        other.disk.conf.version === this.version,
    );
    if (component.length === 0 || !isWhole) return;
    this.version += 1;
    const without = chance.happens(0.3) ? this.any().id : null;
    const peers: readonly NodeId[] = plan.nodes.filter(
      (id) => id !== without || component.some((one) => one.id === id),
    );
    simulation.note(`version ${this.version} is applied: nodes {${peers.join(' ')}}`);
    for (const other of component) simulation.configure(other, { version: this.version, peers }, chance.below(300));
  }

  private startAgain(node: SimulatedNode): void {
    const { simulation } = this;
    simulation.later(this.around(1500), () => simulation.start(node));
  }

  private any(): SimulatedNode {
    const { chance, nodes } = this.simulation;
    const node = nodes[chance.below(nodes.length)] ?? nodes[0];
    if (node === undefined) throw new RangeError('a simulation has nodes');
    return node;
  }

  /** A random time around `mean`, at least 0.1 ms. */
  private around(mean: number): number {
    return 0.1 + this.simulation.chance.below(Math.max(1, Math.round(mean * 20))) / 10;
  }
}
