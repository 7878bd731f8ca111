/** Guests by their configuration files. A VMID belongs to one guest in the whole cluster. */

export type GuestType = 'qemu' | 'lxc' | 'openvz';

const TYPES: Readonly<Record<string, GuestType>> = { 'qemu-server': 'qemu', lxc: 'lxc', openvz: 'openvz' };
// Measured: 0102.conf and 4294967296.conf are ordinary files.
const GUEST_FILE = /^([1-9][0-9]{0,9})\.conf$/;
const HIGHEST_VMID = 0xffffffff;

/** The guest whose configuration has this path (its components), or null for any other path. */
export function guestOf(
  names: readonly string[],
): { readonly vmid: number; readonly node: string; readonly type: GuestType } | null {
  const [top, node, folder, file] = names;
  if (names.length !== 4 || top !== 'nodes' || node === undefined) return null;
  const type = Object.hasOwn(TYPES, folder ?? '') ? TYPES[folder ?? ''] : undefined;
  const vmid = Number(GUEST_FILE.exec(file ?? '')?.[1] ?? 0);
  return type === undefined || vmid === 0 || vmid > HIGHEST_VMID ? null : { vmid, node, type };
}
