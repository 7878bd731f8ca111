/**
 * A file that is appended to has one order: what a reader saw is what is there at the end, as far as it went then.
 * A record that was not yet acknowledged when it was read may come elsewhere after a change of view, and what
 * followed it then with it. Settled reads have every record that was acknowledged before they began.
 */
import { grouped, only, told, type History, type Of } from '../history.ts';
import type { Checker } from './checker.ts';

export const appendsInOrder: Checker = (history) => {
  const appends = grouped(only(history.operations, 'append'), ({ action }) => action.key);
  return [...grouped(only(history.operations, 'readRecords'), ({ action }) => action.key)].flatMap(([key, reads]) =>
    oneLog(key, appends.get(key) ?? [], reads, history),
  );
};

function oneLog(
  key: string,
  appends: readonly Of<'append'>[],
  reads: readonly Of<'readRecords'>[],
  { finals }: History,
): string[] {
  const last = finals[0]?.logs[key]?.ids ?? [];
  const byValue = new Map(appends.map((append) => [append.action.value, append]));
  const acknowledged = appends.filter(({ type }) => type === 'ok');
  return reads.flatMap((read) => {
    const { outcome, type, action } = read;
    if (type !== 'ok' || outcome === null || !('records' in outcome)) return [];
    const { ids } = outcome.records;
    const violations: string[] = [];
    const strange = ids.find((id) => !byValue.has(id));
    if (strange !== undefined) violations.push(`${key}: a record nobody appended, ${strange}: ${told(read)}`);
    if (new Set(ids).size !== ids.length) violations.push(`${key}: a record came twice: ${told(read)}`);
    const at = ids.findIndex((id, index) => id !== last[index]);
    const append = at < 0 ? undefined : byValue.get(ids[at] ?? '');
    if (append !== undefined && append.type !== 'info' && append.ended <= read.ended)
      violations.push(`${key}: record ${at} was ${ids[at]} and is ${last[at] ?? 'none'} at the end: ${told(read)}`);
    if (action.mode !== 'local') {
      const known = new Set(ids);
      const missing = acknowledged.find(({ ended, action: { value } }) => ended < read.begun && !known.has(value));
      if (missing !== undefined)
        violations.push(`${key}: a ${action.mode} read without ${told(missing)}: ${told(read)}`);
    }
    return violations;
  });
}
