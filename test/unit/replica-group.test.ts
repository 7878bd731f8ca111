import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formed, Group, has } from './replica-group.ts';
import { decodeMessage, encodeMessage } from '../../agent/replica/messages.ts';
import { FRESH_IMAGE } from '../../agent/replica/types.ts';

const outcomes = (group: Group): string[] => group.answers.map(({ errno }) => errno ?? 'ok');

/** Delivers everything that is under way, and stores nothing. */
function pump(group: Group): void {
  for (let round = 0; round < 12; round += 1)
    for (const node of group.alive()) {
      while (node.outgoing.length > 0) group.sequence(node);
      for (const each of group.alive()) while (each.at < (each.ring?.log.length ?? 0)) group.deliver(each);
    }
}

/** The second goes on with the third, from their disks; what is answered then stays when the first returns. */
function othersGoOn(group: Group): void {
  const [first, second, third] = [group.node(1), group.node(2), group.node(3)];
  group.kill(second);
  group.kill(first);
  group.start(second);
  group.start(third);
  group.settle();
  const path = group.submit(second);
  group.settle();
  assert.deepEqual(group.answers.at(-1), { path, errno: null });
  group.start(first);
  group.settle();
  assert.ok(has(first, path));
  group.heal();
  group.checkHealed();
}

