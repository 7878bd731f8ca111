/** Rules of the nodelist. */
import { familyOf, isIpv6, readIpv4 } from '../address.ts';
import { linkOfKey, model, wholeNumber } from '../model.ts';
import { storedNodes, type StoredNode } from '../stored.ts';
import { lineRange, nameRange, sectionsAt, valueRange, type Entry, type Range, type Section } from '../syntax.ts';
import type { Report, Subject } from './report.ts';
import { transportOf } from './transport.ts';

type Listed = StoredNode;

export function checkNodes(subject: Subject, report: Report): void {
  const { document, dialect } = subject;
  const lists = sectionsAt(document, 'nodelist');
  const listed: readonly Listed[] = storedNodes(document);
  if (dialect === 'corosync2' && lists.length === 0) return;
  // An interface section stands in for the addresses as far as Corosync's checks go (seen); address-missing tells.
  const interfaces = sectionsAt(document, 'totem.interface').some(({ entries }) => entries.length > 0);
  const addressed = listed.some(({ node }) => node.addresses.length > 0) || (interfaces && listed.length > 0);
  if (lists.length === 0 || !addressed) {
    report.error({
      rule: 'nodelist-missing',
      at: lists[0] === undefined ? lineRange(document, 1) : nameRange(lists[0]),
      message: lists.length === 0 ? 'There is no nodelist.' : 'No node of the nodelist has a ring0_addr.',
      why: 'Corosync 3 does not start without at least one node with an address.',
    });
    return;
  }
  const second = lists[1];
  if (second !== undefined) {
    report.warn({
      rule: 'second-nodelist',
      at: nameRange(second),
      message: 'There is a second nodelist.',
      why: 'Its nodes overwrite those of the first one by their position, without a message.',
    });
  }
  const transport = transportOf(subject);
  const [first] = listed;
  if (first !== undefined && first.node.name === null && !first.node.addresses.some(({ link }) => link === 0)) {
    report.error({
      rule: 'first-node-empty',
      at: nameRange(first.section),
      message: 'The first node has neither a name nor a ring0_addr.',
      why: 'Corosync then does not look at the nodelist at all, and does not start.',
    });
  }
  for (const one of listed) checkNode(one, transport, subject, report);
  checkFamilies(listed, transport, subject, report);
  checkUnique(listed, dialect, report);
  // A node without a line is none.
  checkLinks(
    listed.filter(({ section }) => section.entries.length > 0),
    transport,
    dialect,
    report,
  );
}

const entryOf = (section: Section, name: string): Entry | undefined =>
  section.entries.findLast((entry) => entry.name === name);
const at = (section: Section, name: string): Range => {
  const entry = entryOf(section, name);
  return entry === undefined ? nameRange(section) : valueRange(entry);
};
const whoIs = ({ section, node }: Listed): string =>
  node.name ?? (node.nodeId === null ? `the node on line ${section.line}` : `node ${node.nodeId}`);

function checkNode(one: Listed, transport: string, { dialect }: Subject, report: Report): void {
  const { section, node } = one;
  const given = entryOf(section, 'nodeid');
  if (section.entries.length === 0) {
    report.warn({
      rule: 'node-empty',
      at: nameRange(section),
      message: 'This node is empty.',
      why: 'Corosync says nothing, and counts a vote for it that nobody can cast.',
    });
    return;
  }
  // A node without any address is none for Corosync, so it does not miss its number (seen).
  const isNode = node.addresses.length > 0;
  if (isNode && (given === undefined || (node.nodeId === 0 && wholeNumber(given.value) === 0))) {
    const finding = {
      rule: 'nodeid-missing',
      at: at(section, 'nodeid'),
      message: `${capital(whoIs(one))} needs a nodeid of 1 or more.`,
      why:
        transport === 'knet'
          ? 'knet refuses a nodelist without node ids.'
          : 'A node id made from an address changes with it.',
    };
    const family = node.addresses[0]?.address.includes(':') === true;
    if (transport === 'knet' || dialect === 'ringmaster' || family) report.error(finding);
    else report.warn(finding);
  } else if (transport === 'knet' && node.nodeId !== null && node.nodeId > 65_535) {
    report.error({
      rule: 'nodeid-knet',
      at: at(section, 'nodeid'),
      message: 'With transport knet a nodeid is below 65536.',
      why: 'Corosync refuses the file.',
    });
  }
  if (node.addresses.length === 0) {
    const finding = {
      rule: 'address-missing',
      at: nameRange(section),
      message: `${capital(whoIs(one))} has no ring0_addr.`,
      why: 'Its votes are counted, and it can never become a member. Corosync says nothing.',
    };
    if (dialect === 'corosync2') report.warn(finding);
    else report.error(finding);
  }
  if (node.name === null && dialect !== 'corosync2') {
    report.warn({
      rule: 'node-name-missing',
      at: nameRange(section),
      message: `${capital(whoIs(one))} has no name.`,
      why: 'A name is needed as soon as there is a second link, and the configuration tree knows nodes by name.',
    });
  }
  for (const entry of section.entries) {
    const link = linkOfKey(entry.name);
    if (link === null) continue;
    if (link > 7) {
      report.error({
        rule: 'link-number',
        at: nameRange(entry),
        message: 'There are links 0 to 7.',
        why: 'Corosync refuses the file.',
      });
    } else checkAddress(entry, report);
  }
}

