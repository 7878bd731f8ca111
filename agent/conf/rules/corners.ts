/** Rules of rarely used keys, each seen to keep Corosync 3.1.7 from starting. */
import { readIpv4 } from '../address.ts';
import { model, wholeNumber } from '../model.ts';
import { checkAddress } from './nodes.ts';
import {
  allSections,
  entryAt,
  lineRange,
  nameRange,
  sectionsAt,
  valueRange,
  type ConfDocument,
  type Section,
} from '../syntax.ts';
import type { Report, Subject } from './report.ts';
import { transportOf } from './transport.ts';

/** Characters of a key written into the file itself. */
const SHORTEST_KEY = 128;
const LONGEST_KEY = 4096;

export function checkCorners(subject: Subject, report: Report): void {
  const { document } = subject;
  const { totem } = model(document);
  checkKey({ document }, totem.secauth === 'on' || (totem.cryptoHash ?? 'none') !== 'none', report);
  const group = entryAt(document, 'totem.interface', 'mcastaddr');
  // It has to be an address with every transport (measured).
  if (group !== null) checkAddress(group, report);
  if (transportOf(subject) === 'udp') checkMulticast({ document }, totem, report);
  const stateDir = entryAt(document, 'system', 'state_dir');
  if (stateDir !== null && !/^[./]/.test(stateDir.value)) {
    report.error({
      rule: 'state-dir',
      at: valueRange(stateDir),
      message: `state_dir is the full path of a directory, not "${stateDir.value}".`,
      why: 'Corosync does not start where the directory is not there.',
    });
  }
  const priority = entryAt(document, 'system', 'priority');
  if (priority !== null && !/^(max|min|[+-]?[0-9]+)$/.test(priority.value)) {
    report.error({
      rule: 'priority',
      at: valueRange(priority),
      message: `priority is "max", "min" or a whole number, not "${priority.value}".`,
      why: 'Corosync does not start with it.',
    });
  }
}

function checkKey({ document }: Pick<Subject, 'document'>, used: boolean, report: Report): void {
  const key = entryAt(document, 'totem', 'key');
  if (key === null || !used || (key.value.length >= SHORTEST_KEY && key.value.length <= LONGEST_KEY)) return;
  report.error({
    rule: 'key-length',
    at: valueRange(key),
    message: `A key in the file has ${SHORTEST_KEY} to ${LONGEST_KEY} characters; this one has ${key.value.length}.`,
    why: 'Corosync refuses the file. Better keep the key in a file of its own: see keyfile.',
  });
}

function checkMulticast(
  { document }: Pick<Subject, 'document'>,
  totem: ReturnType<typeof model>['totem'],
  report: Report,
): void {
  const [section] = sectionsAt(document, 'totem');
  const address = entryAt(document, 'totem.interface', 'mcastaddr');
  if (address === null && totem.clusterName === null && section !== undefined) {
    report.error({
      rule: 'multicast-missing',
      at: nameRange(section),
      message: 'Transport udp needs a cluster_name or an mcastaddr.',
      why: 'The multicast address follows from the name. Corosync refuses the file.',
    });
  }
  const bits = readIpv4(address?.value ?? '');
  // 224.0.0.0/4
  if (address !== null && bits !== null && (bits < 0xe0_00_00_00 || bits > 0xef_ff_ff_ff)) {
    report.error({
      rule: 'multicast-address',
      at: valueRange(address),
      message: `${address.value} is no multicast address: those are 224.0.0.0 to 239.255.255.255.`,
      why: 'Corosync refuses the file.',
    });
  }
}

/** Sections that need a key, or take no other. */
export function checkSections({ document }: Subject, report: Report): void {
  for (const section of allSections(document.root)) checkSection(section, document, report);
}

function checkSection(section: Section, document: ConfDocument, report: Report): void {
  const lacks = (name: string): boolean => !section.entries.some((entry) => entry.name === name);
  const needed =
    // A section within one of these counts as one more of them.
    section.path.startsWith('logging.logger_subsys')
      ? 'subsys'
      : section.path.startsWith('logging.logging_daemon')
        ? 'name'
        : null;
  if (needed !== null && lacks(needed)) {
    report.error({
      rule: 'section-needs-key',
      // Corosync notices it where the section ends, and names that line.
      at: section.closeLine === null ? nameRange(section) : lineRange(document, section.closeLine),
      message: `This ${section.name} section has no ${needed}: it needs that key.`,
      why: 'Corosync refuses the file.',
    });
  }
  for (const entry of section.entries) {
    if (section.path === 'totem.interface.member' && entry.name !== 'memberaddr') {
      report.error({
        rule: 'member-key',
        at: nameRange(entry),
        message: 'Only memberaddr may stand in a member section.',
        why: 'Corosync refuses the file. Corosync 3 takes its members from the nodelist.',
      });
    }
    const isPoll = entry.name === 'poll_period' && section.path.startsWith('resources.');
    if (isPoll && wholeNumber(entry.value) === null) {
      report.error({
        rule: 'poll-period',
        at: valueRange(entry),
        message: `poll_period must be a whole number, not "${entry.value}".`,
        why: 'Corosync crashes on it.',
      });
    }
  }
}
