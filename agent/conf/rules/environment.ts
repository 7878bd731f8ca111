/** Rules that depend on the machine which reads the file: its names, its addresses, its key. */
import { linkOfKey, model, nodeOf } from '../model.ts';
import { entryAt, nameRange, sectionsAt, valueRange } from '../syntax.ts';
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
  const { hostname, ips, hosts, authkey } = environment;
  const local = new Set(ips.map((ip) => ip.replace(/\/.*$/, '')));
  const { totem } = model(document);
  const nodes = sectionsAt(document, 'nodelist.node');
  for (const section of nodes) {
    for (const entry of section.entries) {
      if (linkOfKey(entry.name) === null || isLiteral(entry.value) || entry.value === '') continue;
      if (Object.hasOwn(hosts, entry.value) || entry.value === 'localhost') continue;
      report.error({
        rule: 'unresolvable',
        at: valueRange(entry),
        message: `The name "${entry.value}" cannot be resolved on this machine.`,
        why: 'Corosync refuses the file: every address must resolve on every node. Plain addresses are safer.',
      });
    }
  }
  const names = new Set([hostname, hostname.split('.')[0] ?? '']);
  const isHere = nodes.map(nodeOf).some((node) => {
    const ring0 = node.addresses.find(({ link }) => link === 0)?.address ?? node.addresses[0]?.address ?? '';
    const own = [node.name ?? '', ring0];
    return own.some((word) => word !== '' && (names.has(word) || local.has(word) || local.has(hosts[word] ?? '')));
  });
  const [list] = sectionsAt(document, 'nodelist');
  if (!isHere && list !== undefined && nodes.some((section) => nodeOf(section).addresses.length > 0)) {
    report.error({
      rule: 'local-missing',
      at: nameRange(list),
      message: `No node of the list is this machine (${hostname}).`,
      why: 'Corosync does not start where it finds neither its host name nor one of its addresses.',
    });
  }
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
