/**
 * The keys that Corosync makes of a file (cmap_keys(7)), named as it names them. They are what it really runs with,
 * so an apply is read back against them. Held against the keys of 291 real starts of Corosync 3.1.7.
 */
import { keyFact } from './keys.ts';
import { wholeNumber } from './model.ts';
import { parse, type ConfDocument, type Entry, type Section } from './syntax.ts';

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

interface Reading {
  readonly keys: Map<string, string>;
  /** Nodes that have ended since the nodelist began; the position of the next. */
  position: number;
  /** The link of the interface section that is being read, and how many of its members are still to come. */
  link: number;
  members: number;
}

/** Every key and its value as text. Later lines overwrite earlier ones, as Corosync reads them. */
export function cmapOf(source: string | ConfDocument): Map<string, string> {
  const document = typeof source === 'string' ? parse(source) : source;
  const reading: Reading = { keys: new Map(), position: 0, link: 0, members: 0 };
  storeEntries(document.root, 'plain', reading);
  for (const section of document.root.sections) store(section, 'plain', reading);
  return reading.keys;
}

function store(section: Section, around: Kind, reading: Reading): void {
  // Counted anew in every nodelist: the nodes of a second one take the places of the first (measured).
  if (section.path === 'nodelist') reading.position = 0;
  const kind = KINDS[section.path] ?? around;
  if (kind === 'interface') {
    reading.link = wholeNumber(section.entries.findLast(({ name }) => name === 'linknumber')?.value ?? null) ?? 0;
    // The last that is named comes first (measured).
    reading.members = section.sections.filter(({ name }) => name === 'member').length;
  }
  // Lines in their order: a section within a node moves the position on for the lines behind it.
  const inner = [...section.sections];
  for (const entry of section.entries) {
    while (inner[0] !== undefined && inner[0].line < entry.line) store(inner.shift() ?? inner[0], kind, reading);
    storeEntry(section, entry, kind, reading);
  }
  for (const rest of inner) store(rest, kind, reading);
  if (kind === 'node') reading.position += 1;
}

function storeEntries(section: Section, kind: Kind, reading: Reading): void {
  for (const entry of section.entries) storeEntry(section, entry, kind, reading);
}

function storeEntry(section: Section, entry: Entry, kind: Kind, reading: Reading): void {
  const { keys, position, link } = reading;
  const { path } = section;
  const { name } = entry;
  const plain = path === '' ? name : `${path}.${name}`;
  const value = valueOf(path, entry);
  const last = (key: string): string | null => section.entries.findLast((one) => one.name === key)?.value ?? null;
  switch (kind) {
    case 'plain':
      keys.set(plain, value);
      return;
    case 'node':
      keys.set(`nodelist.node.${position}.${name}`, valueOf('nodelist.node', entry));
      return;
    case 'interface':
      if (name === 'linknumber') return;
      // `ringnumber` and whatever else it does not know is not of a link.
      if (keyFact('totem.interface', name) === null || name === 'ringnumber') keys.set(plain, value);
      else keys.set(`totem.interface.${link}.${name}`, value);
      return;
    case 'member':
      if (name !== 'memberaddr') return;
      reading.members -= 1;
      keys.set(`totem.interface.${link}.member.${reading.members}`, value);
      return;
    case 'daemon': {
      const [daemon, subsystem] = [last('name'), last('subsys')];
      const middle = subsystem === null ? daemon : `${daemon}.${subsystem}`;
      if (daemon !== null) keys.set(`logging.logging_daemon.${middle}.${name}`, value);
      return;
    }
    case 'subsystem': {
      const subsystem = last('subsys');
      if (subsystem !== null) keys.set(`logging.logger_subsys.${subsystem}.${name}`, value);
      return;
    }
    case 'uidgid':
      // Users and groups by their number; names are the machine's to resolve.
      keys.set(`uidgid.config.${name}.${entry.value === 'root' ? '0' : entry.value}`, '1');
  }
}

/** A number comes back in its plain form: `007` as 7. */
function valueOf(path: string, { name, value }: Entry): string {
  if (keyFact(path, name)?.type.kind !== 'number') return value;
  const number = wholeNumber(value);
  if (number === null) return value;
  // Of 64 bits and without a sign (measured): -5 is a very high version.
  return path === 'totem' && name === 'config_version' ? String(BigInt.asUintN(64, BigInt(number))) : String(number);
}

/** UDP port of a multicast ring (corosync.conf(5)). */
const MCAST_PORT = 5405;

/** What Corosync adds for the machine that reads the file, its position in the nodelist known. */
export function localKeys(keys: ReadonlyMap<string, string>, position: number): Map<string, string> {
  const added = new Map<string, string>();
  const transport = keys.get('totem.transport') ?? 'knet';
  if (transport !== 'knet') addNodeIds(keys, added);
  for (let link = 0; link < 8; link += 1) {
    const address = keys.get(`nodelist.node.${position}.ring${link}_addr`);
    if (address === undefined) continue;
    added.set(`totem.interface.${link}.bindnetaddr`, address);
    if (transport !== 'udp') continue;
    const port = Number(keys.get(`totem.interface.${link}.mcastport`) ?? '0');
    added.set(`totem.interface.${link}.mcastport`, String(port === 0 ? MCAST_PORT : port));
    const group = keys.get(`totem.interface.${link}.mcastaddr`);
    if (keys.get(`totem.interface.${link}.broadcast`) === 'yes') {
      added.set(`totem.interface.${link}.mcastaddr`, '255.255.255.255');
    } else if (group === undefined) {
      const number = clusterNumber(keys.get('totem.cluster_name') ?? '');
      const ipv4 = `239.192.${number >> 8}.${number % 0xff}`;
      added.set(`totem.interface.${link}.mcastaddr`, address.includes(':') ? `ff15::${number.toString(16)}` : ipv4);
    }
  }
  return added;
}

/** Without knet a node that has no number gets one: its IPv4 address on link 0, as 32 bits. */
function addNodeIds(keys: ReadonlyMap<string, string>, added: Map<string, string>): void {
  for (let position = 0; keys.has(`nodelist.node.${position}.ring0_addr`); position += 1) {
    if (keys.has(`nodelist.node.${position}.nodeid`)) continue;
    const bytes = (keys.get(`nodelist.node.${position}.ring0_addr`) ?? '').split('.').map(Number);
    if (bytes.length !== 4 || !bytes.every((byte) => byte >= 0 && byte < 256)) continue;
    const bits = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    const clear = keys.get('totem.clear_node_high_bit') === 'yes';
    added.set(`nodelist.node.${position}.nodeid`, String(clear ? bits % 2 ** 31 : bits));
  }
}

/** The 16 bits that stand for a cluster's name in its multicast address: each letter added to twice what was. */
function clusterNumber(name: string): number {
  let value = 0;
  for (const letter of new TextEncoder().encode(name)) value = (value * 2 + letter) & 0xffff;
  return value;
}
