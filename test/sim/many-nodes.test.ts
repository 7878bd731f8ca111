/** Rings of 32 and of 128 nodes form, lose a third, and heal; each within the time that its timeouts allow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM, defaultTimeouts, planOf } from './plan.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { Simulation } from './simulation.ts';

/** Milliseconds of virtual time until all of these are in one ring of just these. */
function timeToRing(simulation: Simulation, nodes: readonly SimulatedNode[], most: number): number {
  const begun = simulation.now;
  const members = nodes.map((node) => node.id).join(' ');
  const areOne = (): boolean => nodes.every((node) => node.isInRing(members));
  while (!areOne() && simulation.breach === null && simulation.now < begun + most) {
    simulation.advance(simulation.now + 10);
  }
  assert.equal(simulation.breach, null);
  assert.ok(areOne(), `no ring of ${nodes.length} within ${most} ms`);
  return simulation.now - begun;
}

for (const count of [32, 128]) {
  test(`${count} nodes form a ring, lose a third of it, and heal`, (context) => {
    const faults = { ...CALM, delay: 2 };
    const timeouts = defaultTimeouts(count);
    const usual = { datagram: 1400, window: 64, patient: false };
    const simulation = new Simulation({ ...planOf(1, count), ...usual, timeouts, faults });
    const { nodes } = simulation;
    for (const node of nodes) simulation.later(simulation.chance.below(300), () => simulation.start(node));
    const forming = timeToRing(simulation, nodes, 3000);
    const third = nodes.filter(({ id }) => id % 3 === 0);
    for (const node of third) simulation.kill(node);
    const rest = nodes.filter(({ id }) => id % 3 !== 0);
    const losing = timeToRing(simulation, rest, timeouts.token + 2 * timeouts.consensus + 1000);
    for (const node of third) simulation.start(node);
    const healing = timeToRing(simulation, nodes, 2000);
    context.diagnostic(`formed in ${forming} ms, a third lost in ${losing} ms, healed in ${healing} ms`);
  });
}
