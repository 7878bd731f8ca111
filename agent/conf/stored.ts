/**
 * Which line of a file is stored as what: Corosync's parser (coroparse.c) remembers which kind of section it is in,
 * not only where. Seen with corosync -t and in cmap on 3.1.7.
 */
import { keyFact } from './keys.ts';
import { nodeOf, wholeNumber, type ConfNode } from './model.ts';
import { sectionsAt, type ConfDocument, type Entry, type Section } from './syntax.ts';

/** What a section's lines are stored as. A section that means nothing where it stands counts as the one around it. */
type Kind = 'plain' | 'interface' | 'member' | 'node' | 'subsystem' | 'daemon' | 'uidgid';

const KINDS: Readonly<Record<string, Kind>> = {
  'totem.interface': 'interface',
  'totem.interface.member': 'member',
  'nodelist.node': 'node',
  'logging.logger_subsys': 'subsystem',
  'logging.logging_daemon': 'daemon',
  uidgid: 'uidgid',
};

export interface StoredEntry {
  readonly entry: Entry;
  /** The section it stands in. */
  readonly section: Section;
  /** The section it counts for: `nodelist.node`, wherever within a node it stands. */
  readonly path: string;
  /** The key in cmap; null when nothing is stored. */
  readonly key: string | null;
  /** Of several entries with one key this one is in effect. */
  wins: boolean;
}

interface Reading {
  readonly found: StoredEntry[];
  /** Nodes that have ended since the nodelist began; the position of the next. */
  position: number;
  /** The link of the interface section that is being read, and how many of its members are still to come. */
  link: number;
  members: number;
}

/** Every entry in the order of the lines. */
export function storedEntries(document: ConfDocument): StoredEntry[] {
  const reading: Reading = { found: [], position: 0, link: 0, members: 0 };
  store(document.root, 'plain', reading);
  const winners = new Map<string, StoredEntry>();
  for (const one of reading.found) {
    if (one.key === null) continue;
    const before = winners.get(one.key);
    // Within one section of a subsystem or a daemon the first counts, everywhere else the last (measured).
    const firstCounts = one.section === before?.section && /^logging\.(logger_subsys|logging_daemon)$/.test(one.path);
    if (before !== undefined && !firstCounts) before.wins = false;
    if (firstCounts) one.wins = false;
    else winners.set(one.key, one);
  }
  return reading.found;
}

function store(section: Section, around: Kind, reading: Reading): void {
  // Counted anew in every nodelist: the nodes of a second one take the places of the first (measured).
  if (section.path === 'nodelist') reading.position = 0;
  const kind = KINDS[section.path] ?? around;
  if (section.path === 'totem.interface') {
    reading.link = wholeNumber(section.entries.findLast(({ name }) => name === 'linknumber')?.value ?? null) ?? 0;
    // The last that is named comes first (measured).
    reading.members = section.sections.filter(({ name }) => name === 'member').length;
  }
  // Lines in their order: a section within a node moves the position on for the lines behind it.
  const inner = [...section.sections];
  for (const entry of section.entries) {
    while (inner[0] !== undefined && inner[0].line < entry.line) store(inner.shift() ?? inner[0], kind, reading);
    reading.found.push(storedEntry(section, entry, kind, reading));
  }
  for (const rest of inner) store(rest, kind, reading);
  if (kind === 'node') reading.position += 1;
}

function storedEntry(section: Section, entry: Entry, kind: Kind, reading: Reading): StoredEntry {
  const { path } = section;
  const { name } = entry;
  const plain = path === '' ? name : `${path}.${name}`;
  const first = (key: string): string | null => section.entries.find((one) => one.name === key)?.value ?? null;
  const made = (at: string, key: string | null): StoredEntry => ({ entry, section, path: at, key, wins: true });
  switch (kind) {
    case 'plain':
      return made(path, plain);
    case 'node':
      return made('nodelist.node', `nodelist.node.${reading.position}.${name}`);
    case 'interface':
      // Its keys are known by their full names, so a section within it is like any other.
      if (path !== 'totem.interface') return made(path, plain);
      if (name === 'linknumber') return made(path, null);
      // `ringnumber` and whatever else it does not know is not of a link.
      if (keyFact('totem.interface', name) === null || name === 'ringnumber') return made(path, plain);
      return made('totem.interface', `totem.interface.${reading.link}.${name}`);
    case 'member':
      if (name !== 'memberaddr') return made(path, null);
      reading.members -= 1;
      return made(path, `totem.interface.${reading.link}.member.${reading.members}`);
    case 'subsystem': {
      const subsystem = first('subsys');
      return made('logging.logger_subsys', subsystem === null ? null : `logging.logger_subsys.${subsystem}.${name}`);
    }
    case 'daemon': {
      const [daemon, subsystem] = [first('name'), first('subsys')];
      const middle = subsystem === null ? daemon : `${daemon}.${subsystem}`;
      return made('logging.logging_daemon', daemon === null ? null : `logging.logging_daemon.${middle}.${name}`);
    }
    case 'uidgid':
      // Users and groups by their number; names are the machine's to resolve.
      return made('uidgid', `uidgid.config.${name}.${entry.value === 'root' ? '0' : entry.value}`);
  }
}

export interface StoredNode {
  /** Where it begins; its entries are those in effect at its place in the list. */
  readonly section: Section;
  readonly node: ConfNode;
}

/** Nodes as Corosync has them: those of a second nodelist have overwritten the first. */
export function storedNodes(document: ConfDocument): StoredNode[] {
  const byPosition = new Map<number, { section: Section; entries: Entry[] }>();
  for (const { entry, section, path, key, wins } of storedEntries(document)) {
    if (path !== 'nodelist.node' || key === null || !wins) continue;
    const position = Number(key.split('.')[2]);
    const one = byPosition.get(position) ?? { section, entries: [] };
    one.entries.push(entry);
    byPosition.set(position, one);
  }
  const placed = [...byPosition].sort(([a], [b]) => a - b).map(([, { section, entries }]) => ({ ...section, entries }));
  // Nodes without a line of their own have a place in the file only.
  const empty = sectionsAt(document, 'nodelist.node').filter(
    (section) => section.entries.length === 0 && section.sections.length === 0,
  );
  return [...placed, ...empty].sort((a, b) => a.line - b.line).map((section) => ({ section, node: nodeOf(section) }));
}
