/** What a reload of a running Corosync 3.1.7 did with each of these edits, as measured; the plan has to say so before. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { plannedChanges, reloadFindings } from '../../agent/conf/index.ts';

const BEFORE = `totem {
  version: 2
  cluster_name: demo
  config_version: 1
  transport: knet
  interface {
    linknumber: 0
    knet_link_priority: 1
  }
  interface {
    linknumber: 1
    mcastport: 5406
  }
}
nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.20.0.1
    ring1_addr: 10.20.1.1
  }
  node {
    name: n2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.20.0.2
    ring1_addr: 10.20.1.2
  }
  node {
    name: n3
    nodeid: 3
    quorum_votes: 1
    ring0_addr: 10.20.0.3
    ring1_addr: 10.20.1.3
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_syslog: yes
}
`;

const totem = (line: string) => (text: string) => text.replace('  version: 2\n', `  version: 2\n  ${line}\n`);
const quorum = (line: string) => (text: string) => text.replace('votequorum\n', `votequorum\n  ${line}\n`);
const swap = (from: string | RegExp, to: string) => (text: string) => text.replace(from, to);
const NODE4 = '  node {\n    name: n4\n    nodeid: 4\n    ring0_addr: 10.20.0.4\n    ring1_addr: 10.20.1.4\n  }\n';

/** Edit of edits.md, what it is, and what was measured: whole effect of the file and of the reload. */
const MEASURED: readonly (readonly [name: string, edit: (text: string) => string, expected: string])[] = [
  ['add-node', swap('nodelist {\n', `nodelist {\n${NODE4}`), 'live takes'],
  ['remove-node', swap(/ {2}node \{\n {4}name: n3[^}]*\}\n/, ''), 'live takes'],
  ['add-ring', swap(/( +)ring1_addr: 10\.20\.1\.(\d)\n/g, '$&$1ring2_addr: 10.20.2.$2\n'), 'live takes'],
  ['remove-ring1', swap(/ +ring1_addr.*\n/g, ''), 'live takes'],
  ['remove-ring0', swap(/ +ring0_addr.*\n/g, ''), 'live takes'],
  ['token', totem('token: 10000'), 'live takes'],
  ['token-coef', totem('token_coefficient: 500'), 'live takes'],
  ['consensus', totem('consensus: 6000'), 'live takes'],
  ['two-node', quorum('two_node: 1'), 'live takes'],
  ['transport', swap('transport: knet', 'transport: udpu'), 'whole-restart ignores'],
  ['cluster-name', swap('demo', 'other'), 'whole-restart ignores'],
  ['addr-change', swap('10.20.0.2', '10.30.0.2'), 'whole-restart refuses'],
  ['ring1-addr-change', swap(/10\.20\.1\./g, '10.30.1.'), 'whole-restart refuses'],
  ['config_version', swap('config_version: 1', 'config_version: 2'), 'none takes'],
  ['nodeid', swap('nodeid: 3', 'nodeid: 33'), 'whole-restart destroys'],
  ['nodeid-swap', swap(/nodeid: 2([^]*)nodeid: 3/, 'nodeid: 3$1nodeid: 2'), 'whole-restart refuses'],
  ['node-rename', swap('name: n3', 'name: m3'), 'live takes'],
  ['crypto', totem('crypto_cipher: aes256\n  crypto_hash: sha256'), 'live takes'],
  ['secauth', totem('secauth: on'), 'live takes'],
  ['link-mode', totem('link_mode: active'), 'rolling-restart ignores'],
  ['link-mode default', totem('link_mode: passive'), 'none takes'],
  ['link-prio', swap('knet_link_priority: 1', 'knet_link_priority: 5'), 'live takes'],
  ['ktransport', swap('knet_link_priority: 1', 'knet_transport: sctp'), 'whole-restart refuses'],
  ['ktransport default', swap('knet_link_priority: 1', 'knet_transport: udp'), 'live takes'],
  ['mcastport', swap('mcastport: 5406', 'mcastport: 5506'), 'whole-restart ignores'],
  ['mcastport default', swap('    mcastport: 5406\n', ''), 'none takes'],
  ['ping', swap('mcastport: 5406', 'knet_ping_interval: 500\n    knet_ping_timeout: 2000'), 'live takes'],
  ['debug', swap('to_syslog: yes', 'to_syslog: yes\n  debug: on'), 'live takes'],
  ['votes', swap('quorum_votes: 1', 'quorum_votes: 3'), 'live takes'],
  ['expected', quorum('expected_votes: 5'), 'live takes'],
  ['device', quorum('device {\n    model: net\n  }'), 'live takes'],
  ['wait_for_all', quorum('wait_for_all: 1'), 'rolling-restart ignores'],
  ['auto_tie_breaker', quorum('auto_tie_breaker: 1'), 'rolling-restart ignores'],
  ['auto_tie_breaker off', quorum('auto_tie_breaker: 0'), 'none takes'],
  ['provider', swap('  provider: corosync_votequorum\n', ''), 'whole-restart ignores'],
  ['version-gone', swap('  version: 2\n', ''), 'whole-restart ignores'],
  ['ipversion', totem('ip_version: ipv4'), 'whole-restart ignores'],
  ['netmtu', totem('netmtu: 1400'), 'rolling-restart ignores'],
  ['comments', swap('totem {', '# moved\ntotem {'), 'none takes'],
  ['compress', totem('knet_compression_model: zlib'), 'live takes'],
  ['missing-addr', swap(/ +ring[01]_addr: 10\.20\.[01]\.3\n/g, ''), 'live destroys'],
  ['qb_ipc_type', swap('logging {', 'system {\n  qb_ipc_type: shm\n}\nlogging {'), 'rolling-restart ignores'],
  ['bindnetaddr', swap('mcastport: 5406', 'mcastport: 5406\n    bindnetaddr: 10.20.1.0'), 'none takes'],
];

