/**
 * What Corosync's tools print, read. Files in fixtures/adopt were recorded on Corosync 3.1.7; layouts of 1.x, 2.x and
 * 3.0 are written here after their man pages and the chapter, for no such machine was at hand.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  knetLinks,
  readCmap,
  readObjects,
  ringStatistics,
  runtimeMembers,
} from '../../electron/host/adopt/read-cmap.ts';
import { readCfgTool, readQuorumTool } from '../../electron/host/adopt/read-tools.ts';
import {
  corosyncVersion,
  dialectOf,
  majorOf,
  managerOf,
  packageVersions,
  proxmoxVersion,
} from '../../electron/host/adopt/read-versions.ts';
import { readSections, textOf } from '../../electron/host/adopt/sections.ts';
import { readTrialState } from '../../electron/host/adopt/trial-state.ts';

const recorded = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../fixtures/adopt', `${name}.txt`), 'utf8');

describe('corosync-quorumtool -s', () => {
  test('of 3.1.7: votes, ring id, members', () => {
    const read = readQuorumTool(recorded('knet.quorum-s'));
    assert.deepEqual(read?.votes, { expected: 3, highestExpected: 3, total: 3, quorum: 2 });
    assert.deepEqual(read?.ringId, { representative: 1, sequence: 0xd });
    assert.deepEqual(
      read?.members.map(({ nodeId, name, local }) => [nodeId, name, local]),
      [
        [1, 'db1', true],
        [2, 'db2', false],
        [3, 'db3', false],
      ],
    );
    assert.deepEqual(read?.flags, ['Quorate']);
  });
  test('of 2.x, as the chapter prints it: ids in hexadecimal, a ring id of one number', () => {
    const text = `Quorum information
------------------
Date:             Mon Apr 20 12:30:13 2015
Quorum provider:  corosync_votequorum
Nodes:            4
Node ID:          0x00000002
Ring ID:          1928
Quorate:          Yes

Votequorum information
----------------------
Expected votes:   4
Highest expected: 4
Total votes:      4
Quorum:           3
Flags:            Quorate

Membership information
----------------------
    Nodeid      Votes Name
0x00000001          1 192.168.15.91
0x00000002          1 192.168.15.92 (local)
`;
    const read = readQuorumTool(text);
    assert.equal(read?.localNode, 2);
    assert.deepEqual(read?.ringId, { representative: null, sequence: 1928 });
    assert.deepEqual(read?.members[1], { nodeId: 2, votes: 1, name: '192.168.15.92', local: true });
  });
  test('a column for the device does not become part of a name', () => {
    const text = `Quorate:          No
Expected votes:   3
Total votes:      1
Quorum:           2 Activity blocked
Flags:            Qdevice WaitForAll
    Nodeid      Votes    Qdevice Name
         1          1    A,V,NMW db1 (local)
         0          1            Qdevice
`;
    const read = readQuorumTool(text);
    assert.deepEqual(read?.members, [{ nodeId: 1, votes: 1, name: 'db1', local: true }]);
    assert.equal(read?.votes?.quorum, 2);
    assert.deepEqual(read?.flags, ['WaitForAll', 'Qdevice']);
  });
  test('what a stopped Corosync leaves it to say is no answer', () => {
    assert.equal(readQuorumTool('Cannot initialize CMAP service\n'), null);
  });
});

describe('the keys', () => {
  test('of 3.1.7: who has joined, with which version', () => {
    const members = runtimeMembers(readCmap(recorded('knet.cmap')));
    assert.deepEqual(
      members.map(({ nodeId, joined, configVersion }) => [nodeId, joined, configVersion]),
      [
        [1, true, 1],
        [2, true, 1],
        [3, true, 1],
      ],
    );
  });
  test('of 2.x lie deeper, and name both rings', () => {
    const keys = readCmap(`runtime.totem.pg.mrp.srp.members.1.config_version (u64) = 9
runtime.totem.pg.mrp.srp.members.1.ip (str) = r(0) ip(10.10.10.1) r(1) ip(10.10.20.1)
runtime.totem.pg.mrp.srp.members.1.status (str) = joined
`);
    assert.deepEqual(runtimeMembers(keys), [
      {
        nodeId: 1,
        addresses: [
          { link: 0, address: '10.10.10.1' },
          { link: 1, address: '10.10.20.1' },
        ],
        joined: true,
        configVersion: 9,
      },
    ]);
  });
  test('of 1.x are objects', () => {
    const keys = readObjects('totem.version=2\nruntime.totem.pg.mrp.srp.members.7.status=left\n');
    assert.equal(keys.get('totem.version'), '2');
    assert.deepEqual(runtimeMembers(keys)[0]?.joined, false);
  });
  test('links to the others have latency and MTU; the way to oneself is none', () => {
    const links = knetLinks(readCmap(recorded('knet.stats')), 1);
    assert.deepEqual(
      links.map(({ peer, link, connected, latencyUs, mtu, downs }) => [peer, link, connected, latencyUs, mtu, downs]),
      [
        [2, 0, true, 438, 1397, 0],
        [3, 0, true, links[1]?.latencyUs, 1397, 0],
      ],
    );
  });
  test('a node that stopped leaves a link that went down once', () => {
    const lost = knetLinks(readCmap(recorded('knet-two.stats')), 1).find(({ peer }) => peer === 3);
    assert.deepEqual([lost?.connected, lost?.downs], [false, 1]);
  });
  test('the ring’s statistics', () => {
    assert.deepEqual(ringStatistics(readCmap(recorded('knet.stats')), new Map()), {
      ...{ tokenRoundMs: 29, tokenLost: 0, messagesSent: 11, messagesReceived: 21, retransmits: 0, ringsFormed: 2 },
    });
    assert.equal(ringStatistics(new Map(), new Map()), null);
  });
});

describe('corosync-cfgtool -s', () => {
  test('of 3.1.7: each peer of each link', () => {
    assert.deepEqual(readCfgTool(recorded('knet-two.cfg-s'))[0]?.peers, [
      { nodeId: 2, connected: true },
      { nodeId: 3, connected: false },
    ]);
  });
  test('of 3.0: enabled and connected are numbers', () => {
    const text = 'LINK ID 1\n\taddr\t= 10.0.0.1\n\tstatus:\n\t\tnodeid  2:\tlink enabled:1\tlink connected:0\n';
    assert.deepEqual(readCfgTool(text)[0], {
      ...{ link: 1, address: '10.0.0.1', fault: null, peers: [{ nodeId: 2, connected: false }] },
    });
  });
  test('of 2.x: a ring is without faults, or says which', () => {
    const text = `Printing ring status.
Local node ID 1
RING ID 0
	id	= 10.10.10.1
	status	= ring 0 active with no faults
RING ID 1
	id	= 10.10.20.1
	status	= Marking ringid 1 interface 10.10.20.1 FAULTY
`;
    assert.deepEqual(
      readCfgTool(text).map(({ link, fault }) => [link, fault]),
      [
        [0, null],
        [1, 'Marking ringid 1 interface 10.10.20.1 FAULTY'],
      ],
    );
  });
});

describe('versions', () => {
  test('are told by the programs and the packages', () => {
    assert.equal(corosyncVersion("Corosync Cluster Engine, version '2.4.4-dirty'\nCopyright"), '2.4.4-dirty');
    assert.equal(proxmoxVersion('pve-manager/8.2.4/faa83925c9641325 (running kernel: 6.8.8-2-pve)'), '8.2.4');
    const packages = packageVersions(
      'pacemaker 2.1.5-1+deb12u1 install ok installed\npve-cluster 8.0.7 install ok installed\n',
    );
    assert.equal(packages.get('pve-cluster'), '8.0.7');
  });
  for (const [version, major] of [
    ['1.4.8', 1],
    ['1.99.9', 2],
    ['2.4.5', 2],
    ['2.99.5', 3],
    ['3.1.7', 3],
    ['4.0', null],
    [null, null],
  ] as const) {
    test(`${version ?? 'none'} is release ${major ?? 'unknown'}`, () => assert.equal(majorOf(version), major));
  }
  test('the release picks the rules of the file', () => {
    assert.deepEqual(
      [dialectOf(1), dialectOf(2), dialectOf(3), dialectOf(null)],
      ['corosync2', 'corosync2', 'corosync3', 'corosync3'],
    );
  });
  test('Proxmox VE is known before Pacemaker', () => {
    const versions = { corosync: '3.1.7', proxmox: null, packages: new Map([['pacemaker', '2.1']]) };
    assert.equal(managerOf({ versions, treeMounted: false, pacemaker: false }), 'pacemaker');
    assert.equal(managerOf({ versions, treeMounted: true, pacemaker: true }), 'proxmox');
  });
});

describe('answers of a host', () => {
  const said =
    '=m= begin a\nx\n\n=m= end a 0\n=m= begin b\nno\n=m= end b 127\n=m= begin c\n\n=m= end c 124\n=m= begin d\nhalf';
  test('one that is missing, late or cut off leaves the others standing', () => {
    const answers = readSections(said, '=m=');
    assert.equal(textOf(answers, 'a'), 'x\n');
    assert.deepEqual(
      [answers.get('b')?.kind, answers.get('c')?.kind, answers.get('d')?.kind],
      ['missing', 'late', 'cut'],
    );
  });
  test('whatever a host says, no reader throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom(said, recorded('knet.quorum-s'), recorded('knet.cfg-s'))),
        fc.nat(),
        (text, cut) => {
          const part = text.slice(cut % (text.length + 1));
          readSections(part, '=m=');
          readQuorumTool(part);
          readCfgTool(part);
          runtimeMembers(readCmap(part));
          knetLinks(readCmap(part), 1);
          assert.equal(readTrialState(part), null);
        },
      ),
    );
  });
});
