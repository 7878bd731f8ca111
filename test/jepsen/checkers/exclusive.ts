/** Of those who create a name exclusively, one wins; and whoever is told that it exists had somebody come first. */
import { grouped, only, told } from '../history.ts';
import type { Checker } from './checker.ts';

export const oneCreator: Checker = ({ operations }) =>
  [...grouped(only(operations, 'create'), ({ action }) => action.key)].flatMap(([key, creates]) => {
    const winners = creates.filter(({ type }) => type === 'ok');
    if (winners.length > 1) return [`${winners.length} created ${key}: ${winners.map(told).join('; ')}`];
    const perhaps = creates.filter(({ type }) => type !== 'fail');
    return creates
      .filter(({ error }) => error === 'EEXIST')
      .filter((refused) => !perhaps.some(({ begun }) => begun < refused.ended))
      .map((refused) => `${key} existed, and nobody had made it: ${told(refused)}`);
  });