const EFFECTS = ['none', 'live', 'rolling-restart', 'whole-restart'];
const RELOADS = ['takes', 'ignores', 'refuses', 'destroys'];

describe('what an edit takes, as it was measured', () => {
  for (const [name, edit, expected] of MEASURED) {
    test(`${name}: ${expected}`, () => {
      const after = edit(BEFORE);
      assert.notEqual(after, BEFORE);
      const changes = plannedChanges(BEFORE, after);
      const worst = (order: readonly string[], seen: readonly string[]): string =>
        order[Math.max(0, ...seen.map((one) => order.indexOf(one)))] ?? '';
      const effect = worst(
        EFFECTS,
        changes.map((change) => change.effect),
      );
      const reload = worst(
        RELOADS,
        changes.map((change) => change.reload),
      );
      assert.equal(`${effect} ${reload}`, expected);
    });
  }

  test('a link that is new is set up with its port', () => {
    const after = BEFORE.replace(/ +ring1_addr.*\n/g, '');
    const both = after.replace(/( +)ring0_addr: 10\.20\.0\.(\d)\n/g, '$&$1ring1_addr: 10.9.1.$2\n');
    const changes = plannedChanges(after, both.replace('5406', '5999'));
    assert.deepEqual([...new Set(changes.map(({ effect }) => effect))], ['live']);
  });

  test('moving a network names the way without a restart', () => {
    const [one] = plannedChanges(BEFORE, BEFORE.replaceAll('10.20.1.', '10.30.1.'));
    assert.match(one?.advice ?? '', /take link 1 out, apply, then put it in with the new addresses/);
    const single = BEFORE.replace(/ +ring1_addr.*\n/g, '');
    const [other] = plannedChanges(single, single.replaceAll('10.20.0.', '10.30.0.'));
    assert.match(other?.advice ?? '', /address on a free link, apply, then take the old link out/);
  });
});

describe('what a reload would not bring into effect', () => {
  const rules = (after: string): string[] =>
    reloadFindings(BEFORE, after).map(({ rule, line, severity }) => `${rule} ${line} ${severity}`);

  test('is named at its line', () => {
    assert.deepEqual(rules(BEFORE.replace('transport: knet', 'transport: udpu')), ['needs-restart 5 warning']);
    assert.deepEqual(rules(BEFORE.replace('10.20.0.1', '10.30.0.1')), ['reload-refused 20 warning']);
    assert.deepEqual(rules(BEFORE.replace('nodeid: 3', 'nodeid: 33')), ['reload-destroys 32 warning']);
  });

  test('a key that was taken out is named at its section', () => {
    assert.deepEqual(rules(BEFORE.replace('  provider: corosync_votequorum\n', '')), ['needs-restart 38 warning']);
  });

  test('nothing is said of what a reload does', () => {
    assert.deepEqual(rules(BEFORE.replace('version: 2', 'version: 2\n  token: 9000')), []);
  });
});

describe('the bundled engine', () => {
  test('reads other keys, and says so', () => {
    const effects = (after: string): string[] =>
      plannedChanges(BEFORE, after, 'ringmaster').map(({ effect }) => effect);
    assert.deepEqual(effects(totem('link_mode: active')(BEFORE)), ['rolling-restart']);
    assert.deepEqual(effects(totem('knet_compression_model: zlib')(BEFORE)), ['none']);
    assert.deepEqual(effects(totem('token: 2000')(BEFORE)), ['live']);
    assert.deepEqual(effects(quorum('wait_for_all: 1')(BEFORE)), ['live']);
    assert.deepEqual(effects(totem('netmtu: 9000')(BEFORE)), ['live']);
    assert.deepEqual(effects(BEFORE.replace('10.20.0.1', '10.30.0.1')), ['rolling-restart']);
    assert.deepEqual(effects(BEFORE.replace('10.20.1.1', '10.30.1.1')), ['rolling-restart']);
  });
});
