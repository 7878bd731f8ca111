import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCluster } from '../../agent/cluster/create.ts';
import { joinCluster } from '../../agent/cluster/join.ts';
import { chooseInstall, parseOsRelease, wordsOf, type InstallChoice } from '../../agent/cluster/install/choice.ts';
import { isPackagesExample, whyFailed } from '../../agent/cluster/install/failure.ts';
import { installCorosync } from '../../agent/cluster/install/install.ts';
import { modelOf } from '../../agent/cluster/conf-write.ts';
import { memoryNode, stepWatcher } from './cluster-node.ts';

/** os-release files as the distributions have them, shortened to what is read. */
const SYSTEMS = {
  debian: 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
  ubuntu: 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n',
  rocky:
    'NAME="Rocky Linux"\nVERSION="9.4 (Blue Onyx)"\nID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n',
  alma: 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="AlmaLinux 9.4 (Seafoam Ocelot)"\n',
  fedora: 'NAME="Fedora Linux"\nID=fedora\nPRETTY_NAME="Fedora Linux 41 (Server Edition)"\n',
  leap: 'NAME="openSUSE Leap"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nPRETTY_NAME="openSUSE Leap 15.6"\n',
  sles: 'NAME="SLES"\nID="sles"\nID_LIKE="suse"\nPRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"\n',
  arch: 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\n',
} as const;

const with_ =
  (...tools: string[]) =>
  (name: string): boolean =>
    tools.includes(name);

function chosen(system: keyof typeof SYSTEMS, ...tools: string[]): InstallChoice {
  const choice = chooseInstall(SYSTEMS[system], with_(...tools));
  assert.ok(choice.ok, choice.ok ? '' : choice.error);
  return choice.value;
}

describe('which commands install Corosync', () => {
  for (const [system, tool, install] of [
    ['debian', 'apt-get', /^DEBIAN_FRONTEND=noninteractive apt-get install -y .*--force-confold corosync$/],
    ['ubuntu', 'apt-get', /^DEBIAN_FRONTEND=noninteractive apt-get install -y .* corosync$/],
    ['rocky', 'dnf', /^dnf -y install --setopt=highavailability\.enabled=1 --setopt=ha\.enabled=1 corosync$/],
    ['alma', 'yum', /^yum -y install .* corosync$/],
    ['fedora', 'dnf', /^dnf -y install .* corosync$/],
    ['leap', 'zypper', /^zypper --non-interactive install --no-recommends corosync$/],
    ['sles', 'zypper', /^zypper --non-interactive install --no-recommends corosync$/],
  ] as const) {
    test(`on ${system}: ${tool}`, () => {
      const { install: command, fetch, system: name } = chosen(system, tool);
      assert.match(wordsOf(command), install);
      assert.ok(fetch.args.some((arg) => /^--download-?only$/.test(arg)));
      assert.equal(name, parseOsRelease(SYSTEMS[system]).get('PRETTY_NAME'));
    });
  }

  test('dnf is preferred to yum', () => {
    assert.equal(chosen('rocky', 'yum', 'dnf').install.program, 'dnf');
  });

  test('on an unknown system, and without a tool, it is said what to do instead', () => {
    for (const [text, tools, words] of [
      [SYSTEMS.arch, ['pacman'], /Corosync on Arch Linux is not known here\. Install .* by hand .* bundled engine/],
      ['', [], /an unknown system is not known/],
      [SYSTEMS.debian, [], /has no apt-get to install Corosync with\. Install .* by hand/],
      [SYSTEMS.fedora, ['apt-get'], /has no dnf or yum/],
    ] as const) {
      const choice = chooseInstall(text, with_(...tools));
      assert.match(choice.ok ? '' : choice.error, words);
    }
  });

  test('os-release has the quoting of a shell, comments and blank lines', () => {
    const facts = parseOsRelease(
      `# about\n\nNAME='A "quoted" one'\nPRETTY_NAME="with \\"quotes\\" and \\$"\nID=debian\n`,
    );
    assert.deepEqual(
      [...facts],
      [
        ['NAME', 'A "quoted" one'],
        ['PRETTY_NAME', 'with "quotes" and $'],
        ['ID', 'debian'],
      ],
    );
  });
});

describe('why an installation failed', () => {
  for (const [what, system, tool, output, words] of [
    [
      'a lock',
      'debian',
      'apt-get',
      'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt)',
      /holds|let go of the lock/,
    ],
    [
      'a lock that may not be opened',
      'debian',
      'apt-get',
      'E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?',
      /: it needs root/,
    ],
    [
      'no network',
      'debian',
      'apt-get',
      "E: Failed to fetch http://packages.example/x.deb  Temporary failure resolving 'packages.example'",
      /no repository of packages can be reached/,
    ],
    ['no package', 'debian', 'apt-get', 'E: Unable to locate package corosync', /section "main"/],
    [
      'a broken installation',
      'debian',
      'apt-get',
      "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'",
      /dpkg --configure -a/,
    ],
    [
      'no package',
      'rocky',
      'dnf',
      'No match for argument: corosync\nError: Unable to find a match: corosync',
      /High Availability repository.*config-manager --set-enabled highavailability/,
    ],
    [
      'no network',
      'rocky',
      'dnf',
      "Error: Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (6)",
      /no repository of packages can be reached/,
    ],
    [
      'no package',
      'sles',
      'zypper',
      "'corosync' not found in package names. Trying capabilities.\nNo provider of 'corosync' found.",
      /High Availability Extension/,
    ],
    [
      'a lock',
      'leap',
      'zypper',
      'System management is locked by the application with pid 3441 (zypper).',
      /holds the lock/,
    ],
    [
      'a full disk',
      'fedora',
      'dnf',
      'Disk Requirements:\n   At least 5MB more space needed on the / filesystem. [Errno 28] No space left on device',
      /no room on the disk/,
    ],
  ] as const) {
    test(`${system}: ${what}`, () => {
      const choice = chosen(system, tool);
      const sentence = whyFailed(choice, wordsOf(choice.install), 1, output);
      assert.match(sentence, words);
      assert.ok(sentence.startsWith(`Corosync could not be installed on ${choice.system}: `));
    });
  }

  test('what is not known is told in the tool’s own last words', () => {
    const choice = chosen('debian', 'apt-get');
    assert.match(
      whyFailed(choice, 'apt-get install', 100, 'first\nE: something new'),
      /ended with code 100: first \/ E: something new/,
    );
  });
});

