/** Corosync comes onto a real Debian without it: apt, dpkg, the package's own scripts, then a cluster on it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DebianRoot, fetchPackages, whyNoDebianRoot } from './debian-root.ts';
import { until } from './lab-nodes.ts';
import { shippedAgent } from './shipped-agent.ts';

const REMOVED = ['corosync', 'libcpg4'];

describe('Corosync is installed by "pvecm create"', { skip: whyNoDebianRoot() }, () => {
  const machine = new DebianRoot();
  const shared = join(machine.directory, 'shared');
  const pool = join(shared, 'pool');
  const sources = '/etc/apt/sources.list';
  let agent = '';
  const pvecm = (words: string) => machine.on(`${agent} pvecm ${words}`);
  const good = (script: string): string => {
    const { code, out, err } = machine.on(script);
    assert.equal(code, 0, `${script}: ${out}${err}`);
    return out;
  };
  const repository = (line: string): void => void good(`rm -rf /etc/apt/sources.list.d; echo '${line}' > ${sources}`);

  before(async () => {
    await machine.boot(REMOVED);
    agent = `${process.execPath} ${await shippedAgent(shared)}`;
    assert.ok(
      fetchPackages(pool, REMOVED),
      'apt-get cannot download the package corosync on this machine: this test needs it',
    );
    good(`${agent} supervise --detach`);
  });
  after(() => machine.remove());

  test('the machine has none to begin with', () => {
    assert.notEqual(machine.on('command -v corosync').code, 0);
    assert.notEqual(machine.on('test -e /usr/lib/*/libcpg.so.4').code, 0);
  });

  test('without a repository that can be reached it says so, and the node is in no cluster', () => {
    repository('deb http://packages.invalid/debian bookworm main');
    good('rm -rf /var/cache/apt/archives/corosync* /var/cache/apt/archives/libcpg4*');
    const { code, err } = pvecm('create lab --engine corosync');
    assert.equal(code, 1);
    assert.match(err, /pvecm: Corosync could not be installed on Debian .*: no repository of packages can be reached/);
    assert.notEqual(machine.on('test -e /etc/corosync/corosync.conf').code, 0);
  });

  test('with repositories that lack the package it says where it is', () => {
    good(`mkdir -p /srv/empty && : > /srv/empty/Packages`);
    repository('deb [trusted=yes] file:/srv/empty ./');
    const { code, err } = pvecm('create lab --engine corosync');
    assert.equal(code, 1);
    assert.match(err, /no repository of this node has the package corosync.*section "main"/);
  });

  test('from a repository it is installed, does not start by itself, and carries the new cluster', () => {
    repository(`deb [trusted=yes] file:${pool} ./`);
    const { code, out, err } = pvecm('create lab --engine corosync');
    assert.equal(code, 0, out + err);
    assert.match(err, /Setting up corosync \(3\./);
    assert.match(err, /the example that the package put in the place of corosync\.conf is taken away/);
    assert.match(good('corosync-quorumtool -s'), /Quorate: +Yes/);
    assert.match(good('cat /etc/corosync/corosync.conf'), /cluster_name: lab[\s\S]*transport: knet/);
    assert.equal(good('stat -c %a:%U:%s /etc/corosync/authkey').trim(), '400:root:256');
    assert.equal(good('pidof corosync').trim().split(' ').length, 1);
    assert.match(good(`ps -o args= -p $(pidof corosync)`), /corosync -f/);
    good('echo written > /etc/pve/note');
    assert.equal(good('cat /etc/pve/note'), 'written\n');
  });

  test('a package that counts as installed and has lost its program is repaired, its cluster untouched', async () => {
    const conf = good('cat /etc/corosync/corosync.conf');
    good('rm /usr/sbin/corosync');
    assert.match(pvecm('install-corosync').out, /Corosync 3\.\S+ is installed on solo/);
    good('test -x /usr/sbin/corosync');
    assert.equal(good('cat /etc/corosync/corosync.conf'), conf);
    // The package's scripts end the old process; the supervisor starts the new one.
    await until('it is quorate again', 20_000, () => /Quorate: +Yes/.test(machine.on('corosync-quorumtool -s').out));
  });

  test('where the package is there, and its key and configuration are not, a cluster is made anew with them', () => {
    good(`${agent} pvecm status`);
    const supervisor = good('cat /run/ringmaster/supervisor.pid').trim();
    good(`kill ${supervisor}; while kill -0 ${supervisor} 2>/dev/null; do sleep 0.1; done`);
    good('rm -rf /etc/corosync /var/lib/pve-cluster /var/lib/ringmaster/engine');
    good(`${agent} supervise --detach`);
    const { code, out, err } = pvecm('create again --engine corosync');
    assert.equal(code, 0, out + err);
    assert.match(err, /Corosync 3\.\S+ is installed/);
    assert.doesNotMatch(err, /Setting up corosync/);
    assert.match(good('corosync-cmapctl -g totem.cluster_name'), /= again/);
  });
});
