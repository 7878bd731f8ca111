/** What a file may say of votes: which contradictions are refused, and which options have no effect. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { diagnose, newConf } from '../../agent/conf/index.ts';

const conf = (votes: readonly number[], ...lines: string[]): string =>
  newConf({
    ...{ clusterName: 'c', transport: 'udpu', secauth: 'off' },
    nodes: votes.map((count, index) => ({
      ...{ nodeId: index + 1, name: `n${index + 1}`, votes: count },
      addresses: [{ link: 0, address: `10.0.0.${index + 1}` }],
    })),
  }).replace(/( *)provider: corosync_votequorum/, (line, indent: string) =>
    [line, ...lines.map((one) => indent + one)].join('\n'),
  );

const found = (text: string, dialect: 'corosync3' | 'ringmaster' = 'ringmaster'): string[] =>
  diagnose(text, { dialect })
    .filter(({ severity }) => severity !== 'info')
    .map(({ rule, severity }) => `${severity} ${rule}`)
    .filter((text) => !text.endsWith('no-crypto'));

describe('the rules of votes', () => {
  test('say nothing of options that go together', () => {
    assert.deepEqual(found(conf([1, 1], 'two_node: 1')), []);
    const all = ['wait_for_all: 1', 'auto_tie_breaker: 1', 'auto_tie_breaker_node: 3 1', 'last_man_standing: 1'];
    assert.deepEqual(found(conf([1, 1, 1], ...all, 'last_man_standing_window: 500', 'allow_downscale: 1')), []);
  });

  test('two_node with three nodes, or with other votes, is refused by the bundled engine and warned of for Corosync', () => {
    for (const votes of [
      [1, 1, 1],
      [2, 1],
    ]) {
      assert.deepEqual(found(conf(votes, 'two_node: 1')), ['error two-node-count']);
      assert.deepEqual(found(conf(votes, 'two_node: 1'), 'corosync3'), ['warning two-node-count']);
    }
  });

  test('two_node with one node is on its way to two', () => {
    assert.deepEqual(found(conf([1], 'two_node: 1')), ['warning two-node-count']);
  });

  test('a quorum device is not the bundled engine’s', () => {
    const device = conf([1, 1, 1, 1], 'device {', '  model: net', '  votes: 1', '}');
    assert.deepEqual(found(device), ['error device-not-bundled']);
    assert.deepEqual(found(device, 'corosync3'), []);
  });

  test('auto_tie_breaker and last_man_standing with an odd number of votes need wait_for_all', () => {
    const lines = ['auto_tie_breaker: 1', 'last_man_standing: 1'];
    assert.deepEqual(found(conf([1, 1, 1], ...lines)), ['error tie-breaker-odd']);
    assert.deepEqual(found(conf([1, 1, 1, 1], ...lines)), []);
  });

  test('what has no effect is said', () => {
    assert.deepEqual(found(conf([1, 1], 'two_node: 1', 'auto_tie_breaker: 1')), ['warning two-node-tie-breaker']);
    assert.deepEqual(found(conf([1, 1], 'two_node: 1', 'wait_for_all: 0')), ['warning two-node-wait']);
    assert.deepEqual(found(conf([1, 1, 1], 'auto_tie_breaker: 1')), ['warning tie-breaker-off']);
    assert.deepEqual(found(conf([2, 1, 1], 'last_man_standing: 1')), ['warning last-man-votes']);
    assert.deepEqual(found(conf([1, 1], 'auto_tie_breaker_node: 1')), ['warning tie-breaker-node']);
    for (const text of ['first', '1 x', '7'])
      assert.deepEqual(found(conf([1, 1], 'auto_tie_breaker: 1', `auto_tie_breaker_node: ${text}`)), [
        'warning tie-breaker-node',
      ]);
  });

  test('expected_votes other than the sum is said', () => {
    assert.deepEqual(found(conf([1, 1, 1], 'expected_votes: 2')), ['warning expected-votes']);
  });
});
