/** What the screen says of links: from both sides, and only of those that mean something. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LinkStatus } from '../../agent/engine/engine.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import type { ClusterMember } from '../../electron/host/api.ts';
import { brokenLinks, brokenPairs, linkNames, linkWords, type SeenLink } from '../../renderer/topology/member-links.ts';

const member = (id: number, state: 'member' | 'absent' = 'member'): ClusterMember => ({
  ...{ nodeId: id, name: `pve${id}`, votes: 1, state, hostId: null, runningVersion: 1, diskVersion: 1 },
  addresses: [0, 1].map((link) => ({ link, address: `10.0.${link}.${id}` })),
  ifItFailed: null,
});

const seen = (from: number, to: number, link: number, change: Partial<LinkStatus> = {}): SeenLink => ({
  ...{ from, to, link },
  status: {
    ...{ link, peer: nodeId(to), address: `10.0.${link}.${to}`, connected: true, state: 'up' as const },
    ...{ since: null, latencyUs: 240, mtu: 1500, failures: 0 },
    ...change,
  },
});

const DOWN = { connected: false, state: 'down' as const };
const THREE = [member(1), member(2), member(3)];

describe('broken links', () => {
  test('one side that finds a link down is enough, and each pair is told once', () => {
    const pairs = brokenPairs(THREE, [seen(1, 2, 0), seen(2, 1, 1, DOWN), seen(1, 2, 1, DOWN), seen(2, 3, 0, DOWN)]);
    assert.deepEqual(pairs, [
      { nodes: [1, 2], links: [1] },
      { nodes: [2, 3], links: [0] },
    ]);
    assert.deepEqual(
      [1, 2, 3].map((id) => brokenLinks(id, pairs)),
      [[1], [0, 1], [0]],
    );
    assert.deepEqual([linkNames([1]), linkNames([0, 1])], ['link 1', 'links 0, 1']);
  });

  test('of a node that is not in the ring nothing is said, nor of a link that was not tried yet', () => {
    const members = [member(1), member(2, 'absent'), member(3)];
    const untested = seen(1, 3, 0, { connected: false, state: 'untested' });
    assert.deepEqual(brokenPairs(members, [seen(1, 2, 0, DOWN), untested]), []);
  });
});

describe('a link in words', () => {
  test('each other member has a line with its round trip and path MTU', () => {
    const [one, two] = THREE;
    assert.ok(one !== undefined && two !== undefined);
    assert.deepEqual(linkWords(one, 0, THREE, [seen(1, 2, 0), seen(1, 3, 0, { failures: 2, mtu: 1400 })]), [
      { peer: 'pve2', words: '240 µs · MTU 1500', broken: false },
      { peer: 'pve3', words: '240 µs · MTU 1400 · failed 2 times', broken: false },
    ]);
    assert.deepEqual(linkWords(two, 0, THREE, [seen(1, 2, 0)]), [
      { peer: 'pve1', words: '240 µs · MTU 1500', broken: false },
    ]);
  });

  test('of two sides that differ the worse one is shown', () => {
    const [one] = THREE;
    assert.ok(one !== undefined);
    const [line] = linkWords(one, 1, THREE, [seen(1, 2, 1), seen(2, 1, 1, DOWN)]);
    assert.deepEqual(line, { peer: 'pve2', words: 'no answer', broken: true });
  });

  test('in a large cluster the sum is shown, and what is broken', () => {
    const members = Array.from({ length: 9 }, (_, index) => member(index + 1));
    const [one] = members;
    assert.ok(one !== undefined);
    const links = members.slice(1).map(({ nodeId: id }) => seen(1, id, 0, id === 4 ? DOWN : { latencyUs: 100 * id }));
    assert.deepEqual(linkWords(one, 0, members, links), [
      { peer: '7 of 8 nodes', words: '200 µs to 900 µs · MTU 1500', broken: false },
      { peer: 'pve4', words: 'no answer', broken: true },
    ]);
  });
});
