/** Changes of links and single keys, each touching no other line. */
import { err, ok, type Result } from '../result.ts';
import { applyEdits, insertAtEnd, setInSection, type TextEdit } from './edits.ts';
import { linkOfKey, nodeOf } from './model.ts';
import { parse, sectionsAt, type Section } from './syntax.ts';

const nodesOf = (text: string): Section[] => sectionsAt(parse(text), 'nodelist.node');
const lineOut = (line: number): TextEdit => ({ line, column: 1, endLine: line + 1, endColumn: 1, text: '' });

/** Puts a link in: its address for every node, by nodeid. All nodes must get one in the same edit. */
export function addLink(text: string, link: number, addresses: ReadonlyMap<number, string>): Result<string, string> {
  if (!Number.isInteger(link) || link < 0 || link > 7) return err('there are links 0 to 7');
  let made = text;
  for (const section of nodesOf(text)) {
    const node = nodeOf(section);
    const who = node.name ?? `node ${node.nodeId ?? '?'}`;
    const address = node.nodeId === null ? undefined : addresses.get(node.nodeId);
    if (address === undefined) return err(`${who} needs an address on link ${link}: every node needs one`);
    if (node.addresses.some((one) => one.link === link)) return err(`${who} has an address on link ${link} already`);
    const changed = setNodeKey(made, node.nodeId ?? 0, `ring${link}_addr`, address);
    if (!changed.ok) return changed;
    made = changed.value;
  }
  return ok(made);
}

/** Takes a link out: its addresses, and its interface section. */
export function removeLink(text: string, link: number): Result<string, string> {
  const document = parse(text);
  const nodes = sectionsAt(document, 'nodelist.node');
  const links = new Set(nodes.flatMap(({ entries }) => entries.flatMap(({ name }) => linkOfKey(name) ?? [])));
  if (!links.has(link)) return err(`no node has an address on link ${link}`);
  if (links.size === 1) return err(`link ${link} is the only one: the nodes would not reach each other`);
  const addresses = nodes.flatMap(({ entries }) => entries.filter(({ name }) => linkOfKey(name) === link));
  const sections = sectionsAt(document, 'totem.interface').filter(
    ({ entries }) => (entries.findLast(({ name }) => name === 'linknumber')?.value ?? '0') === String(link),
  );
  return ok(
    applyEdits(text, [
      ...addresses.map(({ line }) => lineOut(line)),
      ...sections.flatMap(({ line, closeLine }) =>
        closeLine === null ? [] : [{ ...lineOut(line), endLine: closeLine + 1 }],
      ),
    ]),
  );
}

export interface Move {
  /** Apply this first: the new network as one more link. */
  readonly first: string;
  /** Then this: the old link taken out. */
  readonly second: string;
}

/** Moves a link to another network without a restart: two files, applied one after the other (measured). */
export function moveNetwork(text: string, link: number, addresses: ReadonlyMap<number, string>): Result<Move, string> {
  const used = new Set(nodesOf(text).flatMap(({ entries }) => entries.flatMap(({ name }) => linkOfKey(name) ?? [])));
  const free = [0, 1, 2, 3, 4, 5, 6, 7].find((one) => !used.has(one));
  if (free === undefined) return err('all eight links are in use: take one out first');
  const first = addLink(text, free, addresses);
  if (!first.ok) return first;
  const second = removeLink(first.value, link);
  return second.ok ? ok({ first: first.value, second: second.value }) : second;
}

/** Sets one key of the node with this nodeid. */
export function setNodeKey(text: string, nodeId: number, name: string, value: string): Result<string, string> {
  const section = nodesOf(text).find((one) => nodeOf(one).nodeId === nodeId);
  return section === undefined
    ? err(`there is no node with nodeid ${nodeId}`)
    : ok(setInSection(text, section, name, value));
}

/** Sets a key of the first section at `path`; makes the section where there is none. */
export function setValue(text: string, path: string, name: string, value: string): string {
  const document = parse(text);
  // The entry that counts is the last, in whichever of the sections.
  const sections = sectionsAt(document, path);
  const section = sections.findLast(({ entries }) => entries.some((entry) => entry.name === name)) ?? sections[0];
  if (section !== undefined) return setInSection(text, section, name, value);
  const [outer, inner] = path.split('.');
  const parent = inner === undefined ? undefined : sectionsAt(document, outer ?? '')[0];
  if (parent !== undefined) return insertAtEnd(text, parent, [`${inner} {`, `  ${name}: ${value}`, '}']);
  const gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return `${text}${gap}${path} {\n  ${name}: ${value}\n}\n`;
}

/** Takes a key out, every line of it. */
export function removeKey(text: string, path: string, name: string): string {
  const entries = sectionsAt(parse(text), path).flatMap((section) => section.entries);
  return applyEdits(
    text,
    entries.filter((entry) => entry.name === name).map(({ line }) => lineOut(line)),
  );
}
