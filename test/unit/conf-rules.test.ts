/** The names of the rules are part of the interface: scripts filter by them. Each is met by a file that is wrong that way. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { applyEdits, diagnose, newConf, type Environment } from '../../agent/conf/index.ts';

/** Met in the corpus; a name that goes, or comes, is a change of the interface. */
const IN_THE_CORPUS = [
  'address address-missing address-odd address-twice authkey-missing choice choice-ignored',
  'cipher-needs-hash cluster-name-missing config-version-missing config-version-number',
  'config-version-positive consensus-below-join consensus-below-token crypto-needs-knet device-excludes',
  'device-majority device-votes expected-votes families-mixed family-not-allowed first-node-empty',
  'interface-without-link key-length key-outside-section line-too-long link-missing link-number',
  'links-need-knet links-need-names local-address-absent local-address-missing local-missing member-key',
  'missing-closing-brace multicast-address multicast-missing name-not-stored name-twice no-crypto',
  'no-quorum node-empty node-name-missing nodeid-knet nodeid-missing nodeid-twice nodelist-missing',
  'not-a-line nul-byte number poll-period priority priority-needs-knet quorum-provider quotes',
  'repeated-key ringnumber-ignored rrp-ignored secauth-word second-nodelist section-needs-key',
  'section-open-at-end section-without-name stray-closing-brace text-after-brace',
  'text-after-closing-brace tie-breaker-node tie-breaker-odd tie-breaker-off timer-too-short token-too-short totem-missing totem-version',
  'trailing-comment ttl-needs-udp two-node-count two-node-device two-node-tie-breaker two-node-wait uidgid-key unknown-key unknown-section',
  'unresolvable',
].flatMap((line) => line.split(' '));

interface Case {
  readonly text: string;
  readonly env: Environment;
}
const cases = readFileSync(join(import.meta.dirname, '../fixtures/corosync-conf.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

const GOOD = newConf({
  clusterName: 'c',
  transport: 'knet',
  secauth: 'on',
  nodes: [1, 2, 3].map((nodeId) => ({
    ...{ nodeId, name: `n${nodeId}`, votes: 1 },
    addresses: [{ link: 0, address: `10.0.0.${nodeId}` }],
  })),
});
const rules = (text: string, dialect: 'corosync3' | 'ringmaster' = 'corosync3'): string[] =>
  diagnose(text, { dialect }).map(({ rule }) => rule);

describe('rules', () => {
  test('keep their names, and each is met', () => {
    const met = new Set(cases.flatMap(({ text, env }) => diagnose(text, { environment: env }).map(({ rule }) => rule)));
    assert.deepEqual([...met].sort(), [...IN_THE_CORPUS].sort());
  });

  test('say nothing of a good file', () => {
    assert.deepEqual(rules(GOOD), []);
  });

  test('state-dir: a directory is named by its full path', () => {
    assert.deepEqual(rules(`${GOOD}system {\n  state_dir: lib\n}\n`), ['state-dir']);
    assert.deepEqual(rules(`${GOOD}system {\n  state_dir: /var/lib/corosync\n}\n`), []);
  });

  test('the bundled engine speaks every transport, encrypted too', () => {
    for (const transport of ['knet', 'udpu', 'udp']) {
      assert.deepEqual(rules(GOOD.replace('knet', transport), 'ringmaster'), []);
    }
  });

  test('a word that means yes or no is mended to the one that the key knows', () => {
    for (const [key, word, right] of [
      ['debug', 'yes', 'on'],
      ['debug', 'False', 'off'],
      ['to_logfile', '1', 'yes'],
    ] as const) {
      const text = `${GOOD}logging {\n  ${key}: ${word}\n}\n`;
      const [found] = diagnose(text).filter(({ rule }) => rule === 'choice');
      const mended = applyEdits(text, found?.fix?.edits ?? []);
      assert.match(mended, new RegExp(`${key}: (${right}|on)\\n`));
      assert.ok(!rules(mended).includes('choice'));
    }
  });
});