describe('a group of replicas', () => {
  test('agrees, applies on all, and answers', () => {
    const group = formed(3);
    const path = group.submit(group.node(2));
    group.settle();
    assert.ok(group.nodes.every((node) => has(node, path)));
    assert.deepEqual(outcomes(group), ['ok']);
    group.checkHealed();
  });

  test('answers only when a majority has it on disk', () => {
    const group = formed(3);
    const writer = group.node(1);
    group.submit(writer);
    pump(group);
    group.store(writer, 9);
    pump(group);
    assert.deepEqual(outcomes(group), [], 'one disk of three is no majority');
    group.store(group.node(2), 9);
    pump(group);
    assert.deepEqual(outcomes(group), ['ok']);
  });

  test('where the disk of one that is waited for hangs, the others make the majority a little later', () => {
    const group = formed(3);
    group.submit(group.node(1));
    pump(group);
    for (const id of [1, 3]) group.store(group.node(id), 9);
    pump(group);
    assert.deepEqual(outcomes(group), []);
    group.tick(40);
    pump(group);
    assert.deepEqual(outcomes(group), ['ok']);
  });

  test('a record that nobody waits for may gather; one that a refused operation rests on may not', () => {
    const group = formed(5);
    group.submitOperation(group.node(1), { kind: 'mkdir', path: 'lock' }, 'lock');
    pump(group);
    const awaited = group.nodes.map(({ unstored }) => unstored.map((each) => each.awaited));
    assert.deepEqual(awaited, [[true], [true], [true], [false], [false]]);
    const before = group.nodes.map(({ hurried }) => hurried);
    group.submitOperation(group.node(4), { kind: 'mkdir', path: 'lock' }, 'lock');
    pump(group);
    assert.deepEqual(
      group.nodes.map(({ hurried }, at) => hurried - (before[at] ?? 0)),
      [1, 0, 0, 1, 1],
    );
    group.settle();
    assert.deepEqual(outcomes(group).sort(), ['EEXIST', 'ok']);
  });

  test('an operation of 1 MiB travels in parts', () => {
    const group = formed(3);
    const path = group.submit(group.node(1), new Uint8Array(1024 * 1024).fill(7));
    group.submit(group.node(2));
    group.settle();
    const found = group.node(3).replica?.tree.find(path);
    assert.ok(found?.ok === true && found.value.data.every((byte) => byte === 7));
    assert.deepEqual(outcomes(group), ['ok', 'ok']);
  });

  test('a failure is answered with the errno it had in the order', () => {
    const group = formed(3);
    for (const node of group.nodes) group.submitOperation(node, { kind: 'mkdir', path: 'lock' }, 'lock');
    group.settle();
    assert.deepEqual(outcomes(group).sort(), ['EEXIST', 'EEXIST', 'ok']);
  });

  test('nothing is written without quorum: EACCES at once, and reads go on', () => {
    const group = formed(3);
    const path = group.submit(group.node(1));
    group.settle();
    group.partition([[group.node(1)], [group.node(2), group.node(3)]], 0);
    group.settle();
    group.submit(group.node(1));
    assert.deepEqual(outcomes(group), ['ok', 'EACCES']);
    assert.ok(has(group.node(1), path));
    group.submit(group.node(2));
    group.settle();
    assert.deepEqual(outcomes(group), ['ok', 'EACCES', 'ok']);
    group.heal();
    group.checkHealed();
  });

  test('what was under way when quorum went is answered EIO after a while, not earlier', () => {
    const group = formed(3);
    group.submit(group.node(1));
    group.sequence(group.node(1));
    group.partition([[group.node(1)], [group.node(2), group.node(3)]], 0);
    group.settle();
    assert.deepEqual(outcomes(group), []);
    group.tick(3000);
    assert.deepEqual(outcomes(group), ['EIO']);
  });

  test('a lost engine: what waits is answered, writes are refused, and the next view heals it', () => {
    const group = formed(3);
    const node = group.node(1);
    group.submit(node);
    group.step(node, { kind: 'disconnected' });
    node.outgoing = [];
    group.submit(node);
    assert.deepEqual(outcomes(group), ['EACCES']);
    assert.equal(node.replica?.status().writability.kind, 'read-only');
    group.heal();
    assert.deepEqual(outcomes(group), ['EACCES', 'ok']);
    group.checkHealed();
  });

  test('a minority that returns takes over the state of the majority', () => {
    const group = formed(5);
    const minority = [group.node(1), group.node(2)];
    const majority = [group.node(3), group.node(4), group.node(5)];
    group.partition([minority, majority], 0);
    group.settle();
    const paths = Array.from({ length: 20 }, () => group.submit(group.node(4)));
    group.settle();
    assert.ok(paths.every((path) => !has(group.node(1), path)));
    group.heal();
    assert.ok(paths.every((path) => has(group.node(1), path)));
    assert.equal(minority.flatMap((node) => node.asides).length, 0, 'it had nothing of its own');
    group.checkHealed();
  });

  test('what a minority alone applied is set aside', () => {
    const group = formed(3);
    const lonely = group.node(1);
    const path = group.submit(lonely);
    group.sequence(lonely);
    group.deliver(lonely);
    assert.ok(has(lonely, path));
    group.partition([[lonely], [group.node(2), group.node(3)]], 0);
    group.settle();
    group.tick(3000);
    group.submit(group.node(2));
    group.settle();
    group.heal();
    assert.ok(!has(lonely, path));
    assert.ok(lonely.asides[0]?.nodes.some((node) => node.name === path));
    assert.deepEqual(outcomes(group), ['EIO', 'ok']);
    group.checkHealed();
  });

  test('a submitter whose operation was set aside in time sends it anew', () => {
    const group = formed(3);
    const lonely = group.node(1);
    group.submit(lonely);
    group.sequence(lonely);
    group.deliver(lonely);
    group.partition([[lonely], [group.node(2), group.node(3)]], 0);
    group.settle();
    group.submit(group.node(2));
    group.settle();
    group.heal();
    assert.deepEqual(outcomes(group), ['ok', 'ok']);
    group.checkHealed();
  });

  test('a withdrawn operation whose fate is not known is answered EIO and not sent in the next view', () => {
    const group = formed(3);
    const lonely = group.node(1);
    const path = group.submit(lonely);
    group.sequence(lonely);
    const [id] = lonely.waiting.keys();
    assert.ok(id !== undefined);
    group.step(lonely, { kind: 'withdraw', id });
    assert.deepEqual(outcomes(group), [], 'it may have been done');
    group.partition([[lonely], [group.node(2), group.node(3)]], 0);
    group.settle();
    // In the one ring, without the message: a ring that breaks may lose it.
    group.heal();
    assert.deepEqual(outcomes(group), ['EIO']);
    assert.ok(!has(group.node(2), path));
    group.checkHealed();
  });

  test('a withdrawn operation that was done is answered as done', () => {
    const group = formed(3);
    const path = group.submit(group.node(1));
    const [id] = group.node(1).waiting.keys();
    assert.ok(id !== undefined);
    group.step(group.node(1), { kind: 'withdraw', id });
    group.settle();
    assert.deepEqual(outcomes(group), ['ok']);
    assert.ok(has(group.node(3), path));
  });

  test('a comparison under way of operations finds identical replicas identical, and another one out', () => {
    const group = formed(3);
    const compare = (): void => {
      for (const node of group.nodes) {
        group.submit(node);
        group.step(node, { kind: 'compare' });
        group.submit(node);
      }
      group.settle();
    };
    compare();
    assert.deepEqual(group.differing, []);
    const odd = group.node(2);
    const tree = odd.replica?.tree;
    const found = tree?.find(group.answers[0]?.path ?? '');
    assert.ok(tree !== undefined && found?.ok === true);
    tree.put({ ...found.value, data: new Uint8Array([9]) });
    compare();
    const said = group.differing.map(({ by, node }) => `${by} of ${node}`).sort();
    assert.deepEqual(said, ['1 of 2', '2 of 1', '2 of 3', '3 of 2']);
  });

  for (const early of [false, true])
    test(`messages delivered past a gap do not outweigh what was answered${early ? ', though they are on disk before the view' : ''}`, () => {
      const group = formed(5);
      const [cut, writer] = [group.node(1), group.node(3)];
      const majority = [writer, group.node(4), group.node(5)];
      const path = group.submit(writer);
      group.sequence(writer);
      for (const node of majority) {
        group.deliver(node);
        group.store(node, 9);
        group.sequence(node);
      }
      for (let count = 0; count < 3; count += 1) group.submit(cut);
      while (cut.outgoing.length > 0) group.sequence(cut);
      for (let count = 0; count < 2; count += 1) group.deliver(writer);
      assert.deepEqual(outcomes(group), ['ok']);
      group.partition([[cut], [group.node(2)], majority], 0);
      assert.deepEqual([cut.replica?.version.index, writer.replica?.version.index], [3, 1]);
      if (early) group.store(cut, 9);
      group.partition(
        [
          [cut, group.node(2), writer],
          [group.node(4), group.node(5)],
        ],
        0,
      );
      group.settle();
      assert.ok(has(cut, path));
      group.heal();
      group.checkHealed();
    });

  test('an ack of another history answers nothing', () => {
    const group = formed(3);
    const [writer, other] = [group.node(1), group.node(2)];
    group.submit(writer);
    pump(group);
    for (const node of [writer, other]) group.store(node, 9);
    const ack = decodeMessage(other.outgoing[0] ?? new Uint8Array());
    assert.ok(ack?.kind === 'ack');
    other.outgoing[0] = encodeMessage({ ...ack, mark: ack.mark + 1 });
    pump(group);
    assert.deepEqual(outcomes(group), []);
    assert.equal(writer.replica?.version.index, 1);
  });

  test('an epoch that once began never begins again, though only one node remembers its writes', () => {
    const group = formed(3);
    group.sequencesGrow = false;
    const [first, second, third] = [group.node(1), group.node(2), group.node(3)];
    group.kill(third);
    pump(group);
    for (const node of [first, second]) group.store(node, 1);
    pump(group);
    assert.equal(group.synced().length, 2);
    for (let count = 0; count < 3; count += 1) group.submit(first);
    pump(group);
    group.store(first, 9);
    othersGoOn(group);
  });

  test('no epoch begins before every member has written it down: others could begin it too, and answer in it', () => {
    const group = formed(3);
    group.sequencesGrow = false;
    const first = group.node(1);
    const third = group.node(3);
    group.kill(third);
    pump(group);
    group.store(first, 1);
    pump(group);
    group.submit(first);
    pump(group);
    group.store(first, 9);
    pump(group);
    // What the first alone has done, had it begun, would outweigh what the others now answer in the same epoch.
    othersGoOn(group);
  });

  test('operations go on while a state is on its way, and are on top of it where it arrives', () => {
    const group = formed(3);
    const [writer, other, away] = [group.node(1), group.node(2), group.node(3)];
    group.partition([[writer, other], [away]], 0);
    group.settle();
    group.submit(writer, new Uint8Array(900_000));
    group.settle();
    group.partition([group.nodes], 0);
    const turn = (): void => {
      for (const node of group.alive()) {
        group.sequence(node);
        group.store(node, 9);
      }
      for (const node of group.alive()) for (let count = 0; count < 3; count += 1) group.deliver(node);
    };
    const isReceiving = (): boolean => {
      const status = away.replica?.status().writability;
      return status?.kind === 'read-only' && status.reason === 'This node is receiving the state of node 1.';
    };
    for (let count = 0; count < 100 && !(isReceiving() && group.synced().length === 2); count += 1) turn();
    assert.ok(isReceiving() && group.synced().length === 2, 'the state is on its way');
    const before = group.answers.length;
    const paths = [group.submit(writer), group.submit(other)];
    while (group.answers.length < before + 2 && group.synced().length === 2) turn();
    assert.equal(group.synced().length, 2, 'nobody waited for the one that is behind');
    const mine = group.submit(away);
    group.settle();
    assert.ok([...paths, mine].every((path) => has(away, path) && has(writer, path)));
    assert.deepEqual(
      group.answers.map(({ errno }) => errno),
      [null, null, null, null],
    );
    group.checkHealed();
  });

  test('an agent of another generation: nothing is written, and both say which node it is', () => {
    const group = formed(2);
    const { ring } = group.node(1);
    assert.ok(ring !== null);
    group.kill(group.node(2));
    group.start(group.node(2));
    const odd = encodeMessage({ kind: 'hello', session: 9, count: 1, oldest: 7, newest: 8 });
    group.node(2).outgoing = [odd];
    for (const node of group.alive()) while (node.at < ring.log.length) group.deliver(node);
    group.node(2).outgoing = [odd];
    group.settle();
    group.submit(group.node(1));
    const reason =
      'The agent here and the one on node 2 are of different generations: install the same version on all nodes.';
    assert.deepEqual(group.node(1).replica?.status().writability, { kind: 'read-only', reason });
    assert.deepEqual(outcomes(group), []);
    group.tick(30_000);
    assert.deepEqual(outcomes(group), ['EACCES']);
  });

  test('quorum of engines is not quorum of replicas', () => {
    const group = formed(3);
    const path = group.submit(group.node(1));
    group.sequence(group.node(1));
    for (const node of [group.node(1), group.node(2)]) {
      group.deliver(node);
      group.store(node, 9);
      group.sequence(node);
    }
    for (let count = 0; count < 2; count += 1) group.deliver(group.node(1));
    assert.deepEqual(outcomes(group), ['ok']);
    group.kill(group.node(1));
    group.kill(group.node(2));
    group.node(3).outgoing = [];
    group.settle();
    group.submit(group.node(3));
    assert.deepEqual(outcomes(group), ['ok', 'EACCES']);
    assert.deepEqual(group.node(3).replica?.status().writability, {
      kind: 'read-only',
      reason: 'There is quorum, but pmxcfs runs on too few of the nodes.',
    });
    group.heal();
    assert.ok(has(group.node(3), path));
    group.checkHealed();
  });

  test('a restart of all nodes keeps everything that was answered', () => {
    const group = formed(3);
    for (let count = 0; count < 5; count += 1) group.submit(group.node(1 + (count % 3)));
    group.settle();
    for (const node of group.nodes) group.kill(node);
    group.heal();
    assert.deepEqual(outcomes(group), ['ok', 'ok', 'ok', 'ok', 'ok']);
    group.checkHealed();
  });

  test('a fresh node takes the state of the others, and theirs always wins', () => {
    const group = formed(2);
    const path = group.submit(group.node(2), new Uint8Array(700 * 1024));
    group.settle();
    group.kill(group.node(1));
    group.node(1).image = FRESH_IMAGE;
    group.heal();
    assert.ok(has(group.node(1), path));
    group.checkHealed();
  });

  test('quorum won within a view begins writing, quorum lost ends it', () => {
    const group = formed(3);
    group.strict = false;
    const expected = (needed: number): void => {
      group.needed = needed;
      for (const node of group.alive()) {
        group.hearQuorum(node);
        group.sequence(node);
      }
      group.settle();
    };
    group.partition([[group.node(1)], [group.node(2), group.node(3)]], 0);
    group.settle();
    expected(3);
    assert.equal(group.synced().length, 0);
    group.submit(group.node(2));
    expected(1);
    group.submit(group.node(2));
    group.settle();
    expected(3);
    assert.equal(group.synced().length, 0);
    group.submit(group.node(3));
    expected(2);
    group.submit(group.node(3));
    group.settle();
    assert.deepEqual(outcomes(group), ['EACCES', 'ok', 'EACCES', 'ok']);
    group.checkAgreement();
    group.heal();
    group.checkHealed();
  });

  test('the status tells a person why nothing can be written', () => {
    const group = new Group(3);
    group.start(group.node(1));
    const reason = (): string => {
      const status = group.node(1).replica?.status().writability;
      return status?.kind === 'read-only' ? status.reason : 'writable';
    };
    assert.equal(reason(), 'This node is not connected to the cluster.');
    group.settle();
    assert.equal(reason(), 'There is no quorum.');
    group.heal();
    assert.equal(reason(), 'writable');
  });
});
