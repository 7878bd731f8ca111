/** Changes of the text that touch nothing else: a line replaced, a line added, a section put in or taken out. */
import { err, ok, type Result } from '../result.ts';
import { nodeOf, wholeNumber, type ConfAddress } from './model.ts';
import { entryAt, parse, print, sectionsAt, type ConfDocument, type Section } from './syntax.ts';

/** 1-based; the end is exclusive. An edit of no width inserts. */
export interface TextEdit {
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly text: string;
}

export interface NewNode {
  readonly nodeId: number;
  readonly name: string;
  readonly votes: number;
  readonly addresses: readonly ConfAddress[];
}

/** Carries out edits that do not overlap, in whatever order they are given. Places outside the text count as its end. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const offset = (line: number, column: number): number => {
    const start = starts[line - 1] ?? text.length;
    const end = starts[line] === undefined ? text.length : (starts[line] ?? 1) - 1;
    return Math.min(start + column - 1, Math.max(start, end));
  };
  const placed = edits.map((edit) => ({
    from: offset(edit.line, edit.column),
    to: edit.endLine > starts.length ? text.length : offset(edit.endLine, edit.endColumn),
    text: edit.text,
  }));
  placed.sort((a, b) => b.from - a.from || b.to - a.to);
  return placed.reduce((before, { from, to, text: insert }) => before.slice(0, from) + insert + before.slice(to), text);
}

/** Sets one key with the fewest changes; null when there is no section at `path`. */
export function setKey(text: string, path: string, name: string, value: string): string | null {
  const sections = sectionsAt(parse(text), path);
  const section = sections.findLast(({ entries }) => entries.some((entry) => entry.name === name)) ?? sections[0];
  return section === undefined ? null : setInSection(text, section, name, value);
}

/** Sets one key of a section of this text: the line that counts is changed, or one is put at the section's end. */
export function setInSection(text: string, section: Section, name: string, value: string): string {
  const entry = section.entries.findLast((one) => one.name === name);
  if (entry === undefined) return insertAtEnd(text, section, [`${name}: ${value}`]);
  const { line, valueColumn } = entry;
  if (entry.value !== '') {
    const endColumn = valueColumn + entry.value.length;
    return applyEdits(text, [{ line, column: valueColumn, endLine: line, endColumn, text: value }]);
  }
  // `key:` with nothing after it: the blank belongs to the value.
  const present = (text.split('\n')[line - 1] ?? '').replace(/\r$/, '');
  const column = present.length + 1;
  return applyEdits(text, [
    { line, column, endLine: line, endColumn: column, text: /[ \t]$/.test(present) ? value : ` ${value}` },
  ]);
}

/** Puts lines at the end of a section of this text, indented as their neighbours. */
export const insertAtEnd = (text: string, section: Section, lines: readonly string[]): string =>
  insertLines(parse(text), section, lines);

/** `config_version` becomes exactly this. A totem section is made where none is. */
export function setConfigVersion(text: string, version: number): string {
  const changed = setKey(text, 'totem', 'config_version', String(version));
  return changed ?? `totem {\n  version: 2\n  config_version: ${version}\n}\n${text}`;
}

/** Raises `config_version` above `atLeast`, unless it is already. */
export function raiseConfigVersion(text: string, atLeast: number): { text: string; version: number } {
  const now = wholeNumber(entryAt(parse(text), 'totem', 'config_version')?.value ?? null);
  if (now !== null && now > atLeast) return { text, version: now };
  return { text: setConfigVersion(text, atLeast + 1), version: atLeast + 1 };
}

/** Puts a node at the end of the nodelist. */
export function addNode(text: string, node: NewNode): Result<string, string> {
  const document = parse(text);
  const lists = sectionsAt(document, 'nodelist');
  const list = lists.at(-1);
  if (list === undefined) return err('the file has no nodelist');
  if (lists.length > 1) return err('the file has more than one nodelist: their nodes would overwrite each other');
  if (list.closeLine === null) return err('the nodelist is not closed: add the missing "}"');
  for (const section of sectionsAt(document, 'nodelist.node')) {
    const other = nodeOf(section);
    const who = other.name ?? `node ${other.nodeId ?? '?'}`;
    if (other.nodeId === node.nodeId) return err(`the nodeid ${node.nodeId} belongs to ${who}`);
    if (other.name === node.name) return err(`there is a node ${node.name} already`);
    const taken = node.addresses.find((one) => other.addresses.some(({ address }) => address === one.address));
    if (taken !== undefined) return err(`the address ${taken.address} belongs to ${who}`);
  }
  const lines = nodeLines(node, indentStep(document));
  return ok(insertLines(document, list, lines));
}

