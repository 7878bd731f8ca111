/** A copy of the core and of the simulator in a directory of its own, with one text replaced. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type * as PlanModule from '../plan.ts';
import type * as StormModule from '../storm.ts';

const project = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
/** What a simulation is made of. */
const ROOMS = ['agent/totem', 'agent/quorum', 'agent/replica', 'agent/tree', 'agent/result.ts', 'test/sim'];

/** One text of a file of the core, and what stands there instead. */
export interface Mutation {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Disposable {
  readonly planOf: typeof PlanModule.planOf;
  readonly weather: typeof StormModule.weather;
}

export async function mutant(mutation: Mutation): Promise<Mutant> {
  const { directory, load } = mutatedCopy(mutation);
  const plan = (await load('plan.ts')) as typeof PlanModule;
  const storm = (await load('storm.ts')) as typeof StormModule;
  return { planOf: plan.planOf, weather: storm.weather, [Symbol.dispose]: () => removeCopy(directory) };
}

/** `load` imports a module of the copy's test/sim. Throws when the text is not exactly once in its file. */
export function mutatedCopy({ file, find, replace }: Mutation): {
  readonly directory: string;
  readonly load: (name: string) => Promise<unknown>;
} {
  const source = readFileSync(join(project, file), 'utf8');
  const times = source.split(find).length - 1;
  if (times !== 1) throw new Error(`${file} has ${times} times, not once: ${find}`);
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-mutant-'));
  for (const room of ROOMS) cpSync(join(project, room), join(directory, room), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type": "module"}');
  writeFileSync(
    join(directory, file),
    source.replace(find, () => replace),
  );
  return { directory, load: (name) => import(pathToFileURL(join(directory, 'test/sim', name)).href) };
}

export const removeCopy = (directory: string): void => rmSync(directory, { recursive: true, force: true });
