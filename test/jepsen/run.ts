/** `npm run jepsen -- [--minutes 3] [--seed S] [--nodes 5] [--engine totem|corosync] [--file F]`: see README.md. */
import { parseArgs } from 'node:util';
import { campaign } from './campaign.ts';
import { report } from './report.ts';

const { values } = parseArgs({
  options: {
    ...{ minutes: { type: 'string' }, seed: { type: 'string' }, nodes: { type: 'string' } },
    ...{ engine: { type: 'string' }, processes: { type: 'string' }, file: { type: 'string' } },
  },
});
const engine = (['totem', 'corosync'] as const).find((name) => name === (values.engine ?? 'totem'));
if (engine === undefined) throw new Error('--engine is totem or corosync');
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const options = {
  ...{ minutes: Number(values.minutes ?? 3), seed, nodes: Number(values.nodes ?? 5), engine },
  ...{ processes: Number(values.processes ?? 3), file: values.file ?? `artefacts/jepsen-${seed}.jsonl` },
  say: (line: string) => console.log(line),
} as const;
const { good, lines } = report(await campaign(options), options.minutes);
console.log(lines.join('\n'));
console.log(`seed ${seed}, history in ${options.file}`);
process.exit(good ? 0 : 1);
