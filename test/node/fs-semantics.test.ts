/**
 * The behaviour of the file system, row by row: what each call gives on real nodes, beside what it should give.
 * The expected column is what the real pmxcfs does, measured, except where ours promises more (README.md). Rows on
 * one node are in fs-semantics/, and run there; those that take several nodes are here. Prints the table.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

interface Got {
  readonly section: string;
  readonly row: string;
  readonly expected: string;
  readonly got: string;
}

const PROGRAMS = join(import.meta.dirname, 'fs-semantics');
const NODE = '$(ls -d /var/lib/ringmaster/runtimes/*/node | head -n 1)';

describe('the file system, row by row', { skip: whyNoLab }, () => {
  const nodes = new LabNodes();
  const table: Got[] = [];
  const members = ['pve1', 'pve2', 'pve3'];

  /** Adds a row that the test itself has found. */
  const found = (section: string, row: string, expected: string, got: string): void => {
    table.push({ section, row, expected, got });
    assert.equal(got, expected, row);
  };

  /** Runs sections on a node. */
  function sections(node: string, ...names: string[]): void {
    const out = nodes.run(node, `cd /root/fs-semantics && ${NODE} probe.ts ${names.join(' ')}`);
    const rows = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Got);
    assert.ok(rows.length > 0);
    table.push(...rows);
    const different = rows.filter(({ expected, got }) => expected !== got);
    assert.deepEqual(different, []);
  }

  /** Begins a half of a row on a node; `go` lets it do its part, and gives what it says of it. */
  async function half(node: string, kind: string, path: string, argument = ''): Promise<() => Promise<unknown>> {
    const { child, ended } = nodes.begin(
      node,
      `cd /root/fs-semantics && exec ${NODE} writer.ts ${kind} ${path} ${argument}`,
    );
    let out = '';
    child.stdout?.on('data', (text: string) => (out += text));
    await until(`${kind} on ${node} is ready`, 30_000, () => out.startsWith('ready\n'));
    return async () => {
      child.stdin?.write('go\n');
      const { out: whole, err } = await ended;
      const last = whole.trim().split('\n').at(-1) ?? '';
      assert.notEqual(last, 'ready', err);
      return JSON.parse(last) as unknown;
    };
  }

  const quorate = (node: string, yes: boolean): boolean => nodes.status(node)?.quorum.quorate === yes;
  const writable = (node: string): boolean => nodes.on(node, 'touch /etc/pve/writable').code === 0;

  before(() => {
    nodes.good('up');
    const homes = join(nodes.directory, 'nodes');
    for (const node of readdirSync(homes))
      cpSync(PROGRAMS, join(homes, node, 'root/fs-semantics'), { recursive: true });
  });
  after(() => {
    nodes.remove();
    const lines = table.map(({ section, row, expected, got }) =>
      [section, row, expected, got === expected ? 'same' : got].map((cell) => cell.replaceAll('\n', '⏎')).join(' | '),
    );
    console.log(`section | row | expected | got\n${lines.join('\n')}`);
    const good = table.filter(({ expected, got }) => expected === got).length;
    console.log(`${good} of ${table.length} rows as expected`);
    mkdirSync('artefacts', { recursive: true });
    writeFileSync('artefacts/fs-semantics.txt', `${lines.join('\n')}\n`);
  });

  test('sizes and names', () => sections('pve1', 'sizes'));
  test('the end of the room, in local mode', () => sections('spare1', 'room'));
  test('directories, rename, unlink', () => sections('pve1', 'directories'));
  test('attributes', () => sections('pve2', 'attributes'));
  test('input and output on one node', () => sections('pve1', 'io'));
  test('virtual files', () => sections('pve1', 'virtual'));
  test('VMIDs', () => sections('pve1', 'guests'));
  test('locks', () => sections('pve1', 'locks'));

  test('.members in local mode', () => {
    const expected = '{\n"nodename": "spare1",\n"version": 0\n}\n';
    found(
      'virtual files',
      '.members in local mode, byte for byte',
      expected,
      nodes.run('spare1', 'cat /etc/pve/.members'),
    );
  });

  test('what two and three nodes do at once', async (t) => {
    const several = 'several nodes';
    await t.test('appends from two nodes are all kept', async () => {
      nodes.run('pve1', ': > /etc/pve/shared');
      const halves = await Promise.all(['pve1', 'pve2'].map((node) => half(node, 'append', '/etc/pve/shared', '300')));
      await Promise.all(halves.map((go) => go()));
      const lines = nodes.run('pve3', 'sort -u /etc/pve/shared | wc -l').trim();
      found(several, 'O_APPEND from two nodes at once: lines kept of 600', '600', lines);
    });

    await t.test('of three nodes that make the same name one succeeds', async () => {
      nodes.run('pve1', 'mkdir /etc/pve/race');
      const halves = await Promise.all(members.map((node) => half(node, 'exclusive', '/etc/pve/race', '60')));
      const outcomes = (await Promise.all(halves.map((go) => go()))) as { won: number[]; errors: string[] }[];
      const won = outcomes.flatMap((outcome) => outcome.won).sort((left, right) => left - right);
      const errors = [...new Set(outcomes.flatMap((outcome) => outcome.errors))].join();
      const once = won.length === 60 && new Set(won).size === 60;
      found(
        several,
        'O_EXCL create or mkdir raced from 3 nodes: one winner each, losers',
        'true, EEXIST',
        `${once}, ${errors}`,
      );
    });

    await t.test('a file overwritten with O_TRUNC is never seen torn, here or there', async () => {
      nodes.run('pve1', 'printf %0.sa $(seq 200) > /etc/pve/torn');
      const overwrite = await half('pve1', 'overwrite', '/etc/pve/torn');
      const readers = await Promise.all(['pve1', 'pve2'].map((node) => half(node, 'read', '/etc/pve/torn', '4000')));
      const written = overwrite();
      await until('it is being overwritten', 20_000, () => nodes.on('pve1', 'test -e /etc/pve/torn.stop').code === 0);
      const seen = await Promise.all(readers.map((go) => go()));
      nodes.run('pve1', 'rm /etc/pve/torn.stop');
      const { written: count } = (await written) as { written: number };
      assert.ok(count > 10, `only ${count} overwrites`);
      const none = { torn: 0, empty: 0 };
      found(
        several,
        'O_TRUNC overwrite while others read, here and elsewhere',
        JSON.stringify([none, none]),
        JSON.stringify(seen),
      );
    });

    await t.test('another node unlinks a file I hold open', async () => {
      nodes.run('pve1', 'echo held > /etc/pve/held');
      const held = await half('pve2', 'hold', '/etc/pve/held');
      nodes.run('pve1', 'rm /etc/pve/held');
      await until('pve2 knows', 10_000, () => nodes.on('pve2', 'test -e /etc/pve/held').code !== 0);
      found(
        'directories, rename, unlink',
        'another node unlinks a file I hold open: read, write, fstat',
        'ENOENT, ENOENT, ENOENT',
        String(await held()),
      );
    });

    await t.test('flock is local to the node', async () => {
      nodes.run('pve1', 'echo x > /etc/pve/flock');
      const one = await half('pve1', 'lock', '/etc/pve/flock');
      const two = await half('pve2', 'lock', '/etc/pve/flock');
      found('input and output', 'flock on two nodes', '0, 0', `${String(await one())}, ${String(await two())}`);
    });

    await t.test('what one node writes is seen by stat, read and listing on another at once', () => {
      nodes.run('pve1', 'mkdir /etc/pve/fresh; echo one > /etc/pve/fresh/a');
      const look =
        'stat -c %s /etc/pve/fresh/a; cat /etc/pve/fresh/a; ls /etc/pve/fresh; test -e /etc/pve/fresh/b || echo none';
      const seen = [nodes.run('pve2', look)];
      nodes.run('pve1', 'echo three > /etc/pve/fresh/a; touch /etc/pve/fresh/b');
      seen.push(nodes.run('pve2', look));
      nodes.run('pve1', 'rm /etc/pve/fresh/b; mv /etc/pve/fresh/a /etc/pve/fresh/c');
      seen.push(nodes.run('pve2', 'ls /etc/pve/fresh; cat /etc/pve/fresh/c; test -e /etc/pve/fresh/a || echo none'));
      found(
        several,
        'attributes, contents and names cached elsewhere',
        '4\none\na\nnone\n6\nthree\na\nb\nc\nthree\nnone\n',
        seen.join(''),
      );
    });

    await t.test('a lock is renewed by its owner’s node alone', () => {
      nodes.run('pve1', 'mkdir /etc/pve/priv/lock/fresh');
      const touch = nodes.on('pve2', 'touch /etc/pve/priv/lock/fresh').err;
      found('locks', 'utime(now) from another node', 'EACCES', /Permission denied/.test(touch) ? 'EACCES' : touch);
      const ask = nodes.on('pve2', 'touch -d @0 /etc/pve/priv/lock/fresh').err;
      found(
        'locks',
        'utime(0, 0) by a contender on a live lock',
        'EACCES',
        /Permission denied/.test(ask) ? 'EACCES' : ask,
      );
      nodes.run('pve3', 'test -d /etc/pve/priv/lock/fresh');
      console.log(
        'the rows "goes 120 s after the last renewal" and "a lock nobody asks for stays": test/unit/tree-locks.test.ts, with a clock of its own',
      );
    });
  });

  test('corosync.conf: what no node would install is refused when it is written, with the reason', async () => {
    const change = (script: string): string => {
      const { code, err } = nodes.on('pve1', `cd /etc/pve && ${script}`);
      return code === 0 ? 'ok' : /Operation not permitted/.test(err) ? 'EPERM' : err;
    };
    const number = (): number =>
      Number(/^ *config_version: (\d+)/m.exec(nodes.run('pve1', 'cat /etc/pve/corosync.conf'))?.[1]);
    const present = number();
    const to = (version: number, also = ''): string =>
      `sed "s/config_version: .*/config_version: ${version}/${also}" corosync.conf > c.new && mv c.new corosync.conf`;
    found('corosync.conf', 'a lower config_version (ours refuses)', 'EPERM', change(to(present - 1)));
    found(
      'corosync.conf',
      'the same version with other contents (ours refuses)',
      'EPERM',
      change(to(present, '; s/debug: off/debug: on/; s/^totem/# x\\ntotem/')),
    );
    found('corosync.conf', 'an invalid one', 'EPERM', change(to(present + 1, '; s/^}//')));
    found('corosync.conf', 'in place: refused at close', 'EPERM', change('cp c.new corosync.conf'));
    const log = nodes.run('pve2', 'cat /etc/pve/.clusterlog');
    found(
      'corosync.conf',
      'the reason is in .clusterlog of every node',
      'true',
      String(/corosync.conf in the tree is refused: line \d+/.test(log)),
    );
    found(
      'corosync.conf',
      'and in pvecm status',
      'true',
      String(/refused: line \d+/i.test(nodes.run('pve1', 'pvecm status'))),
    );
    found(
      'corosync.conf',
      'a number in a comment is not the version (ours parses)',
      'ok',
      change(to(present + 1, '; 1i # config_version: 1')),
    );
    for (const node of members)
      await until(`${node} has installed it`, 10_000, () =>
        nodes.run(node, 'cat /etc/corosync/corosync.conf').includes(`config_version: ${present + 1}\n`),
      );
    found('corosync.conf', 'a higher one is installed on every node', String(present + 1), String(number()));
  });

  test('without quorum', async () => {
    sections('pve3', 'prepareNoQuorum');
    const held = await half('pve3', 'write', '/etc/pve/q');
    nodes.good('cut', 'pve3');
    await until('pve3 is not quorate', 30_000, () => quorate('pve3', false));
    await until('pve3 is read-only', 10_000, () => !writable('pve3'));
    sections('pve3', 'noQuorum');
    const { outcome } = (await held()) as { outcome: string };
    found('without quorum', 'write on a descriptor opened before', 'EACCES', outcome);
    nodes.run('pve3', 'pvecm expected 1');
    await until('expected 1 makes it writable', 5_000, () => writable('pve3'));
    found(
      'without quorum',
      '`expected 1` makes it writable',
      '0640',
      `0${nodes.run('pve3', 'stat -c %a /etc/pve/q').trim()}`,
    );
    nodes.good('heal');
    await until('three votes', 30_000, () => nodes.status('pve1')?.quorum.totalVotes === 3);
    for (const node of members) await until(`${node} can write`, 20_000, () => writable(node));
  });

  test('speed, to be read beside a local file', async () => {
    nodes.run('pve1', 'mkdir /etc/pve/many && for i in $(seq 0 499); do printf "%0200d" $i > /etc/pve/many/$i; done');
    nodes.run('pve1', 'mkdir /root/many && for i in $(seq 0 499); do printf "%0200d" $i > /root/many/$i; done');
    for (const path of ['/root/many', '/etc/pve/many']) {
      const rates = await (await half('pve1', 'speed', path, '1000'))().catch((error: unknown) => error);
      console.log(`${path}: a second: ${JSON.stringify(rates)}`);
    }
  });
});
