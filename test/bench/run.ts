/** `npm run bench -- NAME`: what something costs, beside a peer in the same run. Prints; never fails on a number. */
import { benchEditor } from './editor.ts';
import { benchEngines } from './engines.ts';
import { benchFs } from './fs.ts';
import { benchRing } from './ring.ts';

const benches: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  editor: benchEditor,
  engines: benchEngines,
  fs: benchFs,
  ring: benchRing,
};

const [name, ...args] = process.argv.slice(2);
const bench = name === undefined ? undefined : benches[name];
if (bench === undefined) {
  console.error(`Which one? ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
await bench(args);
