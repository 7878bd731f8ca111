/**
 * What was acknowledged is there at the end, on every node the same: each file has the last value, every appended
 * record is in its file, every file created is there with its creator's contents.
 */
import { grouped, only, told, type Final, type History } from '../history.ts';
import type { Checker } from './checker.ts';
import { FIRST_VALUE } from './register-linearizable.ts';

export const presentAtEnd: Checker = (history) => {
  const { finals } = history;
  const [some] = finals;
  if (some === undefined) return ['nobody read what there is at the end'];
  const unlike = finals.filter(({ digest }) => digest !== some.digest);
  return [
    ...unlike.map(
      ({ node, digest }) => `at the end ${node} has another tree (${digest}) than ${some.node} (${some.digest})`,
    ),
    ...finals.flatMap((final) => [
      ...lastValues(history, final),
      ...records(history, final),
      ...creations(history, final),
    ]),
  ];
};

function lastValues({ operations }: History, { node, registers }: Final): string[] {
  return [...grouped(only(operations, 'write'), ({ action }) => action.key)].flatMap(([key, writes]) => {
    const read = registers[key];
    if (read === undefined || read === null) return [`at the end ${key} is not on ${node}`];
    if (read.kind === 'torn') return [];
    const write = writes.find(({ action }) => action.value === read.id);
    if (write === undefined && read.id !== FIRST_VALUE)
      return [`at the end ${key} on ${node} is what nobody wrote: ${read.id}`];
    const ended = write?.ended ?? -Infinity;
    const later = writes.find(({ type, begun }) => type === 'ok' && begun > ended);
    return later === undefined ? [] : [`at the end ${key} on ${node} is ${read.id}; lost: ${told(later)}`];
  });
}

function records({ operations }: History, { node, logs }: Final): string[] {
  return only(operations, 'append').flatMap((append) => {
    const { key, value } = append.action;
    const count = logs[key]?.ids.filter((id) => id === value).length ?? 0;
    if (append.type === 'ok' && count === 0) return [`at the end ${node} has not ${told(append)}`];
    if (append.type === 'fail' && count > 0) return [`at the end ${node} has what failed: ${told(append)}`];
    return count > 1 ? [`at the end ${node} has ${count} times ${told(append)}`] : [];
  });
}

function creations({ operations }: History, { node, created }: Final): string[] {
  return only(operations, 'create').flatMap((create) => {
    const { key, value } = create.action;
    const text = created[key];
    if (create.type !== 'ok') return [];
    if (text === undefined) return [`at the end ${node} has not ${told(create)}`];
    const whole = create.outcome !== null && 'contents' in create.outcome && create.outcome.contents;
    return text === value || (!whole && text === '')
      ? []
      : [`at the end ${key} on ${node} is "${text}": ${told(create)}`];
  });
}
