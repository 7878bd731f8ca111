/** Plays a scenario on the simulator and tells the first line that did not come true. */
import { quorumStatus } from '../../../agent/quorum/quorum.ts';
import { clusterTag, encode } from '../../../agent/totem/packet.ts';
import { Simulation } from '../simulation.ts';
import type { Action, Outcome, Scenario } from './language.ts';

/** How often an outcome that has time is looked for, milliseconds. */
const LOOK = 5;

export interface Failure {
  readonly line: number;
  readonly text: string;
}

/** Null when all came true and no invariant was broken. */
export function play({ plan, statements }: Scenario, trace: ((line: string) => void) | null = null): Failure | null {
  const simulation = new Simulation(plan, trace);
  for (const { line, at, what } of statements) {
    simulation.advance(at);
    let text: string | null = null;
    if (what.kind === 'do') act(simulation, what.action);
    else {
      text = contradiction(simulation, what.outcome);
      while (text !== null && simulation.breach === null && simulation.now < at + what.within) {
        simulation.advance(simulation.now + LOOK);
        text = contradiction(simulation, what.outcome);
      }
    }
    const { breach } = simulation;
    if (breach !== null) return { line, text: `${breach.invariant} at ${breach.at.toFixed(0)} ms: ${breach.text}` };
    if (text !== null) return { line, text: `at ${simulation.now.toFixed(0)} ms ${text}` };
  }
  return null;
}

function act(simulation: Simulation, action: Action): void {
  const { network } = simulation;
  switch (action.kind) {
    case 'start':
    case 'kill':
    case 'leave':
      for (const id of action.nodes) simulation[action.kind](simulation.node(id));
      return;
    case 'wipe':
      for (const id of action.nodes) Object.assign(simulation.node(id).disk, { sequence: null, memory: null });
      return;
    case 'kill-in':
      for (const id of action.nodes) simulation.killIn(simulation.node(id), action.phase);
      return;
    case 'kill-holder':
      simulation.killHolder(action.phase);
      return;
    case 'pause':
      return simulation.pause(simulation.node(action.node), action.ms);
    case 'cut':
    case 'mend':
      return network[action.kind](action.from, action.to);
    case 'split':
      return network.partition(new Map(action.sides.flatMap((side, index) => side.map((id) => [id, index] as const))));
    case 'whole':
      return network.heal();
    case 'apply': {
      const conf = { version: action.version, peers: simulation.plan.nodes };
      for (const id of action.nodes) simulation.configure(simulation.node(id), conf, simulation.chance.below(100));
      return;
    }
    case 'say':
      simulation.say(simulation.node(action.node), action.bytes, action.safe);
      return;
    case 'joins':
      return joinStorm(simulation, action.count);
  }
}

/** Joins as a machine gone wild sends them: every node's name, all sorts of sets, low sequences. */
function joinStorm(simulation: Simulation, count: number): void {
  const { chance, nodes, plan } = simulation;
  for (let sent = 0; sent < count; sent += 1) {
    const sender = plan.nodes[chance.below(plan.nodes.length)];
    const to = nodes[chance.below(nodes.length)];
    if (sender === undefined || to === undefined) continue;
    const proc = plan.nodes.filter(() => chance.happens(0.5));
    const fail = plan.nodes.filter(() => chance.happens(0.2));
    const sets = { leaving: false, sequence: chance.below(1_000_000), version: 1, proc, fail };
    const bytes = encode({ kind: 'join', sender, ...sets }, clusterTag('sim'));
    simulation.later(chance.below(1000), () => simulation.inject(to, bytes));
  }
}

/** What is otherwise than expected; null where nothing is. */
function contradiction(simulation: Simulation, outcome: Outcome): string | null {
  switch (outcome.kind) {
    case 'ring': {
      const wanted = outcome.nodes.join(' ');
      const odd = outcome.nodes.map((id) => simulation.node(id)).find((node) => !node.isInRing(wanted));
      return odd === undefined ? null : `node ${odd.id} is ${odd.phase}, its view is {${odd.members.join(' ')}}`;
    }
    case 'quorate':
    case 'not-quorate': {
      const wanted = outcome.kind === 'quorate';
      const odd = outcome.nodes.find((id) => quorumStatus(simulation.node(id).quorum).quorate !== wanted);
      return odd === undefined ? null : `node ${odd} is ${wanted ? 'not ' : ''}quorate`;
    }
    case 'down': {
      const odd = outcome.nodes.find((id) => simulation.node(id).up);
      return odd === undefined ? null : `node ${odd} runs`;
    }
    case 'no-view': {
      const odd = simulation.log.find(
        ({ at, node, effect }) => effect.kind === 'view' && at > outcome.since && outcome.nodes.includes(node),
      );
      return odd === undefined ? null : `node ${odd.node} got a view at ${odd.at.toFixed(0)} ms`;
    }
    case 'outdated': {
      const told = simulation.log.some(({ node, effect }) => effect.kind === 'outdated' && node === outcome.node);
      return told ? null : `node ${outcome.node} has not said that it is outdated`;
    }
    case 'kept-out': {
      const { node: peer, by } = outcome;
      const told = simulation.log.some(
        ({ node, effect }) => effect.kind === 'kept-out' && node === by && effect.peer === peer,
      );
      return told ? null : `node ${by} has not said that it keeps node ${peer} out`;
    }
    case 'version': {
      const { version } = simulation.node(outcome.node).disk.conf;
      return version === outcome.count ? null : `node ${outcome.node} has version ${version}`;
    }
    case 'delivered': {
      const { taken } = simulation.node(outcome.node);
      return taken === outcome.count ? null : `node ${outcome.node} has delivered ${taken}`;
    }
  }
}
