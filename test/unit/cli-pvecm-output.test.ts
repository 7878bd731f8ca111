import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatDate, formatNodes, formatReadOnly, formatStatus } from '../../agent/cli/pvecm-output.ts';
import { longOption } from '../../agent/cli/pvecm.ts';
import { parseTicket } from '../../agent/cli/pvecm-add.ts';
import type { EngineStatus } from '../../agent/engine/engine.ts';
import { nodeId } from '../../agent/totem/ids.ts';

/** The cluster of pvecm(1), "Cluster status after adding 4 nodes", seen from its second node. */
const status: EngineStatus = {
  engine: 'totem',
  state: { kind: 'operational' },
  clusterName: 'hp',
  configVersion: 4,
  transport: 'udpu',
  localNode: nodeId(2),
  ringId: { representative: nodeId(1), sequence: 0x1928 },
  members: [1, 2, 3, 4].map((id) => ({
    nodeId: nodeId(id),
    name: `hp${id}`,
    votes: 1,
    addresses: [{ link: 0, address: `192.168.15.9${id}` }],
    state: 'member',
    local: id === 2,
  })),
  links: [],
  quorum: { quorate: true, expectedVotes: 4, highestExpected: 4, totalVotes: 4, quorum: 3, flags: ['Quorate'] },
};

const shownStatus = `Quorum information
~~~~~~~~~~~~~~~~~~
Date:             Mon Apr 20 12:30:13 2015
Quorum provider:  corosync_votequorum
Nodes:            4
Node ID:          0x00000002
Ring ID:          1.1928
Quorate:          Yes

Votequorum information
~~~~~~~~~~~~~~~~~~~~~~
Expected votes:   4
Highest expected: 4
Total votes:      4
Quorum:           3
Flags:            Quorate

Membership information
~~~~~~~~~~~~~~~~~~~~~~
    Nodeid      Votes Name
0x00000001          1 192.168.15.91
0x00000002          1 192.168.15.92 (local)
0x00000003          1 192.168.15.93
0x00000004          1 192.168.15.94
`;

describe('pvecm output', () => {
  test('status has the sections, labels and columns of the manual page', () => {
    assert.equal(formatStatus(status, new Date(2015, 3, 20, 12, 30, 13)), shownStatus);
  });

  test('nodes lists ids in decimal and names', () => {
    assert.equal(
      formatNodes(status),
      `Membership information
~~~~~~~~~~~~~~~~~~~~~~
    Nodeid      Votes Name
         1          1 hp1
         2          1 hp2 (local)
         3          1 hp3
         4          1 hp4
`,
    );
  });

  test('a node that is configured but absent is not listed and not counted', () => {
    const members = status.members.map((member) =>
      member.nodeId === 4 ? { ...member, state: 'absent' as const } : member,
    );
    const text = formatStatus({ ...status, members }, new Date());
    assert.match(text, /^Nodes: {12}3$/m);
    assert.doesNotMatch(text, /192\.168\.15\.94/);
  });

  test('without quorum it says that activity is blocked', () => {
    const quorum = { ...status.quorum, quorate: false, flags: [] };
    const text = formatStatus({ ...status, quorum }, new Date());
    assert.match(text, /^Quorate: {10}No$/m);
    assert.match(text, /^Quorum: {11}3 Activity blocked$/m);
    assert.match(text, /^Flags:$/m);
  });

  test('a tree that is read-only is told with its reason, and one that can be written to is not mentioned', () => {
    assert.equal(
      formatReadOnly({ writability: { kind: 'read-only', reason: 'The disk failed.' } }),
      '\nFile system\n~~~~~~~~~~~\n/etc/pve is read-only on this node. The disk failed.\n',
    );
    assert.equal(formatReadOnly({ writability: { kind: 'writable' } }), '');
    assert.equal(formatReadOnly(null), '');
  });

  test('days below ten are padded with a space, as asctime does', () => {
    assert.equal(formatDate(new Date(2024, 0, 5, 3, 4, 5)), 'Fri Jan  5 03:04:05 2024');
  });
});

describe('pvecm command line', () => {
  test('long options are taken with one dash, values and addresses are left alone', () => {
    const given = ['-ring0_addr', '10.0.0.1', '-votes=2', '--nodeid', '3', '-h', '-1', 'add'];
    assert.deepEqual(given.map(longOption), [
      '--ring0_addr',
      '10.0.0.1',
      '--votes=2',
      '--nodeid',
      '3',
      '-h',
      '-1',
      'add',
    ]);
  });

  test('a ticket is the last line, whatever the login shell printed before', () => {
    const ticket = { clusterName: 'lab', engine: 'totem', nodeId: 4, conf: 'totem {\n}\n', authkey: null };
    assert.deepEqual(parseTicket(`Welcome!\n{"motd":1}\n${JSON.stringify(ticket)}\n`), ticket);
  });

  test('anything else is refused', () => {
    for (const output of [
      '',
      'bash: pvecm: not found',
      '{}',
      '{"clusterName":"x","engine":"other","nodeId":1,"conf":"","authkey":null}',
    ]) {
      assert.throws(() => parseTicket(output), /no ticket/);
    }
  });
});