describe('the step that installs', () => {
  const say = (lines: string[]) => (line: string) => void lines.push(line);
  const never = new AbortController().signal;

  test('does nothing where Corosync is there', async () => {
    const node = memoryNode('pve1');
    const lines: string[] = [];
    await installCorosync(node.ports, say(lines), never);
    assert.deepEqual(node.calls, []);
    assert.deepEqual(lines, ['Corosync 3.1.7 is installed']);
  });

  test('fetches first, keeps the package’s own Corosync from starting, and takes its example away', async () => {
    const node = memoryNode('pve1');
    Object.assign(node, { corosync: null, example: EXAMPLE });
    await installCorosync(node.ports, say([]), never);
    assert.deepEqual(node.calls, [
      'apt-get update',
      'apt-get download',
      'hold corosync',
      'apt-get install',
      'let corosync go',
      'remove conf',
    ]);
    assert.equal(node.conf, null);
  });

  test('goes on where a repository refuses, and lets the service go where the installation fails', async () => {
    const node = memoryNode('pve1');
    node.corosync = null;
    node.printed.push(
      { code: 100, output: 'E: enterprise repository: 401 Unauthorized' },
      { code: 0, output: '' },
      { code: 100, output: 'E: dpkg was interrupted' },
    );
    await assert.rejects(installCorosync(node.ports, say([]), never), /dpkg --configure -a/);
    assert.deepEqual(node.calls.slice(-3), ['hold corosync', 'apt-get install', 'let corosync go']);
  });

  test('is broken off before anything is unpacked', async () => {
    const node = memoryNode('pve1');
    node.corosync = null;
    const cancel = new AbortController();
    const whenFetching = (line: string): void => (/--download-only/.test(line) ? cancel.abort() : undefined);
    await assert.rejects(installCorosync(node.ports, whenFetching, cancel.signal), /cancelled/);
    assert.ok(!node.calls.includes('apt-get install'));
  });

  test('refuses a Corosync that is too old', async () => {
    const node = memoryNode('pve1');
    node.corosync = '2.4.5';
    await assert.rejects(installCorosync(node.ports, say([]), never), /has Corosync 2\.4\.5, and version 3 is needed/);
  });

  test('is part of "create" and of "join" on Corosync, before anything of the node is touched', async () => {
    const founder = memoryNode('pve1');
    founder.corosync = null;
    const watcher = stepWatcher();
    const request = { clusterName: 'lab', engine: 'corosync', ring0Addr: null, nodeId: null, votes: 1 } as const;
    await createCluster(founder.ports, request, watcher);
    assert.deepEqual(watcher.states().slice(0, 3), ['check done', 'install done', 'key done']);
    assert.ok(founder.calls.includes('corosync at boot'));

    const newcomer = memoryNode('pve2');
    newcomer.corosync = null;
    newcomer.printed.push({ code: 100, output: '' }, { code: 100, output: 'E: Unable to locate package corosync' });
    const conf = (founder.conf ?? '').replace('pve1', 'pve2');
    const ticket = { clusterName: 'lab', engine: 'corosync', nodeId: 1, conf, authkey: 'a2V5' } as const;
    await assert.rejects(
      joinCluster(newcomer.ports, ticket, stepWatcher()),
      /no repository of this node has the package/,
    );
    assert.deepEqual(newcomer.calls, ['apt-get update', 'apt-get download']);
  });

  test('a node with the package’s example is in no cluster', async () => {
    const node = memoryNode('pve1');
    node.conf = EXAMPLE;
    assert.ok(isPackagesExample(modelOf(EXAMPLE)));
    assert.ok(!isPackagesExample(modelOf(EXAMPLE.replace('127.0.0.1', '10.0.0.1'))));
    const request = { clusterName: 'lab', engine: 'corosync', ring0Addr: null, nodeId: null, votes: 1 } as const;
    await createCluster(node.ports, request, stepWatcher());
    assert.equal(modelOf(node.conf).totem.clusterName, 'lab');
  });
});

/** What Debian's package 3.1.7 puts there, without its comments. */
const EXAMPLE = `totem {
  version: 2
  cluster_name: debian
  crypto_cipher: none
  crypto_hash: none
}
quorum {
  provider: corosync_votequorum
}
nodelist {
  node {
    name: node1
    nodeid: 1
    ring0_addr: 127.0.0.1
  }
}
`;
