/**
 * A node of Proxmox VE without our agent. Proxmox VE itself is not at hand: /etc/pve is a directory, `pveversion` and
 * `pvecm` are scripts, and this test plays pmxcfs, which installs a file of a higher config_version on every node and
 * has it loaded (measured on the real one). Corosync below is real.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { model, newConf, parse, setValue } from '../../agent/conf/index.ts';
import { HostApp } from '../../electron/host/app.ts';
import type { ClusterView, OperationView } from '../../electron/host/api.ts';
import { AdoptNodes, until, whyNoAdoptNodes } from './adopt-nodes.ts';

const NAMES = ['pve1', 'pve2'];
const TREE = 'etc/pve/corosync.conf';
const LOCAL = 'etc/corosync/corosync.conf';

const PVEVERSION = '#!/bin/sh\necho "pve-manager/8.2.4/faa83925c9641325 (running kernel: 6.8.8-2-pve)"\n';
/** delnode takes the section out and raises the version, as the real one does. */
const PVECM = `#!/bin/sh
echo "$*" >> /root/pvecm.log
[ "$1" = delnode ] || exit 0
awk -v name="$2" '
  /^  node \\{/ { held = $0; inside = 1; drop = 0; next }
  inside { held = held "\\n" $0; if ($1 == "name:" && $2 == name) drop = 1
    if ($1 == "}") { if (!drop) print held; inside = 0 } next }
  $1 == "config_version:" { $0 = "  config_version: " $2 + 1 }
  { print }' /etc/pve/corosync.conf > /etc/pve/corosync.conf.new && mv /etc/pve/corosync.conf.new /etc/pve/corosync.conf
`;

