/** Names in the root that pmxcfs makes up: they are shown, and never stored. */

export const VIRTUAL_FILES = ['.clusterlog', '.debug', '.members', '.rrd', '.version', '.vmlist'] as const;
export type VirtualFile = (typeof VIRTUAL_FILES)[number];

/** Links of the root, and where each leads below nodes/HOSTNAME. */
export const LINKS: ReadonlyMap<string, string> = new Map([
  ['local', ''],
  ['lxc', 'lxc'],
  ['openvz', 'openvz'],
  ['qemu-server', 'qemu-server'],
]);

const virtualFiles: ReadonlySet<string> = new Set(VIRTUAL_FILES);

export const isVirtualFile = (name: string): name is VirtualFile => virtualFiles.has(name);

/** No entry of the tree may have this path (its components). */
export const isReserved = (names: readonly string[]): boolean => {
  const [first] = names;
  return names.length === 1 && first !== undefined && (isVirtualFile(first) || LINKS.has(first));
};
