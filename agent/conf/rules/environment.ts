/** Rules that depend on the machine which reads the file: its names, its addresses, its key. */
import { cmapOf } from '../cmap.ts';
import { linkOfKey, model, nodeOf } from '../model.ts';
import { entryAt, nameRange, sectionsAt, valueRange, type ConfDocument, type Entry } from '../syntax.ts';
import type { Report, Subject } from './report.ts';

/** What is known of a machine. */
export interface Environment {
  readonly hostname: string;
  /** Its addresses, with or without a prefix length. */
  readonly ips: readonly string[];
  /** Names that it can resolve, with their address. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Is /etc/corosync/authkey there? */
  readonly authkey: boolean;
}

const isLiteral = (address: string): boolean => /^[0-9.]+$/.test(address) || address.includes(':');

export function checkEnvironment({ document, environment }: Subject, report: Report): void {
  if (environment === null) return;
  const { hosts, authkey } = environment;
  const { totem } = model(document);
  for (const entry of addressEntries(document)) {
    if (isLiteral(entry.value) || entry.value === '') continue;
    if (Object.hasOwn(hosts, entry.value) || entry.value === 'localhost') continue;
    report.error({
      rule: 'unresolvable',
      at: valueRange(entry),
      message: `The name "${entry.value}" cannot be resolved on this machine.`,
      why: 'Corosync refuses the file: every address must resolve on every node. Plain addresses are safer.',
    });
  }
  checkLocalNode(document, environment, totem.transport ?? 'knet', report);
  const encrypted = totem.secauth === 'on' || (totem.cryptoHash ?? 'none') !== 'none';
  const keyElsewhere = entryAt(document, 'totem', 'key') !== null || entryAt(document, 'totem', 'keyfile') !== null;
  const [section] = sectionsAt(document, 'totem');
  if (encrypted && !authkey && !keyElsewhere && section !== undefined) {
    report.error({
      rule: 'authkey-missing',
      at: nameRange(section),
      message: 'There is no /etc/corosync/authkey on this machine.',
      why: 'With encryption Corosync does not start without the key that all nodes share. corosync-keygen makes one.',
    });
  }
}

/** Addresses that Corosync resolves: of nodes on every link, and of multicast groups on every transport (measured). */
function* addressEntries(document: ConfDocument): Generator<Entry> {
  for (const section of sectionsAt(document, 'nodelist.node')) {
    for (const entry of section.entries) if (linkOfKey(entry.name) !== null) yield entry;
  }
  for (const section of sectionsAt(document, 'totem.interface')) {
    for (const entry of section.entries) if (entry.name === 'mcastaddr') yield entry;
  }
}

interface Placed {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ring0: string;
}

/** Nodes as Corosync has them: those of a second nodelist have overwritten the first. */
function nodesByPosition(document: ConfDocument): Placed[] {
  const keys = cmapOf(document);
  const nodes: Placed[] = [];
  for (let position = 0; ; position += 1) {
    const prefix = `nodelist.node.${position}.`;
    const own = [...keys].filter(([key]) => key.startsWith(prefix));
    if (own.length === 0) return nodes;
    const addresses = own.filter(([key]) => linkOfKey(key.slice(prefix.length)) !== null).map(([, value]) => value);
    const ring0 = keys.get(`${prefix}ring0_addr`) ?? addresses[0] ?? '';
    nodes.push({ name: keys.get(`${prefix}name`) ?? '', addresses, ring0 });
  }
}

function checkLocalNode(document: ConfDocument, environment: Environment, transport: string, report: Report): void {
  const { hostname, ips, hosts } = environment;
  const [list] = sectionsAt(document, 'nodelist');
  const nodes = nodesByPosition(document);
  if (list === undefined || !nodes.some(({ addresses }) => addresses.length > 0)) return;
  const names = new Set([hostname, hostname.split('.')[0] ?? '']);
  const local = new Set(ips.map((ip) => ip.replace(/\/.*$/, '')));
  const isHere = (word: string): boolean =>
    word !== '' && (names.has(word) || local.has(word) || local.has(hosts[word] ?? ''));
  const here = nodes.find(({ name, ring0 }) => isHere(name) || isHere(ring0));
  if (here === undefined) {
    report.error({
      rule: 'local-missing',
      at: nameRange(list),
      message: `No node of the list is this machine (${hostname}).`,
      why: 'Corosync does not start where it finds neither its host name nor one of its addresses.',
    });
    return;
  }
  const section = sectionsAt(document, 'nodelist.node').find((one) => nodeOf(one).name === here.name);
  const at = nameRange(section ?? list);
  if (here.addresses.length === 0) {
    report.error({
      rule: 'local-address-missing',
      at,
      message: `This machine (${hostname}) has no ringX_addr.`,
      why: 'Corosync does not know which address to use and refuses the file.',
    });
  } else if (transport !== 'knet' && !local.has(hosts[here.ring0] ?? here.ring0)) {
    report.error({
      rule: 'local-address-absent',
      at,
      message: `This machine (${hostname}) does not have the address ${here.ring0}.`,
      why: `With transport ${transport} Corosync does not start without it. The check of corosync -t does not see it.`,
      timeBomb: true,
    });
  }
}