export function checkAddress(entry: Entry, report: Report): void {
  const range = valueRange(entry);
  const { value } = entry;
  const broken = (why: string): void =>
    report.error({ rule: 'address', at: range, message: `"${value}" is not an address.`, why });
  if (value === '') return broken(`${entry.name} is empty.`);
  if (/[/[\]]/.test(value)) return broken('Corosync wants the bare address, without network length, brackets or port.');
  if (/[ \t,;]/.test(value)) return broken('One address and nothing else.');
  if (value.includes(':')) {
    if (!isIpv6(value)) broken('It has a colon, and is no IPv6 address. A port is not part of an address.');
    return;
  }
  if (readIpv4(value) === null) {
    if (/^[0-9.]+$/.test(value)) broken('An IPv4 address has four numbers from 0 to 255.');
    else if (!/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(value)) {
      broken('It is neither an address nor a host name.');
    }
    return;
  }
  if (!/^((0|[1-9][0-9]*)\.){3}(0|[1-9][0-9]*)$/.test(value)) {
    report.warn({
      rule: 'address-odd',
      at: range,
      message: `"${value}" is read in an unexpected way.`,
      why: 'Missing parts count as zeros in the middle, and a leading zero makes a number octal.',
    });
  }
}

function checkUnique(listed: readonly Listed[], dialect: Subject['dialect'], report: Report): void {
  const ids = new Map<number, Listed>();
  const names = new Map<string, Listed>();
  const addresses = new Map<string, Listed>();
  for (const one of listed) {
    const { section, node } = one;
    const sameId = node.nodeId === null ? undefined : ids.get(node.nodeId);
    if (sameId !== undefined) {
      report.error({
        rule: 'nodeid-twice',
        at: at(section, 'nodeid'),
        message: `The nodeid ${node.nodeId} belongs to ${whoIs(sameId)} already.`,
        why: 'Corosync refuses the file at a start.',
      });
    } else if (node.nodeId !== null) ids.set(node.nodeId, one);
    const severity = dialect === 'corosync2' ? report.warn.bind(report) : report.error.bind(report);
    const sameName = node.name === null ? undefined : names.get(node.name);
    if (sameName !== undefined) {
      severity({
        rule: 'name-twice',
        at: at(section, 'name'),
        message: `Two nodes are called ${node.name}.`,
        why: 'A node finds itself by its name: one of them would take itself for the other. Corosync says nothing.',
      });
    } else if (node.name !== null) names.set(node.name, one);
    for (const { link, address } of node.addresses) {
      const sameAddress = addresses.get(address);
      if (sameAddress !== undefined && sameAddress !== one) {
        severity({
          rule: 'address-twice',
          at: at(section, `ring${link}_addr`),
          message: `${address} is the address of ${whoIs(sameAddress)} already.`,
          why: 'Packets for one would reach the other. Corosync says nothing.',
        });
      } else if (address !== '') addresses.set(address, one);
    }
  }
}

function checkLinks(listed: readonly Listed[], transport: string, dialect: Subject['dialect'], report: Report): void {
  const all = [...new Set(listed.flatMap(({ node }) => node.addresses.map(({ link }) => link)))].sort((a, b) => a - b);
  // The bundled engine has the redundant rings of Corosync 2: its own rules say what they need.
  if (all.length > 1 && transport !== 'knet' && dialect !== 'ringmaster') {
    const section = listed.find(({ node }) => node.addresses.length > 1)?.section ?? listed[0]?.section;
    report.error({
      rule: 'links-need-knet',
      at: section === undefined ? { line: 1, column: 1, endLine: 1, endColumn: 2 } : at(section, `ring${all[1]}_addr`),
      message: `More than one link needs transport knet, not ${transport}.`,
      why: 'Corosync refuses the file.',
    });
  }
  if (all.length > 1) {
    for (const one of listed) {
      if (one.node.name === null) {
        report.error({
          rule: 'links-need-names',
          at: nameRange(one.section),
          message: `With more than one link every node needs a name.`,
          why: 'Corosync refuses the file.',
        });
      }
      const missing = all.filter((link) => !one.node.addresses.some((address) => address.link === link));
      if (missing.length === 0) continue;
      report.error({
        rule: 'link-missing',
        at: nameRange(one.section),
        message: `${capital(whoIs(one))} has no address on link ${missing.join(', ')}.`,
        why: 'Every node needs an address on every link: Corosync refuses the file.',
      });
    }
  }
  for (const link of all) {
    const families = listed.flatMap((one) => {
      const address = one.node.addresses.find((entry) => entry.link === link)?.address ?? '';
      const family = familyOf(address);
      return family === null ? [] : [{ one, family }];
    });
    const odd = families.find(({ family }) => family !== families[0]?.family);
    if (odd === undefined) continue;
    report.error({
      rule: 'families-mixed',
      at: at(odd.one.section, `ring${link}_addr`),
      message: `Link ${link} has IPv4 and IPv6 addresses.`,
      why: 'One link is of one family: Corosync refuses the file.',
    });
  }
}

/** Which addresses the file's ip_version allows. The default is both; with transport udp it is IPv4. */
function checkFamilies(
  listed: readonly Listed[],
  transport: string,
  { document, dialect }: Subject,
  report: Report,
): void {
  const given = model(document).totem.ipVersion;
  const narrow = given === null && transport === 'udp' && dialect !== 'ringmaster';
  const only = given === 'ipv4' || narrow ? 4 : given === 'ipv6' ? 6 : null;
  if (only === null) return;
  for (const section of [...listed.map((one) => one.section), ...sectionsAt(document, 'totem.interface')]) {
    for (const entry of section.entries) {
      if (linkOfKey(entry.name) === null && entry.name !== 'mcastaddr') continue;
      const family = familyOf(entry.value);
      if (family === null || family === only) continue;
      report.error({
        rule: 'family-not-allowed',
        at: valueRange(entry),
        message: `${entry.value} is an IPv${family} address; ${given === null ? 'transport udp means' : `ip_version says`} ipv${only}.`,
        why: 'Corosync cannot use it and refuses the file.',
      });
    }
  }
}

const capital = (words: string): string => `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
