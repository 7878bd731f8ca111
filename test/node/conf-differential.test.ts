/**
 * Our verdict beside that of the real `corosync -t`, on files made from good ones by small accidents. The seed names
 * the file. Where Corosync names a line, one of our errors stands there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { diagnose } from '../../agent/conf/index.ts';
import { accidentalFile } from './conf-accidents.ts';

const COROSYNC = '/usr/sbin/corosync';
const skip = existsSync(COROSYNC) ? false : "Debian's package corosync is not installed";
const FILES = 1000;
const NAME = hostname();

/** Ours on purpose: Corosync says nothing and does something else than is meant (rules marked so in the docs). */
const STRICTER = new Set([
  ...['name-twice', 'address-twice', 'address-missing', 'local-address-missing'],
  // Corosync looks from this machine only: here it may take what it refuses on another node of the list.
  'link-missing',
]);
/** Seen when Corosync starts and not by -t: we refuse them, rightly. */
const AT_START = new Set([
  ...['two-node-device', 'device-excludes', 'tie-breaker-odd', 'device-votes', 'device-majority', 'priority'],
  'quorum-provider',
]);

interface Verdict {
  readonly taken: boolean;
  readonly words: string;
  /** The line that its parser names; null when it names none. */
  readonly line: number | null;
}

/** Beside the file: a logfile without a path is made where Corosync stands. */
function verdictOf(file: string): Verdict {
  const { status, signal, stdout, stderr } = spawnSync(COROSYNC, ['-t', '-c', file], {
    encoding: 'utf8',
    cwd: dirname(file),
  });
  const words = `${stdout}${stderr}`
    .split('\n')
    .filter((line) => /error/i.test(line) && !/exiting with status/.test(line))
    .at(-1);
  const line = /\.conf:(\d+):/.exec(words ?? '')?.[1];
  return { taken: status === 0 && signal === null, words: words ?? '', line: line === undefined ? null : Number(line) };
}

describe('verdicts beside corosync -t', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-diff-'));
  const file = join(directory, 'corosync.conf');
  after(() => rmSync(directory, { recursive: true, force: true }));
  // The machine is found by its name mostly; no transport is started, so it need not have the nodes' addresses.
  const ips = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const environment = { hostname: NAME, ips, hosts: {}, authkey: existsSync('/etc/corosync/authkey') };

  test(`on ${FILES} files we refuse what it refuses, at its line, and nothing that it takes`, () => {
    const table = { bothTake: 0, bothRefuse: 0 };
    const [onlyUs, onlyIt, elsewhere]: string[][] = [[], [], []];
    for (let seed = 1; seed <= FILES; seed += 1) {
      const text = accidentalFile(seed, NAME);
      writeFileSync(file, text);
      const { taken, words, line } = verdictOf(file);
      const all = diagnose(text, { environment }).filter(
        ({ severity, rule }) => severity === 'error' && rule !== 'local-address-absent',
      );
      // What we are stricter about on purpose is no disagreement where Corosync takes it.
      const ours = taken ? all.filter(({ rule }) => !STRICTER.has(rule) && !AT_START.has(rule)) : all;
      const said = ours.map((one) => `${one.rule}:${one.line}`).join(' ');
      if (taken && ours.length === 0) table.bothTake += 1;
      else if (!taken && ours.length > 0) table.bothRefuse += 1;
      else if (taken) onlyUs?.push(`seed ${seed}: ${said}`);
      else onlyIt?.push(`seed ${seed}: ${words}`);
      if (!taken && line !== null && !ours.some((one) => one.line === line)) {
        elsewhere?.push(`seed ${seed}: ${words}; we: ${said}`);
      }
    }
    const row = (name: string, ...counts: number[]): string =>
      `    ${name.padEnd(14)}${String(counts[0]).padStart(16)}${String(counts[1]).padStart(18)}`;
    console.log('                    corosync takes  corosync refuses');
    console.log(row('we take', table.bothTake, onlyIt?.length ?? 0));
    console.log(row('we refuse', onlyUs?.length ?? 0, table.bothRefuse));
    assert.deepEqual({ onlyUs, onlyIt, elsewhere }, { onlyUs: [], onlyIt: [], elsewhere: [] });
    assert.ok(table.bothTake > 300 && table.bothRefuse > 300, 'the files are of both kinds');
  });
});
