/** A copy of the core and of the simulator in a directory of its own, with one text replaced. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type * as PlanModule from '../plan.ts';
import type * as StormModule from '../storm.ts';
import type { Defect } from './defects.ts';

const project = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
/** What a simulation is made of. */
const ROOMS = ['agent/totem', 'agent/quorum', 'agent/result.ts', 'test/sim'];

export interface Mutant extends Disposable {
  readonly planOf: typeof PlanModule.planOf;
  readonly weather: typeof StormModule.weather;
}

/** Throws when the defect's text is not exactly once in its file: then the list of defects has to follow the code. */
export async function mutant({ file, find, replace }: Pick<Defect, 'file' | 'find' | 'replace'>): Promise<Mutant> {
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
  const load = (name: string): Promise<unknown> => import(pathToFileURL(join(directory, 'test/sim', name)).href);
  const plan = (await load('plan.ts')) as typeof PlanModule;
  const storm = (await load('storm.ts')) as typeof StormModule;
  return {
    planOf: plan.planOf,
    weather: storm.weather,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
