/** What names and addresses may be. Pure. */
import type { Result } from '../result.ts';
import { err, ok } from '../result.ts';

/** As `pvecm create` of Proxmox VE: a DNS label, at most 15 characters. */
export function checkClusterName(name: string): Result<null, string> {
  if (name.length > 15) return err(`the cluster name ${name} has ${name.length} characters; 15 are allowed`);
  return checkLabel(name, 'cluster name');
}

/** A host name as it stands in the nodelist: one DNS label. */
export function checkNodeName(name: string): Result<null, string> {
  if (name.length > 63) return err(`the node name ${name} is longer than 63 characters`);
  return checkLabel(name, 'node name');
}

function checkLabel(name: string, what: string): Result<null, string> {
  return /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/.test(name)
    ? ok(null)
    : err(`"${name}" cannot be a ${what}: letters, digits and hyphens only, no hyphen first or last`);
}

export const isLoopback = (address: string): boolean => /^127\.|^::1$/.test(address);

export function checkVotes(votes: number): Result<null, string> {
  return Number.isInteger(votes) && votes >= 0 && votes <= 255
    ? ok(null)
    : err(`${votes} is not a number of votes; a node has 0 to 255`);
}

export function checkNodeId(id: number): Result<null, string> {
  return Number.isInteger(id) && id >= 1 && id <= 0xffffffff
    ? ok(null)
    : err(`${id} cannot be a node id: it is a number from 1 to 4294967295`);
}
