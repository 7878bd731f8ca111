/** Reads what `node --cpu-prof` wrote. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** Microseconds of CLOCK_MONOTONIC. */
  readonly startTime: number;
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/**
 * Where the time went: share of the time that was not idle, by function, largest first; one line each. `window` is what
 * counts, in this process's performance.now(): both clocks are CLOCK_MONOTONIC.
 */
export function topOfProfile(
  directory: string,
  most: number,
  window: { readonly from: number; readonly to: number },
): string[] {
  // Named by the time of their beginning: an earlier run may have left one.
  const file = readdirSync(directory)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort()
    .at(-1);
  if (file === undefined) return ['no profile was written'];
  const profile = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Profile;
  const nameOf = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || '(anonymous)'}${url === '' ? '' : `  ${basename(url)}:${lineNumber + 1}`}`,
    ]),
  );
  const own = new Map<string, number>();
  const zero = Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000;
  let at = profile.startTime - zero;
  for (const [index, id] of profile.samples.entries()) {
    at += profile.timeDeltas[index] ?? 0;
    if (at < window.from * 1000 || at > window.to * 1000) continue;
    const name = nameOf.get(id) ?? '?';
    own.set(name, (own.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0));
  }
  const idle = own.get('(idle)') ?? 0;
  own.delete('(idle)');
  const busy = [...own.values()].reduce((sum, time) => sum + time, 0);
  const lines = [...own]
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, time]) => `${((time / busy) * 100).toFixed(1).padStart(5)} %  ${name}`);
  return [`busy ${(busy / 1e6).toFixed(1)} s of ${((busy + idle) / 1e6).toFixed(1)} s`, ...lines];
}
