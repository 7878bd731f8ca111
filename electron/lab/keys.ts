/** The lab's SSH keys: one for whoever connects (the app, and the nodes among each other), one per server. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import ssh2 from 'ssh2';

/** Makes the key pair FILE and FILE.pub unless it is there. Resolves to the public line. */
export async function ensureKey(file: string, comment: string): Promise<string> {
  if (!existsSync(file)) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(`${file}.pub`, `${pair.public}\n`);
    // The private half last and by rename: where it is, both are whole.
    await writeFile(`${file}.new`, pair.private, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
  return readFileSync(`${file}.pub`, 'utf8').trim();
}

/** One line of known_hosts. On a port of its own a server is written `[address]:port` (sshd(8)). */
export function knownHostsLine(names: readonly string[], port: number, publicKey: string): string {
  const [type = '', key = ''] = publicKey.split(' ');
  const labels = names.map((name) => (port === 22 ? name : `[${name}]:${port}`));
  return `${labels.join(',')} ${type} ${key}\n`;
}
