import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  fingerprintOf,
  hostLabel,
  judgeKey,
  keyTypeOf,
  knownHostsLine,
  parseKnownHosts,
  recordedTypes,
} from '../../electron/host/ssh/known-hosts.ts';
import { resolveTarget } from '../../electron/host/ssh/user-config.ts';
import { quote } from '../../electron/host/ssh/shell.ts';

function keyBlob(type: string, body: Buffer = randomBytes(32)): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), body]);
}
const ed = keyBlob('ssh-ed25519');
const other = keyBlob('ssh-ed25519');
const rsa = keyBlob('ssh-rsa');
const line = (patterns: string, key: Buffer): string => `${patterns} ${keyTypeOf(key)} ${key.toString('base64')}`;
const judge = (text: string, label: string, key: Buffer): string =>
  judgeKey(parseKnownHosts(text, 'kh'), label, key).kind;

function hashed(label: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(label).digest('base64')}`;
}

describe('known_hosts', () => {
  test('port 22 has no label of its own, other ports stand in brackets', () => {
    assert.equal(hostLabel('PVE1.example', 22), 'pve1.example');
    assert.equal(hostLabel('10.0.0.1', 2222), '[10.0.0.1]:2222');
  });
  test('a recorded key is known, for every name on its line', () => {
    const text = line('pve1,10.0.0.1', ed);
    assert.equal(judge(text, 'pve1', ed), 'known');
    assert.equal(judge(text, '10.0.0.1', ed), 'known');
    assert.equal(judge(text, 'pve2', ed), 'unknown');
  });
  test('a host on another port is another host', () => {
    assert.equal(judge(line('10.0.0.1', ed), '[10.0.0.1]:2222', ed), 'unknown');
    assert.equal(judge(line('[10.0.0.1]:2222', ed), '[10.0.0.1]:2222', ed), 'known');
  });
  test('hashed names are matched, with and without port', () => {
    assert.equal(judge(line(hashed('pve1'), ed), 'pve1', ed), 'known');
    assert.equal(judge(line(hashed('[pve1]:2222'), ed), '[pve1]:2222', ed), 'known');
    assert.equal(judge(line(hashed('pve1'), ed), 'pve2', ed), 'unknown');
    assert.equal(judge(line(hashed('pve1'), ed), 'pve1', other), 'changed');
  });
  test('another key of the same type is a changed key, and its line is named', () => {
    const verdict = judgeKey(parseKnownHosts(`# mine\n${line('pve1', ed)}\n`, 'kh'), 'pve1', other);
    assert.deepEqual(verdict, { kind: 'changed', line: 'kh:2' });
  });
  test('a key of a type that is not on record, for a host that is, counts as changed', () => {
    assert.equal(judge(line('pve1', rsa), 'pve1', ed), 'changed');
    assert.deepEqual(recordedTypes(parseKnownHosts(line('pve1', rsa), 'kh'), 'pve1'), ['ssh-rsa']);
  });
  test('a revoked key is never accepted, also when another line has it', () => {
    const text = `${line('pve1', ed)}\n@revoked ${line('*', ed)}`;
    assert.equal(judge(text, 'pve1', ed), 'changed');
  });
  test('wildcards match and a negated name takes its line away', () => {
    assert.equal(judge(line('*.example', ed), 'a.example', ed), 'known');
    assert.equal(judge(line('pve?', ed), 'pve12', ed), 'unknown');
    assert.equal(judge(line('*.example,!b.example', ed), 'b.example', ed), 'unknown');
    assert.equal(judge(line('pve.1', ed), 'pvex1', ed), 'unknown');
  });
  test('certificate authorities and damaged lines are passed over', () => {
    const text = `@cert-authority ${line('*', ed)}\npve1 ssh-ed25519\npve1 ssh-rsa ${ed.toString('base64')}\npve1`;
    assert.equal(judge(text, 'pve1', ed), 'unknown');
  });
  test('the line we write is one we read', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 1, max: 65535 }), fc.uint8Array({ minLength: 8 }), (ip, port, body) => {
        const key = keyBlob('ssh-ed25519', Buffer.from(body));
        const label = hostLabel(ip, port);
        return judge(knownHostsLine(label, key), label, key) === 'known';
      }),
    );
  });
  test('no text makes the reader throw', () => {
    fc.assert(fc.property(fc.string(), (text) => judge(text, 'pve1', ed) === 'unknown'));
  });
  test('fingerprints look as ssh-keygen prints them', () => {
    assert.match(fingerprintOf(ed), /^SHA256:[A-Za-z0-9+/]{43}$/);
  });
});

describe('~/.ssh/config', () => {
  const target = { address: 'pve1', port: 22, user: '', identityFile: null };
  test('what the user typed wins over the file', () => {
    const text = 'Host pve1\n  HostName 10.0.0.1\n  Port 2200\n  User admin\n  IdentityFile /k';
    assert.deepEqual(resolveTarget(target, text), {
      address: '10.0.0.1',
      port: 2200,
      user: 'admin',
      identityFiles: ['/k'],
      jump: null,
    });
    const typed = resolveTarget({ ...target, port: 22022, user: 'root', identityFile: '/mine' }, text);
    assert.deepEqual(typed, {
      address: '10.0.0.1',
      port: 22022,
      user: 'root',
      identityFiles: ['/mine'],
      jump: null,
    });
  });
  test('without a user anywhere it is root', () => {
    const found = resolveTarget(target, '');
    assert.ok(typeof found !== 'string');
    assert.equal(found.user, 'root');
  });
  test('a jump through one host is understood, what is not is said', () => {
    const found = resolveTarget(target, 'Host *\n  ProxyJump me@gate:2222');
    assert.ok(typeof found !== 'string');
    assert.deepEqual(found.jump, { address: 'gate', port: 2222, user: 'me', identityFile: null });
    assert.equal(typeof resolveTarget(target, 'Host *\n  ProxyJump a,b'), 'string');
    assert.equal(typeof resolveTarget(target, 'Host *\n  ProxyCommand nc %h %p'), 'string');
  });
  test('a Match exec is never run', () => {
    const found = resolveTarget(target, 'Match exec "exit 0"\n  HostName evil\n');
    assert.ok(typeof found !== 'string');
    assert.equal(found.address, 'pve1');
  });
});

test('a quoted word survives the shell', () => {
  assert.equal(quote('plain-1.0'), 'plain-1.0');
  assert.equal(quote("it's $HOME"), `'it'\\''s $HOME'`);
  assert.equal(quote(''), "''");
});