describe('a cluster of Proxmox VE', { skip: whyNoAdoptNodes, timeout: 240_000 }, () => {
  const settings = mkdtempSync(join(tmpdir(), 'ringmaster-adopt-pve-'));
  let nodes: AdoptNodes;
  let app: HostApp;
  let pmxcfs: NodeJS.Timeout;
  /** What pmxcfs holds. */
  let tree = '';

  const versionOf = (text: string): number => model(parse(text)).totem.configVersion ?? 0;
  const read = (name: string, file: string): string => readFileSync(nodes.path(name, file), 'utf8');
  const playPmxcfs = (): void => {
    const changed = NAMES.map((name) => read(name, TREE)).find((text) => text !== tree && text !== '');
    if (changed === undefined) return;
    tree = changed;
    for (const name of NAMES) {
      writeFileSync(nodes.path(name, TREE), tree);
      if (versionOf(tree) > versionOf(read(name, LOCAL))) writeFileSync(nodes.path(name, LOCAL), tree);
    }
    void nodes.on('pve1', 'corosync-cfgtool -R');
  };
  const cluster = (): ClusterView | null => app.snapshot().clusters.find(({ name }) => name === 'virt') ?? null;
  const id = (): string => cluster()?.id ?? '';
  const succeeded = async (operation: string): Promise<OperationView> => {
    const view = await until(`the end of ${operation}`, 90_000, () => {
      const found = app.snapshot().operations.find((one) => one.id === operation);
      return found !== undefined && found.state !== 'running' ? found : null;
    });
    assert.equal(view.state, 'done', JSON.stringify(view, null, 1));
    return view;
  };
  const tryToken = async (token: number, confirmWithinMs: number): Promise<void> => {
    const { file } = await app.openConf(id());
    const plan = await app.planConf(id(), setValue(file.text, 'totem', 'token', String(token)), file.digest);
    assert.match(plan.warnings.join(' '), /go back through \/etc\/pve/);
    const { text, baseDigest, method } = plan;
    await succeeded((await app.applyConf(id(), { text, baseDigest, method, confirmWithinMs })).operation);
  };
  const token = (name: string): string | null => /token: (\d+)/.exec(read(name, LOCAL))?.[1] ?? null;

  before(async () => {
    nodes = await AdoptNodes.make(NAMES);
    const listed = [...NAMES, 'pve3'].map((name, index) => {
      const address = NAMES.includes(name) ? nodes.address(name) : nodes.address('pve1').replace(/\d+$/, '33');
      return { name, nodeId: index + 1, votes: 1, addresses: [{ link: 0, address }] };
    });
    tree = setValue(
      newConf({ clusterName: 'virt', transport: 'knet', nodes: listed, secauth: 'on' }),
      'totem',
      'token',
      '2000',
    );
    for (const name of NAMES) {
      mkdirSync(nodes.path(name, 'etc/pve'), { recursive: true });
      writeFileSync(nodes.path(name, TREE), tree);
      writeFileSync(nodes.path(name, 'usr/local/bin/pveversion'), PVEVERSION, { mode: 0o755 });
      writeFileSync(nodes.path(name, 'usr/local/bin/pvecm'), PVECM, { mode: 0o755 });
    }
    await nodes.startCorosync(NAMES, tree, randomBytes(256));
    pmxcfs = setInterval(playPmxcfs, 200);
    app = new HostApp({
      settingsDirectory: settings,
      knownHostsFile: nodes.paths.knownHosts,
      lab: null,
      bundleDirectory: join(settings, 'no-bundle'),
      shell: 'browser',
    });
    for (const name of NAMES) await app.addHost(nodes.host(name));
    await until('both in one ring', 60_000, () => cluster()?.quorum.totalVotes === 2 && cluster()?.adopted !== null);
    await until(
      'both answer',
      30_000,
      () => cluster()?.members.filter(({ diskVersion }) => diskVersion !== null).length === 2,
    );
  });
  after(async () => {
    clearInterval(pmxcfs);
    app.close();
    await nodes.remove();
    rmSync(settings, { recursive: true, force: true });
  });

  test('is known as one, with its version', () => {
    assert.equal(cluster()?.adopted?.manager, 'proxmox');
    assert.deepEqual(app.snapshot().hosts[0]?.adopted?.programs[0], { name: 'Proxmox VE', version: '8.2.4' });
  });

  test('an apply is written into /etc/pve alone, by corosync.conf.new, .bak and a rename', async () => {
    const before = tree;
    await tryToken(3000, 60_000);
    await app.confirmConf(id());
    for (const name of NAMES) assert.equal(token(name), '3000');
    assert.equal(read('pve1', `${TREE}.bak`) === before || read('pve2', `${TREE}.bak`) === before, true);
    for (const name of NAMES)
      assert.equal(existsSync(nodes.path(name, `${LOCAL}.bak`)), false, 'pmxcfs alone writes there');
  });

  test('without a confirmation it goes back through /etc/pve, under a version that pmxcfs takes', async () => {
    const version = versionOf(tree);
    await tryToken(4000, 5_000);
    await until('the old settings are back', 60_000, () => NAMES.every((name) => token(name) === '3000'));
    assert.equal(versionOf(tree), version + 2);
  });

  test('a file that costs the quorum goes back all the same: each node restarts with the old settings, and /etc/pve gets them then', async () => {
    const version = versionOf(tree);
    // The tree takes no change without quorum, as that of the real pmxcfs.
    for (const name of NAMES) {
      await nodes.run(name, 'mount --bind /etc/pve /etc/pve');
      await nodes.run(
        name,
        'nft add table inet lost; nft add chain inet lost in "{ type filter hook input priority 0; }"',
      );
      await nodes.run(name, 'nft add rule inet lost in udp dport 5999 drop');
    }
    const quorumOf = async (name: string): Promise<boolean> =>
      /^Quorate: +Yes/m.test((await nodes.on(name, 'corosync-quorumtool -s')).stdout);
    let playing = true;
    const playQuorum = async (name: string): Promise<void> => {
      for (let now = 'rw'; playing; await new Promise((resolve) => setTimeout(resolve, 200))) {
        const wanted = (await quorumOf(name)) ? 'rw' : 'ro';
        if (wanted !== now) await nodes.on(name, `mount -o remount,bind,${wanted} /etc/pve`);
        now = wanted;
      }
    };
    const player = Promise.all(NAMES.map(playQuorum));
    try {
      const { file } = await app.openConf(id());
      const moved = file.text.replace(/(totem \{\n)/, '$1  interface {\n    linknumber: 0\n    mcastport: 5999\n  }\n');
      const plan = await app.planConf(id(), moved, file.digest);
      assert.equal(plan.method, 'whole-restart');
      const { text, baseDigest, method } = plan;
      const { operation } = await app.applyConf(id(), { text, baseDigest, method, confirmWithinMs: 30_000 });
      await until('the quorum is lost', 60_000, async () => !(await quorumOf('pve1')));
      await app.cancel(operation).catch(() => undefined);
      const view = await until('its end', 150_000, () => {
        const found = app.snapshot().operations.find((one) => one.id === operation);
        return found !== undefined && found.state !== 'running' ? found : null;
      });
      assert.notEqual(view.state, 'done', JSON.stringify(view, null, 1));
      await until('quorum, and the old settings in /etc/pve', 60_000, async () => {
        return versionOf(tree) === version + 2 && !tree.includes('5999') && (await quorumOf('pve1'));
      });
      for (const name of NAMES) assert.equal(read(name, LOCAL), tree);
    } finally {
      playing = false;
      await player;
      for (const name of NAMES) await nodes.on(name, 'umount /etc/pve; nft delete table inet lost');
    }
  });

  test('a node that is off is removed by pvecm; one that is on is not', async () => {
    const refused = (await app.removeNode(id(), 2)).operation;
    const view = await until(
      'the refusal',
      30_000,
      () => app.snapshot().operations.find((one) => one.id === refused && one.state !== 'running') ?? null,
    );
    assert.match(view.error ?? '', /power it off first/);
    await succeeded((await app.removeNode(id(), 3)).operation);
    assert.match(
      NAMES.map((name) => (existsSync(nodes.path(name, 'root/pvecm.log')) ? read(name, 'root/pvecm.log') : '')).join(
        '',
      ),
      /delnode pve3/,
    );
    await until('the tree is without pve3', 10_000, () => !tree.includes('pve3'));
  });
});
