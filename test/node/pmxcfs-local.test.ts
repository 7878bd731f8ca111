/**
 * pmxcfs as a program: in local mode and back in the cluster, in the background and in the foreground, how it ends and
 * with which exit code. On a node of a lab whose supervisor is kept from starting it meanwhile.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab, type Outcome } from './lab-nodes.ts';

const PMXCFS = 'pgrep -f "agent.mjs pmxcf[s]"';
const SUPERVISOR = 'pgrep -f "agent.mjs supervis[e]"';
const GONE = `for i in $(seq 100); do ${PMXCFS} > /dev/null || break; sleep 0.1; done`;
const NODE = 'pve3';
const DATABASE = '/var/lib/pve-cluster/config.db';

describe('pmxcfs as a program', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const on = (script: string): Outcome => nodes.on(NODE, script);
  const run = (script: string): string => nodes.run(NODE, script);
  const isMounted = (): boolean => on('grep -q " /etc/pve fuse" /proc/mounts').code === 0;
  const isRunning = (): boolean => on(PMXCFS).code === 0;
  const stop = (): void => void run(`kill $(${PMXCFS}); ${GONE}`);

  before(() => {
    nodes.good('up', '--free', '0');
    run(`kill -STOP $(${SUPERVISOR}); kill $(${PMXCFS}); ${GONE}`);
  });
  after(() => nodes.remove());

  test('in the background it returns when it is mounted, with 0, says how it runs, and lets go of the terminal', () => {
    // With its standard error on a pipe: this would not return while the process in the background held it open.
    const { code, err } = on('cd /root && timeout 20 pmxcfs --local');
    assert.equal(code, 0, err);
    assert.match(err, /pmxcfs runs in local mode, mounted at \/etc\/pve/);
    assert.ok(isMounted() && isRunning());
    assert.equal(run(`readlink /proc/$(${PMXCFS})/cwd`).trim(), '/');
    assert.match(run('cat /etc/pve/.members'), /^\{\n"nodename": "pve3",\n"version": 0\n\}\n$/);
  });

  test('one that runs already is left alone: exit code 4', () => {
    const before = run(PMXCFS);
    for (const options of ['--local', '--local --foreground']) {
      const { code, err } = on(`pmxcfs ${options}`);
      assert.equal(code, 4, err);
      assert.match(err, /runs already \(process \d+\)/);
    }
    assert.equal(run(PMXCFS), before);
    assert.ok(isMounted());
  });

  test('what is written belongs to root:www-data, with the mode of its path', () => {
    run(
      'mkdir -p /etc/pve/priv/lock /etc/pve/nodes/pve3/priv; echo a > /etc/pve/local-only; echo b > /etc/pve/priv/key',
    );
    run('echo c > /etc/pve/nodes/pve3/priv/key; echo d > /etc/pve/nodes/pve3/config');
    const paths = [
      '.',
      'local-only',
      'priv',
      'priv/key',
      'nodes/pve3',
      'nodes/pve3/priv',
      'nodes/pve3/priv/key',
      '.version',
    ];
    assert.equal(
      run(`cd /etc/pve && stat -c '%n %u:%g %a' ${paths.join(' ')}`),
      [
        '. 0:33 755',
        'local-only 0:33 640',
        'priv 0:33 700',
        'priv/key 0:33 600',
        'nodes/pve3 0:33 755',
        'nodes/pve3/priv 0:33 700',
        'nodes/pve3/priv/key 0:33 600',
        '.version 0:33 440',
        '',
      ].join('\n'),
    );
  });

  test('SIGTERM unmounts, also where somebody is in it, and ends it', () => {
    nodes.begin(NODE, 'cd /etc/pve/priv && exec sleep 60');
    stop();
    assert.ok(!isMounted() && !isRunning());
    run('pkill -x sleep; true');
  });

  test('in the foreground it stays, SIGINT ends it with 0 and unmounts; --debug says each operation', async () => {
    const { ended } = nodes.begin(NODE, 'exec timeout 30 pmxcfs --local --debug');
    await until('it is mounted', 15_000, isMounted);
    assert.equal(run('cat /etc/pve/local-only'), 'a\n', 'what was written is there after a restart');
    run('echo more > /etc/pve/said && mkdir /etc/pve/folder');
    run(`kill -INT $(pgrep -f "^[^ ]*node.*agent.mjs pmxcf[s]")`);
    const { code, err } = await ended;
    assert.equal(code, 0, err);
    assert.ok(!isMounted());
    assert.match(err, /write \S*said: done after [\d.]+ ms/);
    assert.match(err, /mkdir \S*folder: done after [\d.]+ ms/);
    const quiet = nodes.begin(NODE, 'exec timeout 30 pmxcfs --local --foreground');
    await until('it is mounted again', 15_000, isMounted);
    run('echo less > /etc/pve/said');
    stop();
    const outcome = await quiet.ended;
    assert.equal(outcome.code, 0);
    assert.doesNotMatch(outcome.err, /done after/);
  });

  test('exit codes: each reason why it does not start has its own, and --help names them', () => {
    const start = (prefix = '', options = '--local'): Outcome => {
      const outcome = on(`${prefix} timeout 20 pmxcfs ${options}`);
      assert.ok(
        !isRunning() && on('grep -q " /etc/pve fuse" /proc/mounts').code !== 0,
        `${options}: something is left`,
      );
      return outcome;
    };
    const help = start('', '--help');
    assert.equal(help.code, 0);
    for (const [code, words] of [
      [0, /0 ended in good order/],
      [1, /1 failed/],
      [2, /2 not understood/],
      [4, /4 it runs already/],
      [5, /5 its database is damaged/],
      [6, /6 the mount point cannot be used/],
      [7, /7 not root/],
    ] as const)
      assert.match(help.out.replaceAll('\n', ' '), words, String(code));

    const unknown = start('', '--locale');
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /unknown option '--locale'/);
    assert.equal(start('', 'check it all').code, 2);

    const user = start('setpriv --reuid 65534 --regid 65534 --clear-groups');
    assert.equal(user.code, 7, user.err);
    assert.match(user.err, /only root/);

    run('mount -t tmpfs tmpfs /etc/pve');
    const busy = start();
    run('umount /etc/pve');
    assert.equal(busy.code, 6, busy.err);
    assert.match(busy.err, /tmpfs is mounted at \/etc\/pve: unmount it first/);

    run(`cp ${DATABASE} /root/whole.db; head -c 8192 /dev/urandom > ${DATABASE}`);
    const damaged = start();
    run(`cp /root/whole.db ${DATABASE}`);
    assert.equal(damaged.code, 5, damaged.err);
    assert.match(damaged.err, /is damaged .*pmxcfs restore/);
  });

  /** A mount of this source and type whose daemon was killed: its end of the conversation is closed. */
  const leaveDead = (source: string, type = 'fuse'): void => {
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
    run(`exec 3<> /dev/fuse; mount -i -t ${type} -o ${options} ${source} /etc/pve`);
  };
  /** Type and source of what is mounted at /etc/pve, the topmost last. */
  const mounted = (): string[] =>
    run(`awk '$2 == "/etc/pve" { print $3, $1 }' /proc/mounts`)
      .split('\n')
      .filter((line) => line !== '');

  test('a FUSE file system of somebody else is refused as any other, wherever it lies, and left as it is', () => {
    for (const [source, type, words, left] of [
      // As Proxmox VE's own pmxcfs mounts.
      ['/dev/fuse', 'fuse', /fuse \(\/dev\/fuse\) is mounted at \/etc\/pve: unmount it first/, ['fuse /dev/fuse']],
      ['host:', 'fuse.sshfs', /fuse\.sshfs is mounted at \/etc\/pve: unmount it first/, ['fuse.sshfs host:']],
    ] as const) {
      leaveDead(source, type);
      const { code, err } = on('timeout 20 pmxcfs --local');
      const after = mounted();
      run('umount -i -c -l /etc/pve');
      assert.equal(code, 6, err);
      assert.match(err, words);
      assert.deepEqual(after, left);
    }
    for (const [below, above] of [
      ['ringmaster', 'other'],
      ['other', 'ringmaster'],
    ] as const) {
      leaveDead(below);
      leaveDead(above);
      const { code, err } = on('timeout 20 pmxcfs --local');
      const after = mounted();
      run('umount -i -c -l /etc/pve; umount -i -c -l /etc/pve');
      assert.equal(code, 6, err);
      assert.match(err, /fuse \(other\) is mounted at \/etc\/pve: unmount it first/);
      assert.deepEqual(after, [`fuse ${below}`, `fuse ${above}`]);
    }
  });

  test('what killed daemons of ours have left mounted is replaced', () => {
    leaveDead('ringmaster');
    leaveDead('ringmaster');
    assert.equal(on('ls /etc/pve').code, 2, 'nobody serves it');
    const { code, err } = on('timeout 20 pmxcfs --local');
    assert.equal(code, 0, err);
    assert.deepEqual(mounted(), ['fuse ringmaster']);
    assert.equal(run('echo served > /etc/pve/replaced; cat /etc/pve/replaced'), 'served\n');
    stop();
    assert.deepEqual(mounted(), []);
  });

  test('back in the cluster, which went on, what was written alone gives way: kept aside, and named in the log', async () => {
    nodes.run('pve1', 'echo went-on > /etc/pve/went-on');
    run(`kill -CONT $(${SUPERVISOR})`);
    await until(
      'pve3 takes part again',
      30_000,
      () => on('timeout 5 sh -c "echo x > /etc/pve/back"').code === 0 && isMounted(),
    );
    assert.equal(run('cat /etc/pve/went-on'), 'went-on\n');
    for (const node of ['pve1', NODE]) assert.notEqual(nodes.on(node, 'cat /etc/pve/local-only').code, 0, node);
    const [, aside = ''] =
      /gives way to the cluster's; it is kept in ([^"]+)/.exec(run('cat /var/log/ringmaster/events.jsonl')) ?? [];
    assert.match(aside, /config\.db\.set-aside-/);
    assert.equal(on(`pmxcfs check ${aside}`).code, 0);
    assert.match(run('pmxcfs restore --list'), new RegExp(aside.replaceAll('.', '\\.')));
  });
});
