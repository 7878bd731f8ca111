/** An adopted cluster as a picture: reports from answers, findings by comparison, plans. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { newConf, rrpToKnet, setConfigVersion, setValue } from '../../agent/conf/index.ts';
import { adoptedCluster } from '../../electron/host/adopt/adopted-cluster.ts';
import { asReport } from '../../electron/host/adopt/as-report.ts';
import { readFacts, readStanding } from '../../electron/host/adopt/facts.ts';
import type { AdoptedFacts } from '../../electron/host/adopt/facts.ts';
import { planAdopted } from '../../electron/host/adopt/plan.ts';
import type { Answer } from '../../electron/host/adopt/sections.ts';
import { clusterView } from '../../electron/host/fleet/cluster-view.ts';

const recorded = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../fixtures/adopt', `${name}.txt`), 'utf8');
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
const said = (text: string, code = 0): Answer => ({ kind: 'said', code, text });

const NAMES = ['db1', 'db2', 'db3'];
const listed = NAMES.map((name, index) => {
  return { name, nodeId: index + 1, votes: 1, addresses: [{ link: 0, address: `10.243.114.${index + 1}` }] };
});
const conf = newConf({ clusterName: 'payroll', transport: 'knet', nodes: listed, secauth: 'on' });

/** The answers of db1 as recorded; `more` puts others in their place. */
function facts(name: string, more: Readonly<Record<string, Answer | null>> = {}): AdoptedFacts {
  const id = NAMES.indexOf(name) + 1;
  // As this node would have said it.
  const own = (text: string): string =>
    text
      .replace(/Node ID: +1/, `Node ID: ${id}`)
      .replace(/this_node_id \(u32\) = 1/, `this_node_id (u32) = ${id}`)
      .replace(/local_node_pos \(u32\) = 0/, `local_node_pos (u32) = ${id - 1}`);
  const answers = new Map<string, Answer>([
    ['now', said('1700000000\n1000.5 3\n')],
    ['hostname', said(`${name}\n`)],
    ['os', said('Debian GNU/Linux 12 (bookworm)')],
    ['addresses', said('2: eth0    inet 10.243.114.1/24 brd 10.243.114.255 scope global eth0\n')],
    ['corosync-version', said("Corosync Cluster Engine, version '3.1.7'\n")],
    ['packages', said('corosync 3.1.7-1+deb12u2 install ok installed\n')],
    ['running', said('corosync\n')],
    ['conf', said(conf)],
    ['cmap', said(own(recorded('knet.cmap')))],
    ['stats', said(recorded('knet.stats'))],
    ['quorum', said(own(recorded('knet.quorum-s')))],
    ['links', said(recorded('knet.cfg-s'))],
  ]);
  for (const [question, answer] of Object.entries(more)) {
    if (answer === null) answers.delete(question);
    else answers.set(question, answer);
  }
  const found = readFacts(answers, readStanding(answers));
  assert.ok(found !== null);
  return found;
}

function adopted(nodes: readonly { readonly name: string; readonly facts: AdoptedFacts; readonly live?: boolean }[]) {
  const asked = nodes.map(({ name, facts: own, live = true }) => ({ hostId: `host-${name}`, name, facts: own, live }));
  const witnesses = asked.map(({ hostId, facts: own }) => ({
    hostId,
    reachable: true,
    report: asReport(own),
    toldMs: 0,
  }));
  const view = clusterView('payroll', 'payroll', witnesses, [], null);
  assert.ok(view !== null);
  const cluster = adoptedCluster(asked, view.members);
  assert.ok(cluster !== null);
  return { view, cluster };
}

const FINDINGS = (nodes: Parameters<typeof adopted>[0]): string[] =>
  adopted(nodes).cluster.findings.map(({ sentence }) => sentence);

