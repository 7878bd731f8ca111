/** A replica that was restored, or emptied, votes for nothing it may have forgotten. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FRESH_IMAGE, type ReplicaImage } from '../../agent/replica/types.ts';
import { Group, type SimNode } from './replica-group.ts';

const EMPTIED: ReplicaImage = { ...FRESH_IMAGE, forgetful: true };

function formed(size: number): Group {
  const group = new Group(size);
  for (const node of group.nodes) group.start(node);
  group.heal();
  return group;
}
const has = (node: SimNode, path: string): boolean => node.replica?.tree.find(path).ok === true;
const last = (group: Group): string => group.answers.at(-1)?.errno ?? 'ok';
const reason = (node: SimNode): string => {
  const writability = node.replica?.status().writability;
  return writability?.kind === 'read-only' ? writability.reason : 'writable';
};

/** Nodes 1 and 2 acknowledged it while 3 was away; then the database of 1 is another one. */
function forgotten(image: (node: SimNode) => ReplicaImage): { group: Group; path: string } {
  const group = formed(3);
  const [one, two, three] = [group.node(1), group.node(2), group.node(3)];
  const old = image(one);
  group.partition([[one, two], [three]], 0);
  group.settle();
  const path = group.submit(one);
  group.settle();
  assert.equal(last(group), 'ok');
  group.kill(one);
  one.image = old;
  return { group, path };
}

describe('a replica that may have forgotten', () => {
  for (const [what, image] of [
    ['a backup', (node: SimNode): ReplicaImage => ({ ...node.image, forgetful: true })],
    ['nothing', (): ReplicaImage => EMPTIED],
  ] as const) {
    test(`with ${what} and a node that was away it writes nothing, and what was acknowledged comes back with the third`, () => {
      const { group, path } = forgotten(image);
      const [one, two, three] = [group.node(1), group.node(2), group.node(3)];
      group.start(one);
      group.partition([[one, three], [two]], 0);
      group.settle();
      assert.equal(group.synced().length, 0);
      assert.match(reason(three), /^Node 1 may have forgotten what was written.*or all nodes\.$/);
      group.submit(three);
      group.settle();
      assert.equal(last(group), 'EACCES', 'refused at once: it has nobody to wait for');
      group.heal();
      for (const node of group.nodes) assert.ok(has(node, path), `node ${node.id}`);
      group.checkHealed();
      assert.equal(one.image.forgetful, undefined, 'it knows again');
    });
  }

  test('with those who know a majority it takes their state, and its vote counts again', () => {
    const { group, path } = forgotten(() => EMPTIED);
    const [one, two, three] = [group.node(1), group.node(2), group.node(3)];
    group.start(one);
    group.heal();
    assert.ok(has(one, path));
    group.partition([[one, three], [two]], 0);
    group.settle();
    group.submit(three);
    group.settle();
    assert.equal(last(group), 'ok');
    group.heal();
    group.checkHealed();
  });

  test('two nodes of which one lost its disk go on: all nodes are there, and nobody else could know more', () => {
    const group = formed(2);
    const path = group.submit(group.node(2));
    group.settle();
    group.kill(group.node(1));
    group.node(1).image = EMPTIED;
    group.start(group.node(1));
    group.heal();
    assert.ok(has(group.node(1), path));
    group.checkHealed();
  });

  test('a whole cluster that is taken back begins with the restored state when all are there, and not before', () => {
    const group = formed(3);
    const kept = group.submit(group.node(1));
    group.settle();
    const backup = group.node(2).image;
    const given = group.submit(group.node(1));
    group.settle();
    for (const node of group.nodes) group.kill(node);
    for (const node of group.nodes) node.image = node.id === 2 ? { ...backup, forgetful: true } : EMPTIED;
    group.start(group.node(1));
    group.start(group.node(2));
    group.settle();
    assert.equal(group.synced().length, 0);
    group.start(group.node(3));
    group.heal();
    for (const node of group.nodes) {
      assert.ok(has(node, kept));
      assert.ok(!has(node, given), 'that is what taking back means');
    }
    group.checkAgreement();
  });

  test('fewer expected votes are the word of a person: it goes on with what is there', () => {
    const { group } = forgotten(() => EMPTIED);
    const [one, two, three] = [group.node(1), group.node(2), group.node(3)];
    group.strict = false;
    group.start(one);
    group.partition([[one, three], [two]], 0);
    group.settle();
    group.needed = 1;
    for (const node of [one, three]) {
      group.hearQuorum(node);
      group.sequence(node);
    }
    group.settle();
    assert.deepEqual(reason(three), 'writable');
  });
});
