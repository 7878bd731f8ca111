/** What a change of the file means: which nodes, addresses and values differ. A change of comments or order gives none. */
import { keyFact } from './keys.ts';
import { linkOfKey, nodeOf, wholeNumber, type ConfNode } from './model.ts';
import { allSections, nameRange, sectionsAt, type ConfDocument, type Range, type Section } from './syntax.ts';

interface Placed {
  /** Where it stands in the new file: at the key, at the node, or at the section it was taken out of. */
  readonly at: Range;
}

export type Change =
  | (Placed & { readonly kind: 'node-added' | 'node-removed'; readonly node: ConfNode })
  | (Placed & {
      readonly kind: 'node-renamed' | 'node-renumbered' | 'votes';
      readonly before: ConfNode;
      readonly node: ConfNode;
    })
  | (Placed & {
      readonly kind: 'address';
      readonly node: ConfNode;
      readonly link: number;
      /** Null: the node had no address on this link, or has none any more. */
      readonly before: string | null;
      readonly after: string | null;
    })
  | (Placed & {
      readonly kind: 'value';
      readonly section: string;
      readonly name: string;
      /** How a person calls the section: `totem`, `link 1`, `logging.logger_subsys QUORUM`. */
      readonly where: string;
      /** The link an interface section is about; null elsewhere. */
      readonly link: number | null;
      readonly before: string | null;
      readonly after: string | null;
    });

/** The changes in order: nodes, then values. */
export function changesBetween(before: ConfDocument, after: ConfDocument): Change[] {
  return [...nodeChanges(before, after), ...valueChanges(before, after)];
}

interface PlacedNode {
  readonly node: ConfNode;
  readonly section: Section;
}

const nodesOf = (document: ConfDocument): PlacedNode[] =>
  sectionsAt(document, 'nodelist.node').map((section) => ({ node: nodeOf(section), section }));

const START: Range = { line: 1, column: 1, endLine: 1, endColumn: 2 };
const headOf = (section: Section | undefined): Range => (section === undefined ? START : nameRange(section));

function keyIn(section: Section, name: string): Range {
  const entry = section.entries.findLast((one) => one.name === name);
  return entry === undefined ? headOf(section) : nameRange(entry);
}

/** Nodes are the same by their nodeid; those left over by their name, so that a changed nodeid is seen as one. */
function paired(before: readonly PlacedNode[], after: readonly PlacedNode[]): Map<PlacedNode, PlacedNode> {
  const pairs = new Map<PlacedNode, PlacedNode>();
  const taken = new Set<PlacedNode>();
  const pair = (same: (old: ConfNode, next: ConfNode) => boolean): void => {
    for (const next of after) {
      if (pairs.has(next)) continue;
      const old = before.find((one) => !taken.has(one) && same(one.node, next.node));
      if (old === undefined) continue;
      pairs.set(next, old);
      taken.add(old);
    }
  };
  pair((old, next) => old.nodeId !== null && old.nodeId === next.nodeId);
  pair((old, next) => old.name !== null && old.name === next.name);
  return pairs;
}

function nodeChanges(before: ConfDocument, after: ConfDocument): Change[] {
  const [olds, news] = [nodesOf(before), nodesOf(after)];
  const pairs = paired(olds, news);
  const found: Change[] = [];
  for (const placed of news) {
    const { node, section } = placed;
    const old = pairs.get(placed)?.node;
    if (old === undefined) {
      found.push({ kind: 'node-added', node, at: headOf(section) });
      continue;
    }
    const both = { before: old, node };
    if (old.nodeId !== node.nodeId) found.push({ kind: 'node-renumbered', ...both, at: keyIn(section, 'nodeid') });
    if (old.name !== node.name) found.push({ kind: 'node-renamed', ...both, at: keyIn(section, 'name') });
    if (old.votes !== node.votes) found.push({ kind: 'votes', ...both, at: keyIn(section, 'quorum_votes') });
    const addressOf = (one: ConfNode, link: number): string | null =>
      one.addresses.find((address) => address.link === link)?.address ?? null;
    const links = new Set([...node.addresses, ...old.addresses].map(({ link }) => link));
    for (const link of links) {
      const [was, is] = [addressOf(old, link), addressOf(node, link)];
      if (was === is) continue;
      found.push({ kind: 'address', node, link, before: was, after: is, at: keyIn(section, `ring${link}_addr`) });
    }
  }
  const kept = new Set(pairs.values());
  for (const old of olds) {
    if (kept.has(old)) continue;
    found.push({ kind: 'node-removed', node: old.node, at: headOf(sectionsAt(after, 'nodelist')[0]) });
  }
  return found;
}

