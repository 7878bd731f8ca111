/** What the driver of Corosync decides by itself, without Corosync. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newConf } from '../../agent/conf/index.ts';
import { Assembly, piecesOf } from '../../agent/engine/corosync/fragments.ts';
import { CS } from '../../agent/engine/corosync/corosync-calls.ts';
import { linkKeys, linkStatuses } from '../../agent/engine/corosync/links.ts';
import { Outbox } from '../../agent/engine/corosync/outbox.ts';
import { reloadReport } from '../../agent/engine/corosync/reload-report.ts';
import { nodeId } from '../../agent/totem/ids.ts';

const [ONE, TWO] = [nodeId(1), nodeId(2)];
const joined = ([kind, bytes]: readonly [Uint8Array, Uint8Array]): Uint8Array => Buffer.concat([kind, bytes]);

test('a message is the same after it was cut and put together, whatever its size', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 2, max: 100 }), (payload, largest) => {
      const assembly = new Assembly();
      const pieces = piecesOf(payload, largest).map(joined);
      const taken = pieces.map((piece) => assembly.take(ONE, piece));
      assert.ok(pieces.every((piece) => piece.length <= largest));
      assert.ok(taken.slice(0, -1).every((one) => one === null));
      assert.deepEqual([...(taken.at(-1) ?? [])], [...payload]);
    }),
  );
});

test('pieces of two senders may be mixed', () => {
  const assembly = new Assembly();
  const [a1, a2] = piecesOf(Buffer.from('aaaa'), 3).map(joined);
  const [b1, b2] = piecesOf(Buffer.from('bbbb'), 3).map(joined);
  assert.ok(a1 && a2 && b1 && b2);
  assert.deepEqual([assembly.take(ONE, a1), assembly.take(TWO, b1)], [null, null]);
  assert.equal(Buffer.from(assembly.take(ONE, a2) ?? []).toString(), 'aaaa');
  assert.equal(Buffer.from(assembly.take(TWO, b2) ?? []).toString(), 'bbbb');
});

test('what a view interrupts is dropped, also by who was there from the beginning', () => {
  const assembly = new Assembly();
  const [first, last] = piecesOf(Buffer.from('aaaa'), 3).map(joined);
  assert.ok(first && last);
  assembly.take(ONE, first);
  assembly.view();
  assert.equal(assembly.take(ONE, last), null);
});

/** A Corosync that takes so many pieces until it is told to take more. */
function corosync(room: number) {
  const taken: string[] = [];
  const port = { room, taken };
  const outbox = new Outbox(
    (piece) => {
      if (port.room === 0) return CS.tryAgain;
      port.room -= 1;
      taken.push(Buffer.from(piece[1]).toString());
      return CS.ok;
    },
    () => 4,
  );
  return { port, outbox };
}

test('messages are taken in the order in which they were given, also when Corosync is busy meanwhile', async () => {
  const { port, outbox } = corosync(1);
  const sent = ['a', 'b', 'c'].map((text) => outbox.put(Buffer.from(text)));
  assert.deepEqual(port.taken, ['a']);
  port.room = 9;
  await Promise.all(sent);
  assert.deepEqual(port.taken, ['a', 'b', 'c']);
});

test('a message in pieces that a view interrupts is sent again from its beginning, and none overtakes it', async () => {
  const { port, outbox } = corosync(9);
  await outbox.put(Buffer.from('aaabbb'));
  const next = outbox.put(Buffer.from('c'));
  assert.deepEqual(port.taken, ['aaa', 'bbb']);
  outbox.view();
  assert.deepEqual(port.taken, ['aaa', 'bbb', 'aaa', 'bbb']);
  outbox.returned(Buffer.from('aaabbb'));
  await next;
  assert.deepEqual(port.taken.at(-1), 'c');
});

test('what waits when Corosync goes is refused', async () => {
  const { outbox } = corosync(0);
  const waiting = outbox.put(Buffer.from('a'));
  outbox.fail('Corosync is gone');
  await assert.rejects(waiting, { name: 'EngineDown' });
});

const node = (id: number) => ({
  ...{ nodeId: nodeId(id), name: `n${id}`, votes: 1 },
  addresses: [{ link: 0, address: `10.0.0.${id}` }],
});
const values = (fields: Readonly<Record<string, number>>) =>
  new Map(Object.entries(fields).map(([name, value]) => [`stats.knet.node2.link0.${name}`, String(value)]));
const UP = { connected: 1, latency_ave: 240, latency_samples: 9, mtu: 1397, down_count: 0 };

test('a link is read from the counters of knet', () => {
  const [link, ...more] = linkStatuses([node(1), node(2)], ONE, values(UP), [], 1000);
  assert.deepEqual(more, []);
  assert.deepEqual(link, {
    ...{ link: 0, peer: TWO, address: '10.0.0.2', connected: true, state: 'up', since: null },
    ...{ latencyUs: 240, mtu: 1397, failures: 0 },
  });
  assert.ok(linkKeys([node(1), node(2)], ONE).every((key) => key.startsWith('stats.knet.node2.link0.')));
});

test('since when a link is down is known when it went before our eyes', () => {
  const before = linkStatuses([node(1), node(2)], ONE, values(UP), [], 1000);
  const down = values({ ...UP, connected: 0, down_count: 1 });
  const after = linkStatuses([node(1), node(2)], ONE, down, before, 2000);
  assert.deepEqual(
    after.map(({ state, since, failures }) => ({ state, since, failures })),
    [{ state: 'down', since: 2000, failures: 1 }],
  );
  assert.equal(linkStatuses([node(1), node(2)], ONE, down, after, 3000)[0]?.since, 2000);
});

test('without counters (udpu) there is no link to tell of', () => {
  assert.deepEqual(linkStatuses([node(1), node(2)], ONE, new Map(), [], 1000), []);
});

test('what a reload leaves for a restart is told at every reload until then', () => {
  const conf = (clusterName: string, count: number): string =>
    newConf({
      ...{ clusterName, transport: 'knet', secauth: 'on' },
      nodes: [1, 2, 3].slice(0, count).map((id) => node(id)),
    });
  const first = reloadReport(conf('a', 2), conf('a', 2), conf('b', 2), 2);
  assert.deepEqual(first.live, []);
  assert.equal(first.needsRestart.length, 1);
  const second = reloadReport(conf('a', 2), conf('b', 2), conf('b', 3), 3);
  assert.match(second.live.join(), /n3/);
  assert.deepEqual(second.needsRestart, first.needsRestart);
});
