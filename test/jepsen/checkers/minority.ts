/**
 * Nobody acknowledges what a majority does not have: an action that changes something, or asks the order, and that
 * both began and ended while its node was cut off from every majority, was not acknowledged.
 */
import { told, type History, type Operation } from '../history.ts';
import type { Checker } from './checker.ts';

interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly nodes: ReadonlySet<string>;
}

/** When, and which nodes, certainly reached fewer than a majority. `count`: of the whole cluster. */
export function minorities({ network }: Pick<History, 'network'>, count: number): Stretch[] {
  return network.flatMap(({ done, sides, oneWay }, at) => {
    if (oneWay) return [];
    const nodes = sides.filter((side) => side.length * 2 <= count).flat();
    return [{ from: done, to: network[at + 1]?.time ?? Infinity, nodes: new Set(nodes) }];
  });
}

const asksTheOrder = ({ action }: Operation): boolean => !('mode' in action) || action.mode !== 'local';

export const minorityNeverAcknowledges: Checker = (history) => {
  const nodes = new Set(history.network.flatMap(({ sides }) => sides.flat()));
  const stretches = minorities(history, nodes.size);
  return history.operations
    .filter((each) => each.type === 'ok' && asksTheOrder(each))
    .filter(({ node, begun, ended }) =>
      stretches.some(({ from, to, nodes: cut }) => cut.has(node) && from <= begun && ended <= to),
    )
    .map((each) => `acknowledged without a majority: ${told(each)}`);
};
