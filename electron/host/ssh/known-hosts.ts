/**
 * OpenSSH's known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): which keys a host may show.
 * Plain, wildcard, negated, `[host]:port` and hashed (`|1|salt|hash`) patterns, and the `@revoked`
 * marker. `@cert-authority` lines are passed over: ssh2 has no host certificates.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface KnownHostLine {
  /** File and line number, `~/.ssh/known_hosts:12`, for the person who has to look at it. */
  readonly where: string;
  readonly revoked: boolean;
  readonly patterns: readonly string[];
  readonly keyType: string;
  readonly key: Buffer;
}

export type KeyVerdict =
  | { readonly kind: 'known' }
  | { readonly kind: 'unknown' }
  /** Another key is on record, or this one is revoked. `line` names the record. */
  | { readonly kind: 'changed'; readonly line: string };

/** Lines of one file's text. Lines that are not understood are passed over, as ssh(1) does. */
export function parseKnownHosts(text: string, file: string): KnownHostLine[] {
  const lines: KnownHostLine[] = [];
  text.split('\n').forEach((raw, index) => {
    const fields = raw.trim().split(/\s+/);
    let revoked = false;
    if (fields[0]?.startsWith('@') === true) {
      if (fields[0] !== '@revoked') return;
      revoked = true;
      fields.shift();
    }
    const [patterns, keyType, key] = fields;
    if (patterns === undefined || patterns.startsWith('#') || keyType === undefined || key === undefined) return;
    const blob = Buffer.from(key, 'base64');
    if (keyTypeOf(blob) !== keyType) return;
    lines.push({ where: `${file}:${index + 1}`, revoked, patterns: patterns.split(','), keyType, key: blob });
  });
  return lines;
}

/** Reads several files; a file that is missing has no lines. */
export function readKnownHosts(files: readonly string[]): KnownHostLine[] {
  return files.flatMap((file) => {
    try {
      return parseKnownHosts(readFileSync(file, 'utf8'), file);
    } catch {
      return [];
    }
  });
}

/** What known_hosts calls a server: the address alone on port 22, `[address]:port` elsewhere. */
export function hostLabel(address: string, port: number): string {
  const host = address.toLowerCase();
  return port === 22 ? host : `[${host}]:${port}`;
}

/** Is this key the one on record for the server? Any other record of it means 'changed'. */
export function judgeKey(lines: readonly KnownHostLine[], label: string, key: Buffer): KeyVerdict {
  const records = lines.filter((line) => names(line, label));
  const revoked = records.find((line) => line.revoked && sameKey(line.key, key));
  if (revoked !== undefined) return { kind: 'changed', line: `${revoked.where} (revoked)` };
  const valid = records.filter((line) => !line.revoked);
  if (valid.some((line) => sameKey(line.key, key))) return { kind: 'known' };
  const other = valid.find((line) => line.keyType === keyTypeOf(key)) ?? valid[0];
  return other === undefined ? { kind: 'unknown' } : { kind: 'changed', line: other.where };
}

/** Key types on record for a server: asked for first, so that it shows the key we can judge. */
export function recordedTypes(lines: readonly KnownHostLine[], label: string): string[] {
  return [...new Set(lines.filter((line) => !line.revoked && names(line, label)).map((line) => line.keyType))];
}

/** The line that remembers a key, without a line end. */
export const knownHostsLine = (label: string, key: Buffer): string =>
  `${label} ${keyTypeOf(key)} ${key.toString('base64')}`;

/** Adds a line to the app's own known_hosts; the directory is made when it is missing. */
export function rememberLine(file: string, line: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  appendFileSync(file, `${line}\n`, { mode: 0o600 });
}

/** `SHA256:…` without padding, as ssh-keygen -l prints it. */
export const fingerprintOf = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

/** The key type inside a public key blob (RFC 4253, 6.6), or '' when it is none. */
export function keyTypeOf(blob: Buffer): string {
  if (blob.length < 4) return '';
  const length = blob.readUInt32BE(0);
  return length > 64 || blob.length < 4 + length ? '' : blob.toString('latin1', 4, 4 + length);
}

const sameKey = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);

function names(line: KnownHostLine, label: string): boolean {
  let found = false;
  for (const pattern of line.patterns) {
    if (pattern.startsWith('|')) {
      if (hashMatches(pattern, label)) found = true;
    } else if (pattern.startsWith('!')) {
      if (globMatches(pattern.slice(1), label)) return false;
    } else if (globMatches(pattern, label)) {
      found = true;
    }
  }
  return found;
}

/** `|1|base64(salt)|base64(HMAC-SHA1(salt, host))`, what `ssh-keygen -H` writes. */
function hashMatches(pattern: string, label: string): boolean {
  const [empty, version, salt, hash] = pattern.split('|');
  if (empty !== '' || version !== '1' || salt === undefined || hash === undefined) return false;
  const want = Buffer.from(hash, 'base64');
  return sameKey(createHmac('sha1', Buffer.from(salt, 'base64')).update(label).digest(), want);
}

/** `*` and `?` as in ssh_config(5), PATTERNS. */
function globMatches(pattern: string, label: string): boolean {
  const expression = pattern
    .toLowerCase()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${expression}$`).test(label);
}
