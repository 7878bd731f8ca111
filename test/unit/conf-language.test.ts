/** corosync.conf as a language: reading loses nothing, edits touch nothing else, and every word has a reason. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  addNode,
  applyEdits,
  completions,
  diagnose,
  format,
  hover,
  mergeConf,
  model,
  newConf,
  parse,
  print,
  raiseConfigVersion,
  removeNode,
  plannedChanges,
  setConfigVersion,
} from '../../agent/conf/index.ts';

const NODE = (id: number) => ({
  ...{ nodeId: id, name: `pve${id}`, votes: 1 },
  addresses: [{ link: 0, address: `10.0.0.${id}` }],
});
const CONF = newConf({ clusterName: 'prod', transport: 'udpu', secauth: 'off', nodes: [NODE(1), NODE(2)] });

/** Lines that look like the language, and some that do not. */
const line = fc.oneof(
  fc.constantFrom(
    'totem {',
    '}',
    '  node {',
    'nodelist {',
    '',
    '# a comment',
    '\tversion: 2\r',
    'quorum {',
    '  two_node: 1',
  ),
  fc.constantFrom(
    'config_version: 7',
    'token: 1000',
    'ring0_addr: 10.0.0.1',
    'x {y',
    '} z',
    'a = b',
    '{',
    ':',
    'nodeid: 1',
  ),
  fc.string({ maxLength: 20 }),
);
const text = fc.array(line, { maxLength: 40 }).map((lines) => lines.join('\n'));

describe('reading', () => {
  test('any text comes back byte for byte, and nothing that looks at it throws', () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), fc.nat(50), fc.nat(30), (any, at, column) => {
        assert.equal(print(parse(any)), any);
        model(parse(any));
        for (const dialect of ['corosync2', 'corosync3', 'ringmaster'] as const) diagnose(any, { dialect });
        completions(any, at + 1, column + 1);
        hover(any, at + 1, column + 1);
        plannedChanges(any, CONF);
        raiseConfigVersion(any, 3);
        addNode(any, NODE(9));
        removeNode(any, 1);
      }),
    );
  });

  test('every finding lies within the text', () => {
    fc.assert(
      fc.property(text, (any) => {
        const lines = any.split('\n');
        for (const one of diagnose(any)) {
          assert.ok(one.line >= 1 && one.line <= lines.length && one.endLine <= lines.length, JSON.stringify(one));
          assert.ok(one.column >= 1 && one.endColumn > one.column, JSON.stringify(one));
        }
      }),
    );
  });

  test('the last of repeated keys counts, and repeated sections merge', () => {
    const { totem } = model(parse('totem {\n token: 1\n token: 2\n}\ntotem {\n version: 2\n}\n'));
    assert.deepEqual([totem.token, totem.version], [2, 2]);
  });
});

