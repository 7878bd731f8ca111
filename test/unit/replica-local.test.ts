import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Replica } from '../../agent/replica/replica.ts';
import { FRESH_IMAGE, type ReplicaEffect, type ReplicaImage } from '../../agent/replica/types.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import { applyRecord, formed, has, sha } from './replica-group.ts';

describe('local mode', () => {
  const run = (
    replica: Replica,
    image: ReplicaImage,
    path: string,
  ): { image: ReplicaImage; answers: ReplicaEffect[] } => {
    const operation = { kind: 'mkdir', path } as const;
    const effects = replica.step({ kind: 'submit', id: 1, operation, mtimeS: 5.5 }, 0);
    const stores = effects.filter((effect) => effect.kind === 'store');
    assert.equal(effects.filter((effect) => effect.kind === 'answer').length, stores.length === 0 ? 1 : 0);
    const ticket = stores.at(-1)?.ticket ?? 0;
    const answers = [...effects, ...replica.step({ kind: 'stored', ticket }, 1)].filter(
      ({ kind }) => kind === 'answer',
    );
    return { image: stores.reduce((before, { record }) => applyRecord(before, record), image), answers };
  };
  const local = (image: ReplicaImage): Replica => {
    const opened = Replica.open({ self: nodeId(1), mode: 'local', session: 1, hash: sha, image });
    assert.ok(opened.ok);
    return opened.value;
  };

  test('applies at once and answers when it is stored', () => {
    const replica = local(FRESH_IMAGE);
    const first = run(replica, FRESH_IMAGE, 'd');
    assert.deepEqual(first.answers, [{ kind: 'answer', id: 1, result: { ok: true, value: null } }]);
    const second = run(replica, first.image, 'd');
    assert.deepEqual(second.answers, [{ kind: 'answer', id: 1, result: { ok: false, error: 'EEXIST' } }]);
    assert.deepEqual(local(first.image).digest(), replica.digest());
  });

  test('what was written while the cluster stood still wins; what it went on without is set aside', () => {
    for (const wentOn of [false, true]) {
      const group = formed(3);
      group.submit(group.node(2));
      group.settle();
      group.kill(group.node(1));
      if (wentOn) {
        group.submit(group.node(2));
        group.settle();
      }
      for (const node of group.alive()) group.kill(node);
      const node = group.node(1);
      let { image } = node;
      const replica = local(image);
      for (let count = 0; count < 9; count += 1) ({ image } = run(replica, image, `local${count}`));
      node.image = image;
      group.heal();
      assert.equal(has(group.node(3), 'local8'), !wentOn);
      assert.equal(node.asides.length, wentOn ? 1 : 0);
      group.checkHealed();
    }
  });
});
