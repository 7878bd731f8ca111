/**
 * corosync.conf in the tree: how a new version gets there, and how long until this node runs it. pmxcfs
 * installs the file in /etc/corosync on every node and has the engine read it anew.
 */
import { model, parse } from '../conf/index.ts';
import type { CorosyncConf } from '../conf/index.ts';
import type { EngineKind } from '../engine/engine.ts';
import { engineSettings } from '../engine/settings.ts';
import type { NodePorts } from './ports.ts';
import type { Say } from './procedure.ts';
import { waitFor } from './waiting.ts';

export const TREE_CONF = 'corosync.conf';

/** Reload follows a change within 2 s on real pmxcfs (measured); a busy node gets more. */
const RELOAD_DEADLINE_MS = 15_000;

export const toBase64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
export const fromBase64 = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

export const modelOf = (text: string): CorosyncConf => model(parse(text));

/** Does the engine need the cluster's key for this file? */
export function isEncrypted(text: string, engine: EngineKind): boolean {
  if (engine === 'totem') {
    const settings = engineSettings(text);
    return settings.ok && settings.value.crypto !== 'none';
  }
  const { secauth, cryptoCipher } = modelOf(text).totem;
  return secauth !== 'off' || (cryptoCipher ?? 'none') !== 'none';
}

/** The tree's corosync.conf; null when there is none. Rejects when pmxcfs cannot be asked. */
export async function readTreeConf(ports: Pick<NodePorts, 'tree'>): Promise<string | null> {
  try {
    return fromBase64(await ports.tree.read(TREE_CONF));
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('ENOENT')) return null;
    throw error;
  }
}

/** Writes .new, keeps .bak, renames. Rejects with CHANGED when the tree no longer holds `base`. */
export async function replaceTreeConf(ports: NodePorts, base: string | null, text: string, say: Say): Promise<void> {
  await ports.tree.write(`${TREE_CONF}.new`, toBase64(text));
  say(`wrote ${TREE_CONF}.new, ${Buffer.byteLength(text)} bytes`);
  if (base !== null) {
    await ports.tree.write(`${TREE_CONF}.bak`, toBase64(base));
    say(`kept the present file as ${TREE_CONF}.bak`);
  }
  if ((await readTreeConf(ports)) !== base) {
    await ports.tree.remove(`${TREE_CONF}.new`);
    throw new Error(CHANGED);
  }
  await ports.tree.rename(`${TREE_CONF}.new`, TREE_CONF);
  say(`${TREE_CONF} replaced; every node takes it from here`);
}

export const CHANGED =
  'corosync.conf has changed since you opened it, so nothing was written. Open it again and repeat your change there.';

/** Waits until this node's engine runs `version` (or a later one). Rejects with what it runs instead. */
export async function waitForRunningVersion(
  ports: NodePorts,
  signal: AbortSignal,
  version: number,
  say: Say,
): Promise<void> {
  await waitFor(ports, signal, RELOAD_DEADLINE_MS, `this node did not take version ${version}`, () => {
    const status = ports.engine.status();
    if (status !== null && status.state.kind !== 'down' && status.configVersion >= version) return { found: null };
    const onDisk = versionOf(ports.files.readConf());
    const running =
      status === null || status.state.kind === 'down'
        ? 'the engine does not answer'
        : `the engine runs version ${status.configVersion}`;
    const file = onDisk === null ? 'has no readable version' : `has version ${onDisk}`;
    return { missing: `${running}, ${ports.paths.conf} ${file}. The node's events say why it was refused.` };
  });
  say(`this node runs version ${version}`);
}

export function versionOf(text: string | null): number | null {
  return text === null ? null : modelOf(text).totem.configVersion;
}
