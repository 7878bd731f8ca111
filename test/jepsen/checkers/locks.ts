/** A lock has one holder: from the moment mkdir has returned to that at which rmdir is called. */
import { grouped, only, told, type Of } from '../history.ts';
import type { Checker } from './checker.ts';

interface Holding {
  readonly lock: Of<'lock'>;
  /** Infinity when it was never released. */
  readonly until: number;
}

export const oneHolder: Checker = ({ operations }) =>
  [...grouped(only(operations, 'lock', 'unlock'), ({ action }) => action.key)].flatMap(([key, list]) => {
    const holdings = only(list, 'lock')
      .filter(({ type }) => type === 'ok')
      .map((lock): Holding => {
        const release = only(list, 'unlock').find(
          ({ process, begun }) => process === lock.process && begun >= lock.ended,
        );
        return { lock, until: release?.begun ?? Infinity };
      })
      .sort((left, right) => left.lock.ended - right.lock.ended);
    return holdings.flatMap(({ lock, until }, at) => {
      const next = holdings[at + 1];
      return next !== undefined && next.lock.ended < until
        ? [`${key} had two holders: ${told(lock)}, until ${until.toFixed(1)}, and ${told(next.lock)}`]
        : [];
    });
  });
