/**
 * Each makes of a history one that must not be, as a defect of the file system would, by one event or one final value.
 * A checker that does not notice checks nothing: they are tried on histories of a perfect store (test/unit) and on the
 * history of every real run (test/node).
 */
import { minorities } from './checkers/minority.ts';
import { FIRST_VALUE, valueRead } from './checkers/register-linearizable.ts';
import { grouped, only, type Final, type History, type Of, type Operation, type Outcome } from './history.ts';
import type { CHECKERS } from './judge.ts';

export interface Alteration {
  readonly name: string;
  readonly caughtBy: keyof typeof CHECKERS;
  /** Null when the history has no place for it. */
  readonly alter: (history: History) => History | null;
}

export const ALTERATIONS: readonly Alteration[] = [
  {
    name: 'an acknowledged record is not in its file at the end',
    caughtBy: 'acknowledged writes are present at the end',
    alter: (history) => {
      const append = only(history.operations, 'append').find(({ type }) => type === 'ok');
      if (append === undefined) return null;
      const { key, value } = append.action;
      return atTheEnd(history, (final) => {
        const { ids, torn } = final.logs[key] ?? { ids: [], torn: null };
        return { ...final, logs: { ...final.logs, [key]: { ids: ids.filter((id) => id !== value), torn } } };
      });
    },
  },
  {
    name: 'an older value is there at the end',
    caughtBy: 'acknowledged writes are present at the end',
    alter: (history) => {
      const [write] = overwritten(history);
      if (write === undefined) return null;
      const read = { kind: 'whole', id: write.action.value } as const;
      return atTheEnd(history, (final) => ({ ...final, registers: { ...final.registers, [write.action.key]: read } }));
    },
  },
  {
    name: 'a node has another tree at the end',
    caughtBy: 'acknowledged writes are present at the end',
    alter: (history) => ({
      ...history,
      finals: history.finals.map((final, at) => (at === 1 ? { ...final, digest: 'another' } : final)),
    }),
  },
  {
    name: 'a reader saw half a value',
    caughtBy: 'no reader sees a torn value',
    alter: (history) =>
      change(
        history,
        only(history.operations, 'read').find(({ type }) => type === 'ok'),
        {
          outcome: { read: { kind: 'torn', why: 'altered' } },
        },
      ),
  },
  {
    name: 'a reader went back to an older value',
    caughtBy: 'each file has one order',
    alter: (history) => {
      const ended = endings(history);
      const readers = grouped(
        only(history.operations, 'read'),
        ({ process, mount, action }) => `${process} ${mount} ${action.key}`,
      );
      for (const reads of readers.values()) {
        const clean = reads.filter((read) => (ended.get(valueRead(read) ?? '') ?? Infinity) <= read.ended);
        const [one, next] = [clean[0], clean.find((read) => valueRead(read) !== valueRead(clean[0] ?? read))];
        const last =
          next === undefined ? undefined : reads.find(({ begun, type }) => begun > next.ended && type === 'ok');
        if (one !== undefined && last !== undefined) return change(history, last, { outcome: one.outcome });
      }
      return null;
    },
  },
  {
    name: 'a write that failed was seen',
    caughtBy: 'each file has one order',
    alter: (history) => {
      const seen = new Set(only(history.operations, 'read').map(valueRead));
      const write = only(history.operations, 'write').find(
        ({ action, type }) => type === 'ok' && seen.has(action.value),
      );
      return change(history, write, { type: 'fail', error: 'EACCES' });
    },
  },
  ...(['settled', 'fresh'] as const).map((mode): Alteration => ({
    name: `a ${mode} read gave what was overwritten before`,
    caughtBy: 'settled reads are linearizable, fresh reads are fresh',
    alter: (history) => {
      const old = overwritten(history);
      for (const read of only(history.operations, 'read')) {
        if (read.action.mode !== mode || read.type !== 'ok') continue;
        const write = old.find(({ action, by }) => action.key === read.action.key && by < read.begun);
        if (write !== undefined)
          return change(history, read, { outcome: { read: { kind: 'whole', id: write.action.value } } });
      }
      return null;
    },
  })),
  {
    name: 'two records changed places',
    caughtBy: 'appends are kept, in one order',
    alter: (history) => {
      const ended = new Map(only(history.operations, 'append').map(({ action, ended: at }) => [action.value, at]));
      for (const read of only(history.operations, 'readRecords')) {
        if (read.type !== 'ok' || read.outcome === null || !('records' in read.outcome)) continue;
        const [one, two, ...rest] = read.outcome.records.ids;
        if (one === undefined || two === undefined || (ended.get(two) ?? Infinity) > read.ended) continue;
        return change(history, read, { outcome: { records: { ids: [two, one, ...rest], torn: null } } });
      }
      return null;
    },
  },
  {
    name: 'a second one created the name',
    caughtBy: 'an exclusive create has one winner',
    alter: (history) => {
      const won = new Set(
        only(history.operations, 'create')
          .filter(({ type }) => type === 'ok')
          .map(({ action }) => action.key),
      );
      const loser = only(history.operations, 'create').find(
        ({ error, action }) => error === 'EEXIST' && won.has(action.key),
      );
      return change(history, loser, { type: 'ok', error: '' });
    },
  },
  {
    name: 'a second one took the lock',
    caughtBy: 'a lock has one holder',
    alter: (history) => {
      const locks = only(history.operations, 'lock', 'unlock');
      for (const held of only(history.operations, 'lock').filter(({ type }) => type === 'ok')) {
        const release = locks.find(
          ({ action, process, begun }) => action.f === 'unlock' && process === held.process && begun >= held.ended,
        );
        const refused = locks.find(
          ({ action, error, begun, ended }) =>
            error === 'EEXIST' &&
            action.key === held.action.key &&
            begun > held.ended &&
            ended < (release?.begun ?? Infinity),
        );
        if (refused !== undefined) return change(history, refused, { type: 'ok', error: '' });
      }
      return null;
    },
  },
  {
    name: 'a guest has a second file',
    caughtBy: 'a guest is at one place',
    alter: (history) =>
      change(
        history,
        only(history.operations, 'clone').find(({ type }) => type === 'fail'),
        { type: 'ok', error: '' },
      ),
  },
  {
    name: 'a guest did not move after all',
    caughtBy: 'a guest is at one place',
    alter: (history) => {
      const byGuest = grouped(
        only(history.operations, 'move').filter(({ type }) => type !== 'fail'),
        ({ action }) => action.key,
      );
      const [key, place] =
        [...byGuest].flatMap(([guest, [move]]) =>
          move !== undefined && move.type === 'ok' && history.finals[0]?.guests[guest]?.[0] !== move.action.from
            ? [[guest, `nodes/nowhere/lxc/${guest}.conf`] as const]
            : [],
        )[0] ?? [];
      if (key === undefined || place === undefined) return null;
      return atTheEnd(history, (final) => ({ ...final, guests: { ...final.guests, [key]: [place] } }));
    },
  },
  {
    name: 'a minority acknowledged',
    caughtBy: 'a minority acknowledges nothing',
    alter: (history) => {
      const stretches = minorities(history, new Set(history.network.flatMap(({ sides }) => sides.flat())).size);
      const refused = only(history.operations, 'write', 'append', 'move').find(
        ({ node, begun, ended, type }) =>
          type === 'fail' && stretches.some(({ from, to, nodes }) => nodes.has(node) && from <= begun && ended <= to),
      );
      return change(history, refused, { type: 'ok', error: '' });
    },
  },
];

function change(
  history: History,
  operation: Operation | undefined,
  to: Partial<Pick<Operation, 'type' | 'error'>> & { readonly outcome?: Outcome | null },
): History | null {
  if (operation === undefined) return null;
  const operations = history.operations.map((each) => (each === operation ? { ...each, ...to } : each));
  return { ...history, operations };
}

const atTheEnd = (history: History, change: (final: Final) => Final): History => ({
  ...history,
  finals: history.finals.map(change),
});

const endings = ({ operations }: History): Map<string, number> =>
  new Map([
    [FIRST_VALUE, -Infinity],
    ...only(operations, 'write').map(({ action, ended }) => [action.value, ended] as const),
  ]);

/** Acknowledged writes after which another one was begun and acknowledged; `by`: when that was. */
function overwritten({ operations }: History): (Of<'write'> & { readonly by: number })[] {
  const writes = only(operations, 'write').filter(({ type }) => type === 'ok');
  return writes.flatMap((write) => {
    const next = writes.find(({ action, begun }) => action.key === write.action.key && begun > write.ended);
    return next === undefined ? [] : [{ ...write, by: next.ended }];
  });
}
