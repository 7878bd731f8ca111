/** `pvecm keygen|rekey`: a cluster key for a file, and a new key for a running cluster. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { dirname } from 'node:path';
import { Option, type Command } from 'commander';
import { digestOf } from '../cluster/key/key-disk.ts';
import { cancelKey, replaceKey } from '../cluster/key/replace-key.ts';
import type { NodePorts } from '../cluster/ports.ts';
import type { Watcher } from '../cluster/procedure.ts';
import type { EngineStatus } from '../engine/engine.ts';

export interface KeyCommands {
  readonly ports: NodePorts;
  /** The engine's status; rejects with a clear word where there is no cluster or no engine. */
  readonly status: () => Promise<EngineStatus>;
  readonly watcher: (quiet: boolean) => Watcher;
}

interface RekeyOptions {
  readonly without?: string[];
  readonly cancel?: boolean;
  readonly json?: boolean;
}

export function addKeyCommands(program: Command, commands: KeyCommands): void {
  const { ports, status, watcher } = commands;
  const json = new Option('--json', 'print one JSON document');
  const print = (options: { json?: boolean }, value: object, words: string): void =>
    void process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : `${words}\n`);

  program
    .command('keygen [file]')
    .description(`write a fresh cluster key to a file that is not there yet (${ports.paths.authkey})`)
    .addOption(json)
    .action((file: string | undefined, options: { json?: boolean }) => {
      const path = file ?? ports.paths.authkey;
      const key = Buffer.from(ports.newAuthkey(), 'base64');
      writeNewKey(path, key);
      print(options, { file: path, bits: key.length * 8 }, `Wrote a key of ${key.length * 8} bits to ${path}.`);
    });

  program
    .command('rekey')
    .description('replace the cluster key on all nodes while the cluster runs')
    .option('--without <node...>', 'do not wait for these nodes: they need the key by hand')
    .option('--cancel', 'give up the replacement that is under way, if no node encrypts with the new key yet')
    .addOption(json)
    .action(async (options: RekeyOptions) => {
      await status();
      if (options.cancel === true) return print(options, { outcome: 'cancelled' }, await cancelKey(ports));
      const request = {
        without: options.without ?? [],
        author: `${userInfo().username}@${hostname()}`,
        id: randomBytes(8).toString('hex'),
        digestOf: (key: string) => digestOf(Buffer.from(key, 'base64')),
      };
      const replaced = await replaceKey(ports, request, watcher(options.json === true));
      const { without, fingerprint } = replaced;
      const left = without.length === 0 ? '' : ` Bring ${ports.paths.authkey} to ${without.join(', ')} by hand.`;
      print(options, replaced, `The cluster has the new key ${fingerprint}.${left}`);
    });
}

/** Mode 0400 from the first byte on; refuses to overwrite, so that a cluster's key is not lost by a slip. */
function writeNewKey(file: string, key: Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true });
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o400);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new Error(`${file} is there already and stays as it is`, { cause: error });
    throw error;
  }
  try {
    writeSync(descriptor, key);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