describe('findings', () => {
  const rules = (any: string, dialect: 'corosync3' | 'ringmaster' = 'ringmaster') =>
    diagnose(any, { dialect }).map(({ rule, severity, line: at, column }) => `${severity} ${rule} ${at}:${column}`);

  test('a new file has none, for either engine', () => {
    assert.deepEqual(rules(CONF), []);
    const knet = newConf({ clusterName: 'prod', transport: 'knet', secauth: 'on', nodes: [NODE(1), NODE(2), NODE(3)] });
    assert.deepEqual(rules(knet, 'corosync3'), []);
  });

  test('a version that is no number is an error at its place', () => {
    assert.deepEqual(rules(CONF.replace('config_version: 1', 'config_version: 1x')), [
      'error config-version-number 27:19',
    ]);
  });

  test('a missing brace is reported where it is missing, and the fix closes the section', () => {
    const broken = CONF.replace('}\n\nnodelist', '\nnodelist');
    const [first] = diagnose(broken, { dialect: 'ringmaster' });
    assert.equal(`${first?.rule} ${first?.line}`, 'missing-closing-brace 4');
    assert.deepEqual(rules(applyEdits(broken, first?.fix?.edits ?? [])), []);
  });

  test('a typo in a key is a warning with the word that is meant', () => {
    const [found] = diagnose(CONF.replace('cluster_name', 'cluster_nane'), { dialect: 'corosync3' }).filter(
      ({ rule }) => rule === 'unknown-key',
    );
    assert.match(found?.message ?? '', /Did you mean "cluster_name"/);
    assert.equal(found?.fix?.edits[0]?.text, 'cluster_name');
  });

  test('a comment behind a value is named, because it is part of the value', () => {
    assert.ok(
      rules(CONF.replace('cluster_name: prod', 'cluster_name: prod # main')).some((one) =>
        one.includes('trailing-comment'),
      ),
    );
  });

  test('two nodes of one id, one name or one address are found', () => {
    const twice = CONF.replace('nodeid: 2', 'nodeid: 1')
      .replace('name: pve2', 'name: pve1')
      .replace('10.0.0.2', '10.0.0.1');
    assert.deepEqual(
      rules(twice).map((one) => one.split(' ')[1]),
      ['name-twice', 'nodeid-twice', 'address-twice'],
    );
  });

  test('the bundled engine refuses what it cannot do', () => {
    const sctp = CONF.replace(
      'transport: udpu',
      'transport: knet\n  interface {\n    linknumber: 0\n    knet_transport: sctp\n  }',
    );
    assert.ok(rules(sctp).some((one) => one.startsWith('error bundled-sctp')));
  });
});

describe('edits', () => {
  test('raising the version changes that line alone, and does nothing when it is high enough', () => {
    const { text: raised, version } = raiseConfigVersion(CONF, 1);
    assert.equal(version, 2);
    const changed = raised.split('\n').filter((one, index) => one !== CONF.split('\n')[index]);
    assert.deepEqual(changed, ['  config_version: 2']);
    assert.deepEqual(raiseConfigVersion(setConfigVersion(CONF, 9), 4), { text: setConfigVersion(CONF, 9), version: 9 });
  });

  test('a version is put in where there is none', () => {
    assert.equal(setConfigVersion('totem {\n\tversion: 2\n}\n', 4), 'totem {\n\tversion: 2\n\tconfig_version: 4\n}\n');
    assert.equal(model(parse(setConfigVersion('', 4))).totem.configVersion, 4);
  });

  test('a node that is added and taken out again leaves the file as it was', () => {
    const added = addNode(CONF, NODE(3));
    assert.ok(added.ok);
    assert.equal(model(parse(added.value)).nodelist.length, 3);
    const removed = removeNode(added.value, 3);
    assert.deepEqual(removed, { ok: true, value: CONF });
  });

  test('a node whose id, name or address is taken is refused with the name of the other', () => {
    for (const [node, words] of [
      [{ ...NODE(3), nodeId: 1 }, /nodeid 1 belongs to pve1/],
      [{ ...NODE(3), name: 'pve2' }, /there is a node pve2/],
      [{ ...NODE(3), addresses: NODE(2).addresses }, /10\.0\.0\.2 belongs to pve2/],
    ] as const) {
      const result = addNode(CONF, node);
      assert.ok(!result.ok && words.test(result.error), JSON.stringify(result));
    }
  });

  test('a file with Windows line ends keeps them', () => {
    const added = addNode(CONF.replaceAll('\n', '\r\n'), NODE(3));
    assert.ok(added.ok && !/[^\r]\n/.test(added.value));
  });
});

describe('what a change means', () => {
  const sentences = (after: string) =>
    plannedChanges(CONF, after).map(({ sentence, effect }) => `${sentence} [${effect}]`);

  test('is said in sentences, with what it takes', () => {
    assert.deepEqual(sentences(CONF.replace('  version: 2', '  version: 2\n  token: 1500')), [
      'Token timeout is set to 1500 ms. [live]',
    ]);
    assert.deepEqual(sentences(CONF.replace('quorum_votes: 1', 'quorum_votes: 3')), [
      'Node pve1 changes from 1 vote to 3 votes. [live]',
    ]);
    assert.deepEqual(sentences(CONF.replace('10.0.0.2', '10.0.9.2')), [
      'Node pve2 changes ring0_addr from 10.0.0.2 to 10.0.9.2. [whole-restart]',
    ]);
    assert.deepEqual(sentences(CONF.replace('transport: udpu', 'transport: knet')), [
      'totem: transport changes from udpu to knet. [whole-restart]',
    ]);
  });

  test('comments and order are no change', () => {
    assert.deepEqual(sentences(`# new\n${CONF}`), []);
  });
});

