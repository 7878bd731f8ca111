/** The lab's SSH keys: one for whoever connects (the app, and the nodes among each other), one per server. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import ssh2 from 'ssh2';

/** Makes the key pair FILE and FILE.pub unless it is there. Resolves to the public line. */
export async function ensureKey(file: string, comment: string): Promise<string> {
  if (!existsSync(file)) {
    const pair = newKeyPair(comment);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(`${file}.pub`, `${pair.public}\n`);
    // The private half last and by rename: where it is, both are whole.
    await writeFile(`${file}.new`, pair.private, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
  return readFileSync(`${file}.pub`, 'utf8').trim();
}

/**
 * ssh2 1.17 drops leading zero bytes of an Ed25519 key, and OpenSSH refuses such a key ("error in
 * libcrypto", seen): one key in 128. Draws until both halves have their full length (RFC 8709).
 */
export function newKeyPair(comment: string): { readonly public: string; readonly private: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    const publicBytes = Buffer.from(pair.public.split(' ')[1] ?? '', 'base64');
    const privateBytes = Buffer.from(pair.private.split('\n').slice(1, -1).join(''), 'base64');
    // 4 + "ssh-ed25519" + 4 + 32 bytes; and the private half as a string of 64.
    if (publicBytes.length === 51 && privateBytes.includes(Buffer.from([0, 0, 0, 64]))) return pair;
  }
}

/** One line of known_hosts. On a port of its own a server is written `[address]:port` (sshd(8)). */
export function knownHostsLine(names: readonly string[], port: number, publicKey: string): string {
  const [type = '', key = ''] = publicKey.split(' ');
  const labels = names.map((name) => (port === 22 ? name : `[${name}]:${port}`));
  return `${labels.join(',')} ${type} ${key}\n`;
}
