/**
 * What to show a server so that it lets us in, in ssh(1)'s order: named keys, then the SSH agent,
 * then (where none was named) the default keys, then a password.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import type { AnyAuthMethod } from 'ssh2';
import type { ResolvedTarget } from './user-config.ts';

/** Kept in memory only; `for` says which question it answers, so that a passphrase is never sent as a password. */
export interface Secret {
  readonly for: 'password' | 'passphrase';
  readonly value: string;
}

export interface Credentials {
  readonly methods: readonly AnyAuthMethod[];
  /** Keys named by the user that could not be used because no passphrase, or a wrong one, was given. */
  readonly locked: readonly string[];
  /** A sentence for each named key that cannot be read. */
  readonly problems: readonly string[];
  /** What was offered, in words, for the reason of a refusal. */
  readonly offered: readonly string[];
}

const DEFAULT_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];

/** Gathers the means of authentication for one target. Reads key files; asks nobody. */
export function gatherCredentials(target: ResolvedTarget, secret: Secret | null, agent: string | null): Credentials {
  const username = target.user;
  const methods: AnyAuthMethod[] = [];
  const locked: string[] = [];
  const problems: string[] = [];
  const offered: string[] = [];
  const passphrase = secret?.for === 'passphrase' ? secret.value : undefined;

  const addKey = (file: string, named: boolean): void => {
    let text: Buffer;
    try {
      text = readFileSync(file);
    } catch (error) {
      if (named) problems.push(`The key ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'}).`);
      return;
    }
    const parsed = ssh2.utils.parseKey(text, passphrase);
    if (!(parsed instanceof Error)) {
      methods.push({ type: 'publickey', username, key: parsed });
      offered.push(`the key ${file}`);
    } else if (/passphrase|integrity|decrypt/i.test(parsed.message)) {
      locked.push(file);
    } else if (named) {
      problems.push(`The key ${file} is not a private key this app can read (${parsed.message}).`);
    }
  };

  for (const file of target.identityFiles) addKey(file, true);
  if (agent !== null && agent !== '') {
    methods.push({ type: 'agent', username, agent });
    offered.push('the keys of the SSH agent');
  }
  if (target.identityFiles.length === 0) {
    for (const name of DEFAULT_KEYS) addKey(join(homedir(), '.ssh', name), false);
  }
  if (secret?.for === 'password') {
    const password = secret.value;
    methods.push({ type: 'password', username, password });
    methods.push({
      type: 'keyboard-interactive',
      username,
      prompt: (_name, _instructions, _language, prompts, finish) => finish(prompts.map(() => password)),
    });
    offered.push('the password');
  }
  return { methods, locked, problems, offered };
}
