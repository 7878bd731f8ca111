/** What a file consists of, for a list beside it and for folding. */
import { linkOfKey, nodeOf } from './model.ts';
import { allSections, parse, type Section } from './syntax.ts';

export interface OutlineItem {
  readonly name: string;
  /** What tells it from its neighbours: a node's addresses, a link's number. */
  readonly detail: string;
  readonly kind: 'section' | 'node' | 'link';
  /** 1-based, of the opening and the closing line. */
  readonly line: number;
  readonly endLine: number;
  readonly children: readonly OutlineItem[];
}

export function outline(text: string): OutlineItem[] {
  const document = parse(text);
  const last = document.lines.length;
  const item = (section: Section): OutlineItem => {
    const common = { line: section.line, endLine: section.closeLine ?? last, children: section.sections.map(item) };
    if (section.path === 'nodelist.node') {
      const node = nodeOf(section);
      const addresses = node.addresses.map(({ address }) => address).join(', ');
      return { ...common, name: node.name ?? `node ${node.nodeId ?? '?'}`, detail: addresses, kind: 'node' };
    }
    if (section.path === 'totem.interface') {
      const of = (key: string): string | undefined => section.entries.findLast(({ name }) => name === key)?.value;
      // What an old file calls a ring is named so, though Corosync 3 takes such a section for link 0 (measured).
      const [link, ring] = [of('linknumber'), of('ringnumber')];
      const name = link === undefined && ring !== undefined ? `ring ${ring}` : `link ${link ?? '0'}`;
      return { ...common, name, detail: '', kind: 'link' };
    }
    const count = section.path === 'nodelist' ? section.sections.filter(({ name }) => name === 'node').length : null;
    const nodes = count === null ? '' : `${count} ${count === 1 ? 'node' : 'nodes'}`;
    return { ...common, name: section.name, detail: nodes, kind: 'section' };
  };
  return document.root.sections.map(item);
}

/** Ranges of lines that fold: sections, and comments of several lines. */
export function foldings(
  text: string,
): { readonly line: number; readonly endLine: number; readonly comment: boolean }[] {
  const document = parse(text);
  const sections = [...allSections(document.root)].flatMap(({ line, closeLine }) =>
    closeLine === null || closeLine <= line + 1 ? [] : [{ line, endLine: closeLine, comment: false }],
  );
  const comments: { line: number; endLine: number; comment: boolean }[] = [];
  for (const { kind, line } of document.lines) {
    if (kind !== 'comment') continue;
    const before = comments.at(-1);
    if (before?.endLine === line - 1) before.endLine = line;
    else comments.push({ line, endLine: line, comment: true });
  }
  return [...sections, ...comments.filter(({ line, endLine }) => endLine > line)];
}

/** Every link that a node has an address on. */
export function linksOf(text: string): number[] {
  const links = [...allSections(parse(text).root)]
    .filter(({ path }) => path === 'nodelist.node')
    .flatMap(({ entries }) => entries.flatMap(({ name }) => linkOfKey(name) ?? []));
  return [...new Set(links)].sort((a, b) => a - b);
}
