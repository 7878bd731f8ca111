/**
 * A node that was away while a new corosync.conf was applied. Corosync leaves the ring with status 0 when another
 * node's config_version differs from its own, so such a node could never learn the new file. Without a number it is
 * let in (measured on 3.1.7), gets the tree, and pmxcfs installs the present file from there.
 */
import { removeKey } from '../../conf/index.ts';

const OUTDATED = /config version \(\d+\) is different than my config version/i;

/** The file to start with instead, or null: Corosync's last words are about something else. */
export function withoutOutdatedVersion(text: string, lastWords: string): string | null {
  if (!OUTDATED.test(lastWords)) return null;
  const without = removeKey(text, 'totem', 'config_version');
  return without === text ? null : without;
}
