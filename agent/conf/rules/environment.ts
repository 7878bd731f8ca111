/** Rules that depend on the machine which reads the file: its names, its addresses, its key. */
import { familyOf } from '../address.ts';
import { linkOfKey, model, type ConfNode } from '../model.ts';
import { storedEntries, storedNodes } from '../stored.ts';
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

/** Digits and dots that are no address have an error of their own. */
const isLiteral = (address: string): boolean => familyOf(address) !== null || /^[0-9.]+$/.test(address);

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
  for (const { entry, path, wins } of storedEntries(document)) {
    if (!wins) continue;
    if (path === 'nodelist.node' && linkOfKey(entry.name) !== null) yield entry;
    if (path === 'totem.interface' && entry.name === 'mcastaddr') yield entry;
  }
}

function checkLocalNode(document: ConfDocument, environment: Environment, transport: string, report: Report): void {
  const { hostname, ips, hosts } = environment;
  const [list] = sectionsAt(document, 'nodelist');
  const nodes = storedNodes(document);
  if (list === undefined || !nodes.some(({ node }) => node.addresses.length > 0)) return;
  const names = new Set([hostname, hostname.split('.')[0] ?? '']);
  const local = new Set(ips.map((ip) => ip.replace(/\/.*$/, '')));
  const isHere = (word: string): boolean =>
    word !== '' && (names.has(word) || local.has(word) || local.has(hosts[word] ?? ''));
  const ring0Of = ({ addresses }: ConfNode): string =>
    (addresses.find(({ link }) => link === 0) ?? addresses[0])?.address ?? '';
  const here = nodes.find(({ node }) => isHere(node.name ?? '') || isHere(ring0Of(node)));
  if (here === undefined) {
    report.error({
      rule: 'local-missing',
      at: nameRange(list),
      message: `No node of the list is this machine (${hostname}).`,
      why: 'Corosync does not start where it finds neither its host name nor one of its addresses.',
    });
    return;
  }
  const at = nameRange(here.section);
  const ring0 = ring0Of(here.node);
  if (here.node.addresses.length === 0) {
    report.error({
      rule: 'local-address-missing',
      at,
      message: `This machine (${hostname}) has no ringX_addr.`,
      why: 'Corosync does not know which address to use and refuses the file.',
    });
  } else if (transport !== 'knet' && !local.has(hosts[ring0] ?? ring0)) {
    report.error({
      rule: 'local-address-absent',
      at,
      message: `This machine (${hostname}) does not have the address ${ring0}.`,
      why: `With transport ${transport} Corosync does not start without it. The check of corosync -t does not see it.`,
      timeBomb: true,
    });
  }
}
