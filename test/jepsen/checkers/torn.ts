/** Readers never see a torn value: half of one, a mixture of two, an empty file between two. */
import { only, told } from '../history.ts';
import type { Checker } from './checker.ts';

export const neverTorn: Checker = ({ operations, finals }) => {
  const violations: string[] = [];
  for (const operation of only(operations, 'read', 'readRecords')) {
    const { outcome, type } = operation;
    if (type !== 'ok' || outcome === null) continue;
    if ('read' in outcome && outcome.read === null)
      violations.push(`a file that is always there was not: ${told(operation)}`);
    if ('read' in outcome && outcome.read?.kind === 'torn') violations.push(`a torn value: ${told(operation)}`);
    if ('records' in outcome && outcome.records.torn !== null) violations.push(`a torn record: ${told(operation)}`);
  }
  for (const { node, registers, logs } of finals) {
    for (const [key, read] of Object.entries(registers))
      if (read?.kind !== 'whole') violations.push(`at the end ${key} on ${node} is ${JSON.stringify(read)}`);
    for (const [key, { torn }] of Object.entries(logs))
      if (torn !== null) violations.push(`at the end ${key} on ${node} is torn: ${torn}`);
  }
  return violations;
};
