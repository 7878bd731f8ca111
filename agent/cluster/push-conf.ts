/**
 * The tree's corosync.conf reaches /etc/corosync on every node by itself: a valid file of a higher
 * config_version is installed and the engine reads it anew (pmxcfs does so within 2 s, measured).
 */
import { diagnose, model, parse } from '../conf/index.ts';
import type { EngineKind } from '../engine/engine.ts';

export interface PushPorts {
  /** The tree's corosync.conf; null when there is none. */
  readTree(): string | null;
  /** /etc/corosync/corosync.conf; null when there is none. */
  readLocal(): string | null;
  /** Replaces the local file whole. */
  writeLocal(text: string): void;
  engine(): EngineKind;
  reload(): Promise<{ readonly needsRestart: readonly string[] }>;
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
}

const versionOf = (text: string | null): number => (text === null ? 0 : (model(parse(text)).totem.configVersion ?? 0));

/**
 * Why `text` must not take the place of `present` in the tree, or null. Asked before it is written: what no node
 * would install must not stand there as if it were in force.
 */
export function whyNotInTree(text: string, present: string | null, engine: EngineKind): string | null {
  if (text === present) return null;
  const dialect = engine === 'corosync' ? 'corosync3' : 'ringmaster';
  const [fault] = diagnose(text, { dialect }).filter((found) => found.severity === 'error');
  if (fault !== undefined) return `line ${fault.line}: ${fault.message}`;
  if (present === null) return null;
  const [version, before] = [versionOf(text), versionOf(present)];
  if (version > before) return null;
  return version === before
    ? `it has the config_version of the present one (${version}) and other contents: raise config_version to ${before + 1}`
    : `its config_version ${version} is lower than the present one (${before})`;
}

/** Installs the tree's file where it is newer. What keeps it from being installed goes to the log. */
export async function pushConf(ports: PushPorts): Promise<void> {
  const text = ports.readTree();
  const local = ports.readLocal();
  // Without a local file this node is in no cluster: joining one is another procedure's business.
  if (text === null || local === null || text === local) return;
  const dialect = ports.engine() === 'corosync' ? 'corosync3' : 'ringmaster';
  const [fault] = diagnose(text, { dialect }).filter((found) => found.severity === 'error');
  if (fault !== undefined) {
    return ports.log('error', `corosync.conf of the tree is not installed: line ${fault.line}: ${fault.message}`);
  }
  const [version, before] = [versionOf(text), versionOf(local)];
  if (version <= before) {
    const words = version === before ? 'has the same config_version as' : 'is older than';
    const both = `(version ${version}) ${words} the local one (version ${before})`;
    return ports.log('warning', `corosync.conf of the tree ${both}: it is not installed`);
  }
  ports.writeLocal(text);
  try {
    const { needsRestart } = await ports.reload();
    ports.log('notice', `corosync.conf version ${version} is installed and loaded`);
    for (const sentence of needsRestart) ports.log('warning', sentence);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    ports.log('error', `corosync.conf version ${version} is installed and was not loaded: ${words}`);
  }
}
