/**
 * `npm run sim -- --seeds N --nodes K [--seed S] [--replica]`: runs the ring in the simulator, or the replicas above it. The first breach of an invariant
 * ends a seed; with `--seed`, what happened before it is told line by line.
 */
import { parseArgs } from 'node:util';
import { planOf } from './plan.ts';
import { replicaPlanOf, replicaWeather } from './replica/replica-storm.ts';
import { weather } from './storm.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    nodes: { type: 'string', default: '5' },
    seed: { type: 'string' },
    replica: { type: 'boolean', default: false },
    /** The first of `seeds`. */
    from: { type: 'string', default: '1' },
    /** Lines of the trace before the breach; 0: all. */
    lines: { type: 'string', default: '400' },
  },
});

const nodes = Number(values.nodes);
const again = `npm run sim -- ${values.replica ? '--replica ' : ''}--nodes ${nodes}`;
const play = (
  seed: number,
  trace: ((line: string) => void) | null,
): { readonly invariant: string; readonly text: string; readonly at: number } | null =>
  values.replica ? replicaWeather(replicaPlanOf(seed, nodes), trace).breach : weather(planOf(seed, nodes), trace);
const begun = Date.now();

if (values.seed !== undefined) {
  const lines: string[] = [];
  const breach = play(Number(values.seed), (line) => lines.push(line));
  console.log(lines.slice(values.lines === '0' ? 0 : -Number(values.lines)).join('\n'));
  console.log(breach === null ? 'no breach' : `${breach.invariant}, at ${breach.at.toFixed(1)} ms: ${breach.text}`);
  process.exit(breach === null ? 0 : 1);
}

const first = Number(values.from);
const count = Number(values.seeds);
let failed = 0;
for (let seed = first; seed < first + count && failed < 5; seed += 1) {
  const breach = play(seed, null);
  if (breach === null) continue;
  failed += 1;
  console.log(`seed ${seed}, ${nodes} nodes, ${breach.at.toFixed(0)} ms: ${breach.invariant}: ${breach.text}`);
  console.log(`  again, with a trace: ${again} --seed ${seed}`);
}
const seconds = (Date.now() - begun) / 1000;
const pace = Math.round((count / seconds) * 60);
console.log(`${count} seeds, ${nodes} nodes: ${failed} failed, ${seconds.toFixed(1)} s, ${pace} seeds a minute`);
process.exitCode = failed > 0 ? 1 : 0;