interface Value {
  readonly section: string;
  readonly name: string;
  readonly where: string;
  readonly link: number | null;
  readonly value: string;
  readonly at: Range;
}

/** Values outside of the nodelist, by `section.key`; a link's section by its number. Of several the last counts. */
function valuesOf(document: ConfDocument): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const section of allSections(document.root)) {
    const { path } = section;
    const link = path === 'totem.interface' ? linkOf(section) : null;
    const subsystem = section.entries.findLast(({ name }) => name === 'subsys')?.value;
    const where = link !== null ? `link ${link}` : subsystem === undefined ? path : `${path} ${subsystem}`;
    for (const entry of section.entries) {
      const { name, value } = entry;
      if (link !== null && name === 'linknumber') continue;
      if (path === 'nodelist.node' && (linkOfKey(name) !== null || NODE_KEYS.has(name))) continue;
      values.set(`${where}.${name}`, { section: path, name, where, link, value, at: nameRange(entry) });
    }
  }
  return values;
}

const NODE_KEYS = new Set(['name', 'nodeid', 'quorum_votes']);
const linkOf = (section: Section): number =>
  wholeNumber(section.entries.findLast(({ name }) => name === 'linknumber')?.value ?? null) ?? 0;

function valueChanges(before: ConfDocument, after: ConfDocument): Change[] {
  const [olds, news] = [valuesOf(before), valuesOf(after)];
  const found: Change[] = [];
  for (const key of new Set([...olds.keys(), ...news.keys()])) {
    const [old, next] = [olds.get(key), news.get(key)];
    const one = next ?? old;
    if (one === undefined || old?.value === next?.value) continue;
    const { section, name, where, link } = one;
    const at = next?.at ?? headOf(sectionsAt(after, section)[0] ?? sectionsAt(after, section.split('.')[0] ?? '')[0]);
    const values = { before: old?.value ?? null, after: next?.value ?? null };
    found.push({ kind: 'value', section, name, where, link, ...values, at });
  }
  return found;
}

const nameOf = (node: ConfNode): string => node.name ?? `with nodeid ${node.nodeId ?? '?'}`;
const addressesOf = (node: ConfNode): string => node.addresses.map(({ address }) => address).join(', ');
const votes = (count: number): string => `${count} ${count === 1 ? 'vote' : 'votes'}`;

/** A change as a person says it. */
export function sentenceOf(change: Change): string {
  switch (change.kind) {
    case 'node-added': {
      const { node } = change;
      return `Node ${nameOf(node)} is added: nodeid ${node.nodeId ?? '?'}, ${votes(node.votes)}, ${addressesOf(node)}.`;
    }
    case 'node-removed':
      return `Node ${nameOf(change.node)} is removed: the cluster loses ${votes(change.node.votes)}.`;
    case 'node-renamed':
      return `Node ${nameOf(change.before)} is renamed to ${change.node.name ?? 'nothing'}.`;
    case 'node-renumbered':
      return `Node ${nameOf(change.node)} changes its nodeid from ${change.before.nodeId ?? 'none'} to ${change.node.nodeId ?? 'none'}.`;
    case 'votes':
      return `Node ${nameOf(change.node)} changes from ${votes(change.before.votes)} to ${votes(change.node.votes)}.`;
    case 'address':
      return addressSentence(change);
    case 'value':
      return valueSentence(change);
  }
}

function addressSentence({ node, link, before, after }: Extract<Change, { kind: 'address' }>): string {
  const who = `Node ${nameOf(node)}`;
  if (before === null) return `${who} gets ring${link}_addr ${after}.`;
  if (after === null) return `${who} loses ring${link}_addr ${before}.`;
  return `${who} changes ring${link}_addr from ${before} to ${after}.`;
}

/** Keys that have a name of their own among people. */
const SPOKEN: Readonly<Record<string, string>> = {
  'totem.token': 'Token timeout',
  'totem.consensus': 'Consensus timeout',
  'totem.join': 'Join timeout',
};
const MILLISECONDS = new Set([
  ...['token', 'consensus', 'join', 'hold', 'merge', 'downcheck', 'token_coefficient', 'token_retransmit', 'send_join'],
]);

function valueSentence({ section, name, where, before, after }: Extract<Change, { kind: 'value' }>): string {
  const unit = section === 'totem' && MILLISECONDS.has(name) ? ' ms' : '';
  const label = SPOKEN[`${where}.${name}`] ?? `${where}: ${name}`;
  const standard = keyFact(section, name)?.standard ?? null;
  if (before === null) return `${label} is set to ${after}${unit}.`;
  if (after === null)
    return `${label} ${before}${unit} is removed${standard === null ? '' : ` (default: ${standard})`}.`;
  return `${label} changes from ${before}${unit} to ${after}${unit}.`;
}