describe('a host without an agent', () => {
  test('reports as an agent would: members, votes, ring id, links', () => {
    const { view } = adopted([{ name: 'db1', facts: facts('db1') }]);
    assert.equal(view.summary, 'Quorate: 3 of 3 votes, 2 needed.');
    assert.equal(view.ringId, '1.d');
    assert.deepEqual(
      view.members.map(({ name, state }) => [name, state]),
      NAMES.map((name) => [name, 'member']),
    );
    assert.deepEqual(
      view.links.map(({ peer, connected }) => [peer, connected]),
      [
        [2, true],
        [3, true],
      ],
    );
  });
  test('without Corosync and without its file is none', () => {
    const none = new Map<string, Answer>([['now', said('1\n1 1\n')]]);
    assert.equal(readFacts(none, readStanding(none)), null);
  });
  test('with the file that Debian ships belongs to no cluster', () => {
    const shipped = conf.replaceAll(/10\.243\.114\.\d/g, '127.0.0.1');
    assert.equal(asReport(facts('db1', { conf: said(shipped) })).engine, null);
  });
  test('whose Corosync has stopped says so, and knows itself by its address', () => {
    const gone = {
      cmap: said('Failed', 1),
      stats: said('', 1),
      quorum: said('Cannot initialize', 1),
      links: null,
      running: said(''),
    };
    const { engine } = asReport(facts('db1', gone));
    assert.deepEqual([engine?.state.kind, engine?.localNode], ['down', 1]);
    assert.match(FINDINGS([{ name: 'db1', facts: facts('db1', gone) }])[0] ?? '', /Corosync does not run on db1/);
  });
  test('that answers in part shows that part, and says what is missing', () => {
    const partly = facts('db1', { stats: { kind: 'late' }, links: { kind: 'missing' } });
    const { view, cluster } = adopted([{ name: 'db1', facts: partly }]);
    assert.equal(view.quorum.quorate, true);
    const gap = cluster.findings.find(({ id }) => id === 'gaps-db1')?.sentence ?? '';
    assert.match(gap, /statistics .*did not come in time/);
    assert.match(gap, /corosync-cfgtool\): the command is not installed/);
  });
});

describe('what is said of an adopted cluster', () => {
  const three = (change: (name: string) => AdoptedFacts) => NAMES.map((name) => ({ name, facts: change(name) }));
  test('nothing, when all is as it should be', () => assert.deepEqual(FINDINGS(three(facts)), []));
  test('files that differ at one version', () => {
    const other = said(setValue(conf, 'totem', 'token', '9000'));
    const found = FINDINGS(three((name) => facts(name, name === 'db3' ? { conf: other } : {})));
    assert.ok(found.includes('db3 has another corosync.conf than db1 and db2: both say version 1.'), found.join('\n'));
  });
  test('a file that lies on the disk and was never loaded', () => {
    const newer = said(setConfigVersion(conf, 2));
    const found = FINDINGS(three((name) => facts(name, { conf: newer })));
    assert.ok(found.includes('Corosync on db2 runs version 1, and version 2 lies on its disk.'), found.join('\n'));
  });
  test('mixed versions within one release are a warning; of two releases nothing is changed', () => {
    const version = (text: string) => said(`Corosync Cluster Engine, version '${text}'`);
    const near = three((name) => facts(name, name === 'db3' ? { 'corosync-version': version('3.1.8') } : {}));
    assert.match(FINDINGS(near)[0] ?? '', /same Corosync: 3\.1\.7 on db1 and db2 and 3\.1\.8 on db3/);
    const far = three((name) => facts(name, name === 'db3' ? { 'corosync-version': version('2.4.5') } : {}));
    assert.match(FINDINGS(far)[0] ?? '', /do not understand each other/);
    assert.match(adopted(far).cluster.cannot[0] ?? '', /different releases/);
  });
  test('nodes that are in the nodelist and no host are offered', () => {
    const { cluster } = adopted([{ name: 'db1', facts: facts('db1') }]);
    assert.deepEqual(
      cluster.offers.map(({ name, address }) => [name, address]),
      [
        ['db2', '10.243.114.2'],
        ['db3', '10.243.114.3'],
      ],
    );
  });
  test('Corosync 1 is shown and not changed', () => {
    const old = facts('db1', { 'corosync-version': said("Corosync Cluster Engine, version '1.4.8'") });
    const { cluster } = adopted([{ name: 'db1', facts: old }]);
    assert.equal(cluster.dialect, 'corosync2');
    assert.match(cluster.cannot[0] ?? '', /shown, and not changed/);
  });
});

