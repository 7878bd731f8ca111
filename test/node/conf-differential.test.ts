/**
 * Our verdict beside that of the real `corosync -t`, on files made from good ones by small accidents: a line
 * lost, doubled, moved or cut short, a value from elsewhere, a brace too many. The seed names the file.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { diagnose } from '../../agent/conf/index.ts';

const COROSYNC = '/usr/sbin/corosync';
const skip = existsSync(COROSYNC) ? false : "Debian's package corosync is not installed";
const FILES = 500;

/** Ours on purpose: Corosync says nothing and does something else than is meant (rules marked so in the docs). */
const STRICTER = new Set([
  ...['name-twice', 'address-twice', 'address-missing'],
  // Corosync looks from this machine only: here it may take what it refuses on another node of the list.
  'link-missing',
]);
/** Seen when Corosync starts and not by -t: we refuse them, rightly. */
const AT_START = new Set([
  ...['two-node-device', 'device-excludes', 'tie-breaker-odd', 'device-votes', 'device-majority', 'priority'],
  'quorum-provider',
]);

/** Numbers from a seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NAME = hostname();
const base = (transport: string, links: number): string =>
  [
    'totem {',
    '  version: 2',
    '  cluster_name: diff',
    '  config_version: 4',
    `  transport: ${transport}`,
    '  token: 3000',
    '  consensus: 4200',
    '  join: 60',
    ...Array.from({ length: links }, (_, link) => [
      '  interface {',
      `    linknumber: ${link}`,
      `    mcastport: ${5405 + link}`,
      '  }',
    ]).flat(),
    '}',
    '',
    'nodelist {',
    ...[1, 2, 3].flatMap((id) => [
      '  node {',
      `    name: ${id === 1 ? NAME : `other${id}`}`,
      `    nodeid: ${id}`,
      '    quorum_votes: 1',
      ...Array.from({ length: links }, (_, link) => `    ring${link}_addr: 10.83.${link}.${id}`),
      '  }',
    ]),
    '}',
    '',
    'quorum {',
    '  provider: corosync_votequorum',
    '  wait_for_all: 0',
    '}',
    '',
    'logging {',
    '  to_syslog: no',
    '  debug: off',
    '  timestamp: on',
    '}',
    '',
  ].join('\n');

const VALUES = [
  '0',
  '1',
  '2',
  '-1',
  '29',
  '70000',
  '4294967296',
  'yes',
  'on',
  'off',
  'no',
  '',
  'abc',
  '10.83.0.9',
  '1x',
  'fd00::1',
  '6 # six',
  '{',
  '}',
];
const LINES = [
  '}',
  '{',
  'totem {',
  'key value',
  'key = value',
  '# note',
  '',
  '  nodeid: 2',
  '  two_node: 1',
  '  rrp_mode: passive',
  '  link_mode: fast',
  '  crypto_cipher: aes999',
  '  ip_version: ipv5',
  '  knet_link_priority: 3',
  '  ttl: 4',
  '  expected_votes: 9',
  '  hold: 5',
  '  netmtu: x',
  '  ring9_addr: 10.0.0.1',
  '  interface {',
];

function accident(text: string, pick: (below: number) => number): string {
  const lines = text.split('\n');
  const at = pick(lines.length);
  const line = lines[at] ?? '';
  switch (pick(8)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(at, 0, line);
      break;
    case 2:
      lines.splice(at, 0, LINES[pick(LINES.length)] ?? '');
      break;
    case 3:
    case 4:
      lines[at] = line.replace(/:.*/, `: ${VALUES[pick(VALUES.length)]}`);
      break;
    case 5:
      lines[at] = line.slice(0, pick(line.length + 1));
      break;
    case 6: {
      const [moved = ''] = lines.splice(at, 1);
      lines.splice(pick(lines.length + 1), 0, moved);
      break;
    }
    default:
      lines[at] = line.replace(/[a-z]/, () => 'abcdefghij_'.charAt(pick(11)));
  }
  return lines.join('\n');
}

describe('verdicts beside corosync -t', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-diff-'));
  after(() => rmSync(directory, { recursive: true, force: true }));

  test(`on ${FILES} files we refuse what it refuses, and nothing that it takes`, () => {
    const table = { nested: 0, bothTake: 0, bothRefuse: 0, onlyUs: [] as string[], onlyIt: [] as string[] };
    for (let seed = 1; seed <= FILES; seed += 1) {
      const pick = numbers(seed);
      let text = base(['knet', 'udpu'][pick(2)] ?? 'knet', 1);
      if (pick(4) === 0) text = base('knet', 2);
      for (let count = 1 + pick(2); count > 0; count -= 1) text = accident(text, pick);
      // What a node within a node means depends on where Corosync's own counter of nodes stands.
      if (/^[ \t]*node[ \t:]*\{[^}]*^[ \t]*node[ \t:]*\{/m.test(text)) {
        table.nested += 1;
        continue;
      }
      const file = join(directory, 'corosync.conf');
      writeFileSync(file, text);
      const { status, signal, stdout, stderr } = spawnSync(COROSYNC, ['-t', '-c', file], { encoding: 'utf8' });
      const taken = status === 0 && signal === null;
      const words =
        `${stdout}${stderr}`
          .trim()
          .split('\n')
          .filter((line) => /error/i.test(line) && !/exiting with status/.test(line))
          .at(-1) ?? '';
      const environment = { hostname: NAME, ips: [], hosts: {}, authkey: existsSync('/etc/corosync/authkey') };
      const all = diagnose(text, { environment }).filter(({ severity }) => severity === 'error');
      // What we are stricter about on purpose is no disagreement where Corosync takes it.
      const ours = taken ? all.filter(({ rule }) => !STRICTER.has(rule) && !AT_START.has(rule)) : all;
      if (taken && ours.length === 0) table.bothTake += 1;
      else if (!taken && ours.length > 0) table.bothRefuse += 1;
      else if (taken) table.onlyUs.push(`seed ${seed}: ${ours.map(({ rule, line }) => `${rule}:${line}`).join(' ')}`);
      else table.onlyIt.push(`seed ${seed}: ${words}`);
    }
    console.log(`                   corosync takes  corosync refuses`);
    console.log(
      `    we take        ${String(table.bothTake).padStart(14)}  ${String(table.onlyIt.length).padStart(16)}`,
    );
    console.log(
      `    we refuse      ${String(table.onlyUs.length).padStart(14)}  ${String(table.bothRefuse).padStart(16)}`,
    );
    console.log(`    left out: ${table.nested} with a node within a node`);
    assert.deepEqual({ onlyUs: table.onlyUs, onlyIt: table.onlyIt }, { onlyUs: [], onlyIt: [] });
    assert.ok(table.bothTake > 50 && table.bothRefuse > 50, 'the files are of both kinds');
  });
});
