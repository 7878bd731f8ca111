/** What the bundled engine makes of corosync.conf, and what a reload of it changes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { multicastGroup } from '../../agent/conf/index.ts';
import { engineSettings, type EngineSettings } from '../../agent/engine/settings.ts';
import { compareSettings } from '../../agent/engine/totem/compare-settings.ts';
import { nodeId } from '../../agent/totem/ids.ts';

interface Shape {
  readonly nodes?: number;
  readonly links?: number;
  readonly totem?: readonly string[];
  readonly interfaces?: readonly (readonly string[])[];
  readonly quorum?: readonly string[];
}

function conf({ nodes = 3, links = 1, totem = ['transport: udpu'], interfaces = [], quorum = [] }: Shape = {}): string {
  const list = Array.from({ length: nodes }, (_, index) => [
    '  node {',
    ...[`    name: pve${index + 1}`, `    nodeid: ${index + 1}`],
    ...Array.from({ length: links }, (_unused, link) => `    ring${link}_addr: 10.0.${link}.${index + 1}`),
    '  }',
  ]);
  return [
    ...['totem {', '  version: 2', '  cluster_name: prod', '  config_version: 4', ...totem.map((line) => `  ${line}`)],
    ...interfaces.flatMap((lines) => ['  interface {', ...lines.map((line) => `    ${line}`), '  }']),
    ...['}', 'nodelist {', ...list.flat(), '}', 'quorum {', '  provider: corosync_votequorum', ...quorum, '}', ''],
  ].join('\n');
}

const read = (shape: Shape = {}): EngineSettings => {
  const settings = engineSettings(conf(shape));
  assert.ok(settings.ok, settings.ok ? '' : settings.error);
  return settings.value;
};

const refusal = (shape: Shape): string => {
  const settings = engineSettings(conf(shape));
  assert.ok(!settings.ok, 'it was taken');
  return settings.error;
};

const changed = (from: Shape, to: Shape, self = 1) => compareSettings(read(from), read(to), nodeId(self));

describe('transport and links', () => {
  test('knet: link L has a port of its own, 5405 + L, unless its section names one', () => {
    const { links, linkMode } = read({
      links: 3,
      totem: ['transport: knet'],
      interfaces: [['linknumber: 1', 'mcastport: 6000', 'knet_link_priority: 9']],
    });
    assert.equal(linkMode, 'passive');
    assert.deepEqual(
      links.map(({ link, port, priority, group }) => [link, port, priority, group]),
      [
        [0, 5405, 1, null],
        [1, 6000, 9, null],
        [2, 5407, 1, null],
      ],
    );
  });

  test('a link is probed as corosync.conf(5) says: twice in token / pong_count', () => {
    const { links } = read({ links: 2, totem: ['transport: knet', 'token: 1200', 'token_coefficient: 0'] });
    assert.deepEqual(
      links.map(({ pingInterval, pingTimeout, pongCount }) => [pingInterval, pingTimeout, pongCount]),
      Array(2).fill([300, 600, 2]),
    );
  });

  test('rrp_mode passive takes two rings in turn, active takes both', () => {
    const rings = (mode: string) => read({ links: 2, totem: ['transport: udpu', `rrp_mode: ${mode}`] });
    assert.equal(rings('passive').linkMode, 'rr');
    assert.equal(rings('active').linkMode, 'active');
    assert.deepEqual(
      rings('passive').links.map(({ port }) => port),
      [5405, 5405],
    );
  });

  test('a file of Corosync 2 without a transport means multicast, one of Corosync 3 knet', () => {
    const old = read({
      links: 2,
      totem: ['rrp_mode: passive', 'secauth: on', 'ip_version: ipv4'],
      interfaces: [
        ['bindnetaddr: 10.0.0.0', 'ringnumber: 0'],
        ['bindnetaddr: 10.0.1.0', 'ringnumber: 1', 'mcastport: 5505'],
      ],
    });
    assert.equal(old.transport, 'udp');
    assert.deepEqual(
      old.links.map(({ port, group }) => [port, group?.ipv4]),
      [
        [5405, '239.192.6.144'],
        [5505, '239.192.6.145'],
      ],
    );
    assert.equal(read({ totem: [] }).transport, 'knet');
  });

  test('the group of a cluster is the one that Corosync computes', () => {
    // Read from totem.interface.0.mcastaddr of Corosync 3.1.7, started with these names.
    assert.equal(multicastGroup('prod', 0, 4), '239.192.6.144');
    assert.equal(multicastGroup('C1', 0, 4), '239.192.0.183');
    assert.equal(multicastGroup('hacluster', 0, 4), '239.192.204.129');
    assert.equal(multicastGroup('edge_7', 0, 6), 'ff15::18a1');
    assert.equal(multicastGroup('my-cluster', 0, 4), '239.192.157.82');
    assert.equal(multicastGroup('my-cluster', 0, 6), 'ff15::9db4');
    // Bytes above 127 count as negative numbers.
    assert.equal(multicastGroup('é', 0, 4), '239.192.255.47');
    assert.equal(multicastGroup('aaé8', 0, 4), '239.192.7.181');
  });

  test('mcastaddr and ttl are followed', () => {
    const group = (...lines: string[]) =>
      read({ totem: ['transport: udp'], interfaces: [['linknumber: 0', ...lines]] }).links[0];
    assert.equal(group('mcastaddr: 239.1.2.3', 'ttl: 8')?.group?.ipv4, '239.1.2.3');
    assert.equal(group('mcastaddr: 239.1.2.3', 'ttl: 8')?.ttl, 8);
  });
});

describe('timeouts', () => {
  test('a dead node is noticed within 1.5 s on three and on nine nodes, a pause of 500 ms is not', () => {
    for (const nodes of [2, 3, 9]) {
      const { token, consensus } = read({ nodes }).timeouts;
      assert.ok(token > 500 + 200 && token + consensus < 1_500, `${nodes} nodes: ${token} + ${consensus}`);
    }
  });

  test('the token grows with the nodelist', () => {
    assert.equal(read({ nodes: 9 }).timeouts.token, 800 + 7 * 5);
    assert.equal(read({ nodes: 4, totem: ['token: 5000', 'token_coefficient: 100'] }).timeouts.token, 5_200);
  });

  test('what the file names is taken', () => {
    const named = ['token: 2000', 'token_coefficient: 0', 'token_retransmit: 90', 'hold: 70', 'join: 60', 'merge: 300'];
    assert.deepEqual(read({ totem: ['transport: udpu', ...named, 'consensus: 2400'] }).timeouts, {
      ...{ token: 2_000, retransmit: 90, hold: 70, join: 60, consensus: 2_400, merge: 300 },
    });
    assert.equal(
      read({
        totem: ['transport: udpu', 'token: 2100', 'token_coefficient: 0', 'token_retransmits_before_loss_const: 4'],
      }).timeouts.retransmit,
      500,
    );
  });

  test('nodes with the old token and nodes with the new one can be in one ring while a change is loaded', () => {
    for (const token of [500, 800, 10_000]) {
      const { hold, retransmit } = read({ totem: ['transport: udpu', `token: ${token}`] }).timeouts;
      assert.ok(hold <= 160 && retransmit < 900, `token ${token}: held ${hold}`);
    }
  });
});

describe('encryption', () => {
  const crypto = (...totem: string[]) => read({ totem: ['transport: udpu', ...totem] }).crypto;

  test('secauth: on means aes256, a named cipher itself, and neither means none', () => {
    assert.equal(crypto('secauth: on'), 'aes256');
    assert.equal(crypto('crypto_cipher: aes128', 'crypto_hash: sha256'), 'aes128');
    assert.equal(crypto(), 'none');
    assert.equal(crypto('secauth: off'), 'none');
  });

  test('a hash alone asks for authentication, and gets encryption with it', () => {
    assert.equal(crypto('crypto_hash: sha256'), 'aes256');
  });
});

describe('refused, with the reason', () => {
  test('rrp_mode without a second ring', () => {
    assert.match(refusal({ totem: ['transport: udpu', 'rrp_mode: passive'] }), /needs a ring1_addr on every node/);
  });

  test('a second ring that one node lacks', () => {
    const text = conf({ links: 2, totem: ['transport: udpu', 'rrp_mode: passive'] }).replace(
      '    ring1_addr: 10.0.1.2\n',
      '',
    );
    const settings = engineSettings(text);
    assert.ok(!settings.ok && /pve2 has no address on link 1/i.test(settings.error));
  });

  test('a second ring that is not used', () => {
    assert.match(refusal({ links: 2 }), /addresses of a second ring, and rrp_mode is none/);
  });

  test('a third ring', () => {
    assert.match(refusal({ links: 3, totem: ['transport: udp', 'rrp_mode: active'] }), /rings 0 and 1/);
  });

  test('rrp_mode with knet', () => {
    assert.match(refusal({ links: 2, totem: ['transport: knet', 'rrp_mode: passive'] }), /udp and udpu, not for knet/);
  });

  test('a ping timeout that no answer can keep', () => {
    const interfaces = [['linknumber: 0', 'knet_ping_interval: 500', 'knet_ping_timeout: 400']];
    assert.match(refusal({ totem: ['transport: knet'], interfaces }), /must be longer than the interval/);
  });

  test('a packet smaller than every host takes', () => {
    assert.match(refusal({ totem: ['transport: udpu', 'netmtu: 300'] }), /576 to 65535/);
  });

  test('a hold that the others would take for a loss', () => {
    assert.match(refusal({ totem: ['transport: udpu', 'hold: 700'] }), /half of the token timeout/);
  });

  test('broadcast, which the engine does not have', () => {
    const interfaces = [['linknumber: 0', 'broadcast: yes']];
    assert.match(refusal({ totem: ['transport: udp'], interfaces }), /does not broadcast/);
  });

  test('a cluster without a name', () => {
    const settings = engineSettings(conf().replace('  cluster_name: prod\n', ''));
    assert.ok(!settings.ok && settings.error.includes('cluster_name is missing'));
  });
});

describe('a reload', () => {
  const knet: Shape = { links: 2, totem: ['transport: knet'] };

  test('of the same file changes nothing', () => {
    const { live, needsRestart, effective } = changed(knet, knet);
    assert.deepEqual([live, needsRestart], [[], []]);
    assert.deepEqual(effective, read(knet));
  });

  test('takes priorities and probes of a link', () => {
    const interfaces = [['linknumber: 1', 'knet_link_priority: 5', 'knet_ping_interval: 100', 'knet_pong_count: 3']];
    const { live, needsRestart, effective } = changed(knet, { ...knet, interfaces });
    assert.deepEqual(needsRestart, []);
    assert.ok(live.includes('link 1 has priority 5') && live.includes('link 1 is probed every 100 ms'));
    assert.equal(effective.links[1]?.priority, 5);
  });

  test('takes links that come and go beside one that stays', () => {
    const added = changed({ links: 1, totem: ['transport: knet'] }, knet);
    assert.deepEqual(added.needsRestart, []);
    assert.ok(added.live.includes('link 1 is used on port 5406'));
    assert.deepEqual(added.effective.nodes[0]?.addresses, read(knet).nodes[0]?.addresses);
    const removed = changed(knet, { links: 1, totem: ['transport: knet'] });
    assert.deepEqual(removed.needsRestart, []);
    assert.deepEqual(
      removed.effective.links.map(({ link }) => link),
      [0],
    );
  });

  test('takes timeouts, votes, netmtu', () => {
    const { live, needsRestart, effective } = changed(
      {},
      { totem: ['transport: udpu', 'token: 2000', 'netmtu: 9000'] },
    );
    assert.deepEqual(needsRestart, []);
    assert.ok(live.includes('the token timeout is 2005 ms') && live.includes('the largest packet is 9000 bytes'));
    assert.equal(effective.timeouts.token, 2_005);
  });

  test('takes another node’s new address, and keeps the own one of a link in use until the restart', () => {
    const before = read();
    const moved = engineSettings(conf().replace('10.0.0.1', '10.9.9.1').replace('10.0.0.2', '10.9.9.2'));
    assert.ok(moved.ok);
    const { live, needsRestart, effective } = compareSettings(before, moved.value, nodeId(1));
    assert.ok(live.includes('node pve2 is reached at 10.9.9.2'));
    assert.match(
      needsRestart.join(),
      /this node listens on 10\.9\.9\.1 when its engine restarts; until then on 10\.0\.0\.1/,
    );
    assert.deepEqual(effective.nodes[0]?.addresses, [{ link: 0, address: '10.0.0.1' }]);
    assert.deepEqual(effective.nodes[1]?.addresses, [{ link: 0, address: '10.9.9.2' }]);
  });

  test('leaves what all nodes must change together, and says when it comes', () => {
    const cases: [Shape, RegExp][] = [
      [{ totem: ['transport: udp'] }, /transport changes from udpu to udp when the engine restarts on every node/],
      [
        { totem: ['transport: udpu', 'secauth: on'] },
        /encryption starts when the engine restarts on every node at once/,
      ],
      [{ interfaces: [['linknumber: 0', 'mcastport: 6000']] }, /the port of link 0 changes from 5405 to 6000/],
      [{ links: 2, totem: ['transport: udpu', 'rrp_mode: passive'] }, /rrp_mode changes from none to passive/],
    ];
    for (const [to, sentence] of cases) {
      const { needsRestart, effective } = changed({}, to);
      assert.match(needsRestart.join('\n'), sentence);
      const { transport, crypto, rrpMode, links } = effective;
      assert.deepEqual([transport, crypto, rrpMode, links[0]?.port], ['udpu', 'none', 'none', 5405]);
    }
  });

  test('does not leave a node without any link it has', () => {
    const text = conf({ links: 1, totem: ['transport: knet'] });
    const other = engineSettings(text.replaceAll('ring0_addr', 'ring3_addr'));
    assert.ok(other.ok, other.ok ? '' : other.error);
    const { needsRestart, effective } = compareSettings(read({ totem: ['transport: knet'] }), other.value, nodeId(1));
    assert.match(needsRestart.join(), /no link stays/);
    assert.deepEqual(
      effective.links.map(({ link }) => link),
      [0],
    );
  });
});
