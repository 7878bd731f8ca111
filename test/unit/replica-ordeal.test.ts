import { describe, test } from 'node:test';
import { Group, randomOf, type SimNode } from './replica-group.ts';

/** One long run of everything that can happen, in an order that the seed decides. */
function ordeal(seed: number, size: number, steps: number, quorumMoves: boolean): void {
  const group = new Group(size);
  group.strict = !quorumMoves;
  group.sequencesGrow = seed % 2 === 0;
  const random = randomOf(seed);
  const pick = (): SimNode => group.node(1 + random(size));
  for (const node of group.nodes) group.start(node);
  group.partition([group.nodes], 0);
  for (let count = 0; count < steps; count += 1) {
    const node = pick();
    const chance = random(1000);
    if (chance < 320) group.sequence(node);
    else if (chance < 750) for (let each = random(6); each >= 0; each -= 1) group.deliver(node);
    else if (chance < 870) group.store(node, 1 + random(4));
    else if (chance < 960) {
      if (node.replica !== null) group.submit(node);
    } else if (chance < 970) group.tick(random(3) === 0 ? 3000 : 100);
    else if (chance < 978) {
      if (node.replica === null) group.start(node);
      else if (group.alive().length > 1) group.kill(node);
    } else if (chance < 984) {
      const groups: SimNode[][] = [[], [], []];
      for (const each of group.nodes) groups[random(2 + random(2))]?.push(each);
      group.partition(
        groups.filter((each) => each.length > 0),
        random(3),
      );
    } else if (chance < 988) group.partition([group.nodes], random(3));
    else if (chance < 990) group.settle();
    else if (quorumMoves && chance < 996) {
      if (random(4) === 0) group.needed = size + 1 - group.needed > size / 2 ? size + 1 - group.needed : size;
      group.hearQuorum(node);
    }
    group.checkAgreement();
  }
  group.needed = Math.floor(size / 2) + 1;
  group.heal();
  group.tick(60_000);
  group.settle();
  group.checkHealed();
}

describe('whatever happens', () => {
  const seeds = Number(process.env['REPLICA_SEEDS'] ?? 60);
  for (const [size, quorumMoves] of [
    [3, false],
    [5, false],
    [3, true],
  ] as const) {
    test(`${size} nodes, ${quorumMoves ? 'expected votes change' : 'fixed votes'}: nothing answered is lost`, () => {
      for (let seed = 1; seed <= seeds; seed += 1) {
        try {
          ordeal(seed, size, 500, quorumMoves);
        } catch (error) {
          throw new Error(`seed ${seed} of ${size} nodes`, { cause: error });
        }
      }
    });
  }
});
