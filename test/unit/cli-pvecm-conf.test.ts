/** `pvecm conf check`: exit codes, the report in JSON, the machine that is to read the file. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { newConf } from '../../agent/conf/index.ts';

const entry = join(import.meta.dirname, '../../agent/cli/main.ts');
const directory = mkdtempSync(join(tmpdir(), 'ringmaster-conf-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};
const check = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, 'pvecm', 'conf', 'check', ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
};
interface Report {
  readonly file: string;
  readonly errors: { readonly rule: string; readonly line: number; readonly fix?: { readonly title: string } }[];
  readonly warnings: { readonly rule: string }[];
  readonly live: boolean;
}
const report = (stdout: string): Report[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Report);

const node = (id: number, address: string) => ({
  nodeId: id,
  name: `n${id}`,
  votes: 1,
  addresses: [{ link: 0, address }],
});
const GOOD = newConf({
  clusterName: 'c',
  transport: 'knet',
  secauth: 'on',
  nodes: [node(1, '10.0.0.1'), node(2, '10.0.0.2')],
});
const good = file('good.conf', GOOD);

describe('pvecm conf check', () => {
  test('a good file ends with 0, one with warnings too', () => {
    assert.deepEqual(check(good), { status: 0, stdout: `${good}: good\n`, stderr: '' });
    const odd = file('odd.conf', GOOD.replace('link_mode', 'link_node'));
    const { status, stdout } = check(odd);
    assert.equal(status, 0);
    assert.match(stdout, /odd\.conf:\d+:3: warning: .*Did you mean "link_mode".*\[unknown-key\]/);
  });

  test('against the file that runs it names what a reload would not bring into effect', () => {
    const other = file(
      'other.conf',
      GOOD.replace('transport: knet', 'transport: udpu').replace('secauth: on', 'secauth: off'),
    );
    const { status, stdout } = check(other, '--against', good);
    assert.equal(status, 0);
    assert.match(stdout, /warning: totem: transport changes from knet to udpu\. .*\[needs-restart\]/);
    assert.equal(check(other, '--against', join(directory, 'none.conf')).status, 2);
  });

  test('an error ends with 1, and names place, reason and fix', () => {
    const { status, stdout } = check(file('bad.conf', GOOD.replace('config_version: 1', 'config_version: 1 # first')));
    assert.equal(status, 1);
    assert.match(
      stdout,
      /bad\.conf:\d+:19: error: config_version must be a whole number[\s\S]*crashes[\s\S]*fix: Change to 1/,
    );
  });

  test('a file that is not there ends with 2, and the others are checked all the same', () => {
    const { status, stdout, stderr } = check(join(directory, 'none'), good);
    assert.equal(status, 2);
    assert.match(stderr, /none: cannot be read/);
    assert.match(stdout, /good\.conf: good/);
  });

  test('--json is one line a file, in order', () => {
    const broken = file('broken.conf', GOOD.replace(/\}\n$/, ''));
    const [first, second] = report(check('--json', broken, good).stdout);
    assert.equal(first?.file, broken);
    assert.deepEqual(
      first?.errors.map(({ rule, fix }) => [rule, fix?.title]),
      [['missing-closing-brace', 'Add the missing "}"']],
    );
    assert.deepEqual([first?.live, second?.errors, second?.live], [false, [], true]);
  });

  test('a time bomb is an error that a reload would take', () => {
    const [found] = report(
      check('--json', file('bomb.conf', GOOD.replace('link_mode: passive', 'link_mode: fast'))).stdout,
    );
    assert.deepEqual(
      found?.errors.map(({ rule }) => rule),
      ['choice'],
    );
    assert.equal(found?.live, true);
  });

  test('--env judges for the machine that is to read it', () => {
    const env = file('env.json', JSON.stringify({ hostname: 'n1', ips: ['10.0.0.1/24'], hosts: {}, authkey: false }));
    const rules = (text: string): string[] =>
      (report(check('--json', '--env', env, file('env.conf', text)).stdout)[0]?.errors ?? []).map(({ rule }) => rule);
    assert.deepEqual(rules(GOOD), ['authkey-missing']);
    assert.deepEqual(rules(GOOD.replace('10.0.0.2', 'nowhere.example').replace('secauth: on', 'secauth: off')), [
      'unresolvable',
    ]);
    assert.deepEqual(
      rules(
        GOOD.replace('name: n1', 'name: n9').replace('10.0.0.1', '10.0.0.9').replace('secauth: on', 'secauth: off'),
      ),
      ['local-missing'],
    );
  });

  test('--dialect ringmaster judges for the bundled engine', () => {
    const rings = file('rings.conf', GOOD.replace('transport: knet', 'transport: udpu\n  rrp_mode: passive'));
    assert.equal(check('--dialect', 'ringmaster', good).status, 0);
    assert.equal(check('--dialect', 'ringmaster', rings).status, 1);
    assert.equal(check('--dialect', 'latin', good).status, 2);
  });
});