describe('a node of Proxmox VE', () => {
  const PVE = {
    'pve-version': said('pve-manager/8.2.4/faa83925c9641325 (running kernel: 6.8.8-2-pve)\n'),
    packages: said('corosync 3.1.7-pve3 install ok installed\npve-cluster 8.0.7 install ok installed\n'),
    running: said('corosync\npmxcfs\n'),
    'tree-mount': said('/dev/fuse /etc/pve fuse rw,nosuid,nodev,relatime 0 0\n'),
    'tree-conf': said(conf),
  };
  test('is known as one, with its versions, and its tree’s file is the cluster’s', () => {
    const { cluster } = adopted([{ name: 'db1', facts: facts('db1', PVE) }]);
    assert.equal(cluster.manager, 'proxmox');
    assert.match(cluster.can.join(' '), /pmxcfs carries it to every node/);
    assert.match(cluster.cannot.join(' '), /belongs to pmxcfs/);
  });
  test('whose own file lags behind the tree’s is named', () => {
    const own = { ...PVE, 'tree-conf': said(setConfigVersion(conf, 5)) };
    const found = FINDINGS([{ name: 'db1', facts: facts('db1', own) }]);
    assert.ok(
      found.includes('On db1 /etc/corosync/corosync.conf is older than /etc/pve/corosync.conf (version 1 and 5).'),
      found.join('\n'),
    );
  });
});

describe('a change of an adopted cluster', () => {
  const ground = (own: AdoptedFacts, present = conf) => {
    const status = asReport(own).engine;
    assert.ok(status !== null);
    const nodes = NAMES.map((name, index) => ({ name, nodeId: index + 1, facts: own }));
    return { manager: own.manager, nodes, status, present };
  };
  const wanted = (text: string) => ({ text, baseDigest: digest(conf), editedMs: null });
  test('is planned by the rules of the agent: version raised, effect named', () => {
    const plan = planAdopted(ground(facts('db1')), wanted(setValue(conf, 'totem', 'token', '9000')), [], digest);
    assert.ok(plan.ok);
    assert.deepEqual([plan.value.method, plan.value.version], ['reload', 2]);
  });
  test('that restarts Corosync under Pacemaker says what becomes of the resources', () => {
    const own = facts('db1', { running: said('corosync\npacemakerd\n') });
    const plan = planAdopted(ground(own), wanted(setValue(conf, 'quorum', 'auto_tie_breaker', '1')), [], digest);
    assert.ok(plan.ok);
    assert.match(plan.value.warnings.join(' '), /maintenance mode/);
  });
  test('to knet is refused while a node runs Corosync 2', () => {
    const own = facts('db1', { 'corosync-version': said("Corosync Cluster Engine, version '2.4.5'") });
    const plan = planAdopted(ground(own), wanted(setValue(conf, 'totem', 'token', '9000')), [], digest);
    assert.ok(!plan.ok);
    assert.match(plan.error, /cannot speak knet/);
  });
});

describe('the redundant rings of the chapter', () => {
  const seed = `totem {
  cluster_name: tweak
  config_version: 9
  ip_version: ipv4
  rrp_mode: passive
  secauth: on
  version: 2
  interface {
    bindnetaddr: 10.10.10.1
    ringnumber: 0
  }
  interface {
    bindnetaddr: 10.10.20.1
    ringnumber: 1
  }
}
nodelist {
  node {
    name: pvecm1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.10.10.1
    ring1_addr: 10.10.20.1
  }
}
quorum {
  provider: corosync_votequorum
}
`;
  test('become links of knet, each step explained', () => {
    const made = rrpToKnet(seed);
    assert.ok(made.ok);
    assert.doesNotMatch(made.value.text, /rrp_mode|ringnumber|bindnetaddr/);
    assert.match(made.value.text, /linknumber: 1[\s\S]*ring1_addr: 10\.10\.20\.1/);
    assert.ok(made.value.notes.length >= 2);
  });
  for (const [version, words] of [
    ['2.4.5', /upgrade to Corosync 3, convert them/],
    ['3.1.7', /press Convert/],
  ] as const) {
    test(`are pointed out on Corosync ${version}, with what to do`, () => {
      const own = facts('db1', {
        conf: said(seed),
        'corosync-version': said(`Corosync Cluster Engine, version '${version}'`),
      });
      const found = adopted([{ name: 'db1', facts: own }]).cluster.findings.find(({ id }) => id === 'old-dialect');
      assert.match(found?.advice ?? '', words);
    });
  }
});
