/** A node's new name, wherever the file says the old one. */
import { err, ok, type Result } from '../result.ts';
import type { TextEdit } from './edits.ts';
import { linkOfKey } from './model.ts';
import { parse, sectionsAt, valueRange, type Entry } from './syntax.ts';

/** A host name as Proxmox VE takes one for a node: letters, digits, dashes (RFC 1123). */
const NAME = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** The name that stands at this place of the text: a node's name, or an address that is one. Null elsewhere. */
export function nameAt(
  text: string,
  line: number,
  column: number,
): { readonly name: string; readonly entry: Entry } | null {
  const nodes = sectionsAt(parse(text), 'nodelist.node');
  const names = new Set(
    nodes.flatMap(({ entries }) => entries.filter(({ name }) => name === 'name').map(({ value }) => value)),
  );
  for (const entry of nodes.flatMap(({ entries }) => entries)) {
    if (entry.line !== line || !names.has(entry.value)) continue;
    if (entry.name !== 'name' && linkOfKey(entry.name) === null) continue;
    const { column: from, endColumn } = valueRange(entry);
    if (column >= from && column <= endColumn) return { name: entry.value, entry };
  }
  return null;
}

/** The edits that make it so, or why the name cannot be. The host itself has to be renamed beside it. */
export function renameNode(text: string, from: string, to: string): Result<TextEdit[], string> {
  if (!NAME.test(to))
    return err(`"${to}" is no host name: letters, digits and dashes, and a letter or digit at both ends`);
  const entries = sectionsAt(parse(text), 'nodelist.node').flatMap((node) => node.entries);
  const isName = ({ name }: Entry): boolean => name === 'name';
  if (!entries.some((entry) => isName(entry) && entry.value === from)) return err(`there is no node ${from}`);
  if (from !== to && entries.some((entry) => isName(entry) && entry.value === to))
    return err(`there is a node ${to} already`);
  return ok(
    entries
      .filter((entry) => entry.value === from && (isName(entry) || linkOfKey(entry.name) !== null))
      .map((entry) => ({ ...valueRange(entry), text: to })),
  );
}