/** Takes a node's section out of the nodelist, with nothing around it. */
export function removeNode(text: string, nodeId: number): Result<string, string> {
  const document = parse(text);
  const section = sectionsAt(document, 'nodelist.node').find((one) => nodeOf(one).nodeId === nodeId);
  if (section === undefined) return err(`there is no node with nodeid ${nodeId}`);
  if (section.closeLine === null) return err('its section is not closed: add the missing "}"');
  let from = section.line;
  const before = document.lines[from - 2];
  const after = document.lines[section.closeLine];
  // One empty line between two nodes goes with the node.
  if (before?.kind === 'blank' && (after?.kind === 'blank' || after?.kind === 'close')) from -= 1;
  return ok(
    document.lines
      .filter((line) => line.line < from || line.line > (section.closeLine ?? 0))
      .map((line) => line.text)
      .join('\n'),
  );
}

export interface NewConfOptions {
  readonly clusterName: string;
  readonly transport: string;
  readonly nodes: readonly NewNode[];
  readonly secauth: 'on' | 'off';
  readonly extraTotem?: Readonly<Record<string, string>>;
}

/** A whole new file, at config_version 1, laid out as Proxmox VE writes them. */
export function newConf({ clusterName, transport, nodes, secauth, extraTotem = {} }: NewConfOptions): string {
  const links = [...new Set(nodes.flatMap((node) => node.addresses.map(({ link }) => link)))].sort((a, b) => a - b);
  const lines = [
    ...['logging {', '  debug: off', '  to_syslog: yes', '}', ''],
    ...['nodelist {', ...nodes.flatMap((node) => nodeLines(node, '  ').map((line) => `  ${line}`)), '}', ''],
    ...['quorum {', '  provider: corosync_votequorum', '}', ''],
    'totem {',
    `  cluster_name: ${clusterName}`,
    '  config_version: 1',
    ...links.flatMap((link) => ['  interface {', `    linknumber: ${link}`, '  }']),
    // The bundled engine's transport carries IPv4 or IPv6, whatever the addresses are; Corosync wants to be told.
    ...(transport === 'knet' ? ['  ip_version: ipv4-6', '  link_mode: passive'] : []),
    `  secauth: ${secauth}`,
    `  transport: ${transport}`,
    '  version: 2',
    ...Object.entries(extraTotem).map(([name, value]) => `  ${name}: ${value}`),
    '}',
    '',
  ];
  return lines.join('\n');
}

function nodeLines(node: NewNode, step: string): string[] {
  return [
    'node {',
    `${step}name: ${node.name}`,
    `${step}nodeid: ${node.nodeId}`,
    `${step}quorum_votes: ${node.votes}`,
    ...node.addresses.map(({ link, address }) => `${step}ring${link}_addr: ${address}`),
    '}',
  ];
}

const lineText = (document: ConfDocument, line: number): string => document.lines[line - 1]?.text ?? '';
const indentOf = (text: string): string => /^[ \t]*/.exec(text)?.[0] ?? '';

/** How this file indents one level. */
function indentStep(document: ConfDocument): string {
  for (const section of document.root.sections) {
    const inner = section.entries[0]?.line ?? section.sections[0]?.line;
    const indent = inner === undefined ? '' : indentOf(lineText(document, inner));
    if (indent !== '') return indent;
  }
  return '  ';
}

/** Puts lines at the end of a section, indented as its neighbours are. */
function insertLines(document: ConfDocument, section: Section, lines: readonly string[]): string {
  const neighbour = section.sections.at(-1)?.line ?? section.entries.at(-1)?.line;
  const indent =
    neighbour === undefined
      ? indentOf(lineText(document, section.line)) + indentStep(document)
      : indentOf(lineText(document, neighbour));
  const ending = document.lines.some((line) => line.text.endsWith('\r')) ? '\r' : '';
  const before = (section.closeLine ?? document.lines.length + 1) - 1;
  const all = print(document).split('\n');
  all.splice(before, 0, ...lines.map((line) => `${indent}${line}${ending}`));
  return all.join('\n');
}
