/** `npm run bench -- NAME`: what something costs, beside a peer in the same run. Prints; never fails on a number. */
import { benchEditor } from './editor.ts';

const benches: Readonly<Record<string, () => Promise<void>>> = { editor: benchEditor };

const [name] = process.argv.slice(2);
const bench = name === undefined ? undefined : benches[name];
if (bench === undefined) {
  console.error(`Which one? ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
await bench();