describe('help while typing', () => {
  test('keys of the section that are not there yet, and values of a key', () => {
    const at = CONF.split('\n').findIndex((one) => one.includes('secauth')) + 1;
    const labels = completions(CONF, at, 3).map(({ label }) => label);
    assert.ok(labels.includes('token') && !labels.includes('version') && labels.includes('interface { }'));
    assert.deepEqual(
      completions(CONF, at, 12).map(({ label }) => label),
      ['on', 'off'],
    );
  });

  test('nothing is offered behind a whole name, so that Enter begins a new line', () => {
    for (const typed of ['logging ', 'logging {', 'to_syslog: yes', '# tot']) {
      assert.deepEqual(
        completions(typed, 1, typed.length + 1).filter(({ insert }) => insert.includes('{') || insert.endsWith(': ')),
        [],
        typed,
      );
    }
  });

  test('a key says what it is, what it may be and what changing it takes', () => {
    const at = CONF.split('\n').findIndex((one) => one.includes('transport')) + 1;
    assert.match(hover(CONF, at, 4)?.body ?? '', /knet, udpu, udp[\s\S]*restarts/);
    assert.equal(hover(CONF, 5, 1), null);
  });
});

describe('layout', () => {
  test('lays out anew without losing a word, and a second time changes nothing', () => {
    assert.equal(
      format('# head\n\n\ntotem{\n\n\tversion:2\n interface {\nlinknumber:0\n}\n\n}\nquorum {\n}\n\n\n'),
      '# head\n\ntotem {\n  version: 2\n  interface {\n    linknumber: 0\n  }\n}\n\nquorum {\n}\n',
    );
    fc.assert(
      fc.property(text, (any) => {
        const once = format(any);
        assert.equal(format(once), once);
        assert.deepEqual(model(parse(once)), model(parse(any)));
        const words = (of: string): string => of.replaceAll(/[\s:]/g, '');
        assert.equal(words(once), words(any));
      }),
    );
    assert.equal(format(CONF), CONF);
  });
});

describe('merging', () => {
  const token = CONF.replace('  version: 2', '  version: 2\n  token: 1500');
  const votes = CONF.replace('quorum_votes: 1', 'quorum_votes: 3');

  test('two changes of different lines make both, at a version above both', () => {
    const merged = mergeConf(CONF, setConfigVersion(token, 2), setConfigVersion(votes, 2));
    assert.ok(merged.ok);
    const { totem, nodelist } = model(parse(merged.value));
    assert.deepEqual([totem.token, nodelist[0]?.votes, totem.configVersion], [1500, 3, 3]);
  });

  test('two changes of the same line are a conflict, and the same change twice is none', () => {
    const other = CONF.replace('quorum_votes: 1', 'quorum_votes: 4');
    const conflict = mergeConf(CONF, votes, other);
    assert.ok(!conflict.ok && conflict.error[0]?.ours[0]?.trim() === 'quorum_votes: 3');
    assert.ok(mergeConf(CONF, votes, votes).ok);
  });

  test('with one side unchanged the other side wins whole', () => {
    fc.assert(
      fc.property(text, text, (base, other) => {
        const plain = (any: string): string => any.replaceAll('config_version', 'config-version');
        assert.deepEqual(mergeConf(plain(base), plain(base), plain(other)), { ok: true, value: plain(other) });
        assert.deepEqual(mergeConf(plain(base), plain(other), plain(base)), { ok: true, value: plain(other) });
      }),
    );
  });
});
