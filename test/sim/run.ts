/** `npm run sim -- --seeds N --nodes K [--seed S]`: runs the ring in the simulator; a failing seed is named. */
import { parseArgs } from 'node:util';
import { Simulation, type Faults } from './simulator.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    nodes: { type: 'string', default: '5' },
    seed: { type: 'string' },
    storm: { type: 'string', default: '15000' },
  },
});
export const storm: Faults = { loss: 0.05, duplication: 0.02, corruption: 0.01, delay: 8, incidents: 900 };

const first = values.seed === undefined ? 1 : Number(values.seed);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const nodes = Number(values.nodes);
const begun = Date.now();
let failed = 0;
for (let seed = first; seed < first + count; seed += 1) {
  const simulation = new Simulation({
    ...{ seed, nodes, storm: Number(values.storm), faults: storm },
    ...(values.seed === undefined ? {} : { trace: (line: string) => console.log(line) }),
  });
  const breaches = simulation.breaches();
  if (breaches.length === 0) continue;
  failed += 1;
  console.log(`seed ${seed}, ${nodes} nodes:\n  ${breaches.join('\n  ')}`);
  console.log(`  again, with a trace: npm run sim -- --nodes ${nodes} --seed ${seed} --storm ${values.storm}`);
  if (failed >= 5) break;
}
console.log(`${count} seeds, ${nodes} nodes: ${failed} failed, ${((Date.now() - begun) / 1000).toFixed(1)} s`);
process.exitCode = failed > 0 ? 1 : 0;
