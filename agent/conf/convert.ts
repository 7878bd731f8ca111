/**
 * The redundant rings of Corosync 2 (rrp_mode, ringnumber, one interface section a ring) made into the links of
 * knet that Corosync 3 has in their place.
 */
import { err, ok, type Result } from '../result.ts';
import { applyEdits, type TextEdit } from './edits.ts';
import { setNodeKey, setValue } from './link-edits.ts';
import { nodeOf } from './model.ts';
import { allSections, entryAt, nameRange, parse, sectionsAt, valueRange, type ConfDocument } from './syntax.ts';

/** Is this the old dialect? What the editor offers the conversion for. */
export function isOldDialect(text: string): boolean {
  const document = parse(text);
  const has = (path: string, name: string): boolean => entryAt(document, path, name) !== null;
  return has('totem', 'rrp_mode') || has('totem.interface', 'ringnumber') || members(document).length > 0;
}

export interface Converted {
  readonly text: string;
  /** What was done, a sentence each. */
  readonly notes: readonly string[];
}

/** Keys of an interface section that mean nothing with a nodelist and knet. */
const WITHOUT_MEANING = new Set(['bindnetaddr', 'mcastaddr', 'broadcast', 'ttl']);
const RRP = /^rrp_/;

/** The same cluster with knet links; no other line is touched. Or why it cannot be done. */
export function rrpToKnet(text: string): Result<Converted, string> {
  const document = parse(text);
  const nodes = sectionsAt(document, 'nodelist.node');
  if (nodes.length === 0) {
    return err('the file has no nodelist: which nodes there are, and their addresses, is not to be seen in it');
  }
  const notes: string[] = [];
  const edits: TextEdit[] = [];
  const out = (first: number, last = first): void =>
    void edits.push({ line: first, column: 1, endLine: last + 1, endColumn: 1, text: '' });
  for (const { name, line } of sectionsAt(document, 'totem').flatMap(({ entries }) => entries)) {
    if (!RRP.test(name)) continue;
    out(line);
    notes.push(`${name} is taken out: knet uses several links by itself.`);
  }
  const transport = entryAt(document, 'totem', 'transport');
  if (transport !== null && transport.value !== 'knet') {
    edits.push({ ...valueRange(transport), text: 'knet' });
    notes.push(`transport changes from ${transport.value} to knet: all nodes restart together.`);
  }
  for (const section of sectionsAt(document, 'totem.interface')) {
    const kept = section.entries.filter(({ name }) => !WITHOUT_MEANING.has(name));
    if (section.closeLine !== null && kept.length === 0) {
      out(section.line, section.closeLine);
      continue;
    }
    for (const entry of section.entries) {
      if (entry.name === 'ringnumber') edits.push({ ...nameRange(entry), text: 'linknumber' });
      else if (WITHOUT_MEANING.has(entry.name)) out(entry.line);
    }
    for (const { name, line, closeLine } of section.sections) {
      if (name === 'member' && closeLine !== null) out(line, closeLine);
    }
  }
  if (entryAt(document, 'totem.interface', 'ringnumber') !== null) {
    notes.push('ringnumber becomes linknumber; addresses to bind to come from the nodelist.');
  }
  if (members(document).length > 0) notes.push('member sections are taken out: the nodelist says the same.');
  let made = applyEdits(text, edits);
  for (const [index, node] of nodes.map(nodeOf).entries()) {
    if (node.nodeId === null || node.name !== null) continue;
    const name = node.addresses.map(({ address }) => address).find((address) => /^[A-Za-z]/.test(address));
    if (name === undefined) {
      notes.push(`Node ${node.nodeId} (number ${index + 1} of the list) still needs its name: add it.`);
      continue;
    }
    const named = setNodeKey(made, node.nodeId, 'name', name);
    if (named.ok) made = named.value;
    notes.push(`Node ${node.nodeId} is called ${name}, as its address says.`);
  }
  if (nodes.some((section) => nodeOf(section).nodeId === null)) notes.push('Nodes without a nodeid need one: add it.');
  if (entryAt(document, 'quorum', 'provider') === null) {
    made = setValue(made, 'quorum', 'provider', 'corosync_votequorum');
    notes.push('Votes are counted: quorum gets its provider.');
  }
  return made === text ? err('there is nothing of the old dialect in it') : ok({ text: made, notes });
}

const members = (document: ConfDocument) =>
  [...allSections(document.root)].filter(({ path }) => path === 'totem.interface.member');
