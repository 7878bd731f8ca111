/** Rules of the totem section as a whole: encryption, timeouts, transport, interfaces (totemconfig.c). */
import { timersOf } from '../bundled.ts';
import { linkOfKey, model, wholeNumber } from '../model.ts';
import { entryAt, nameRange, sectionsAt, valueRange, type Entry, type Range } from '../syntax.ts';
import { effectiveTimers } from '../timers.ts';
import { checkBundled } from './bundled.ts';
import { removingLines, replacing, type Report, type Subject } from './report.ts';
import { transportOf } from './transport.ts';

/** Smallest values in milliseconds; 0 means the default. */
const LEAST: Readonly<Record<string, number>> = {
  token_retransmit: 30,
  hold: 14,
  join: 30,
  consensus: 30,
  merge: 30,
  downcheck: 30,
  max_network_delay: 30,
};
const LEAST_TIMER = 30;

export function checkTotem(subject: Subject, report: Report): void {
  const { document, dialect } = subject;
  const { totem } = model(document);
  const at = (name: string): Range => {
    const entry = entryAt(document, 'totem', name);
    return entry === null ? whole(subject) : valueRange(entry);
  };
  const secauth = totem.secauth === 'on';
  const cipher = totem.cryptoCipher ?? (secauth ? 'aes256' : 'none');
  const hash = totem.cryptoHash ?? (secauth ? 'sha256' : 'none');
  const transport = transportOf(subject);
  if (cipher !== 'none' && hash === 'none') {
    report.error({
      rule: 'cipher-needs-hash',
      at: at(totem.cryptoCipher === null ? 'secauth' : 'crypto_cipher'),
      message: 'A crypto_cipher needs a crypto_hash other than none.',
      why: 'Corosync refuses the file.',
    });
  }
  const encrypted = cipher !== 'none' || hash !== 'none';
  if (encrypted && transport !== 'knet' && dialect === 'corosync3') {
    report.error({
      rule: 'crypto-needs-knet',
      at: at(secauth ? 'secauth' : totem.cryptoCipher === null ? 'crypto_hash' : 'crypto_cipher'),
      message: `Encryption is only possible with transport knet, not with ${transport}.`,
      why: 'Corosync refuses the file.',
      fix: secauth ? replacing('Change secauth to off', at('secauth'), 'off') : null,
    });
  }
  if (!encrypted && dialect === 'corosync3') {
    report.info({
      rule: 'no-crypto',
      at: whole(subject),
      message: 'Packets are neither encrypted nor authenticated.',
      why: 'Whoever reaches the ring network can read and forge them. "secauth: on" needs a key on every node.',
    });
  }
  if (totem.rrpMode !== null && dialect === 'corosync3') {
    const entry = entryAt(document, 'totem', 'rrp_mode');
    report.warn({
      rule: 'rrp-ignored',
      at: at('rrp_mode'),
      message: 'rrp_mode is not read by Corosync 3.',
      why: 'Redundancy comes from several links with transport knet.',
      fix: entry === null ? null : removingLines('Remove the line', entry.line, entry.line),
    });
  }
  if (dialect === 'ringmaster') checkBundled(subject, transport, report);
  checkTimers(subject, report);
  checkInterfaces(subject, transport, report);
}

const whole = ({ document }: Subject): Range => {
  const [totem] = sectionsAt(document, 'totem');
  return totem === undefined ? { line: 1, column: 1, endLine: 1, endColumn: 2 } : nameRange(totem);
};

function checkTimers({ document, dialect }: Subject, report: Report): void {
  const entry = (name: string): Entry | null => entryAt(document, 'totem', name);
  const value = (name: string): number => wholeNumber(entry(name)?.value ?? null) ?? 0;
  for (const [name, least] of Object.entries(LEAST)) {
    const found = entry(name);
    const given = value(name);
    if (found === null || given === 0 || given >= least) continue;
    report.error({
      rule: 'timer-too-short',
      at: valueRange(found),
      message: `${name} must be at least ${least} ms, or 0 for its default.`,
      why: 'Corosync refuses the file.',
      fix: replacing(`Change to ${least}`, valueRange(found), String(least)),
    });
  }
  const {
    token,
    retransmit,
    consensus: effective,
    join,
  } = dialect === 'ringmaster' ? timersOf(document) : effectiveTimers(document);
  const retransmits = value('token_retransmits_before_loss_const') || 4;
  const tokenEntry = entry('token') ?? entry('token_retransmits_before_loss_const');
  const derived = dialect !== 'ringmaster' && value('token_retransmit') === 0 && retransmit < LEAST_TIMER;
  if (tokenEntry !== null && (token < LEAST_TIMER || derived)) {
    report.error({
      rule: 'token-too-short',
      at: valueRange(tokenEntry),
      message: `A token timeout of ${token} ms is too short for ${retransmits} retransmissions.`,
      why: 'Corosync refuses the file: between two retransmissions there must be at least 30 ms.',
    });
  }
  const consensus = entry('consensus');
  const given = value('consensus');
  const late = consensus ?? entry('join');
  if (late !== null && effective < join) {
    report.error({
      rule: 'consensus-below-join',
      at: valueRange(late),
      message: `consensus (${effective} ms) must not be shorter than join (${join} ms).`,
      why: 'Corosync refuses the file.',
    });
  } else if (consensus !== null && given > 0 && dialect !== 'ringmaster') {
    if (given < 1.2 * token) {
      report.warn({
        rule: 'consensus-below-token',
        at: valueRange(consensus),
        message: `consensus should be at least 1.2 times the token timeout, ${Math.ceil(1.2 * token)} ms.`,
        why: 'A node that is only slow would be given up before its token is lost. Corosync does not check it.',
        fix: replacing(`Change to ${Math.ceil(1.2 * token)}`, valueRange(consensus), String(Math.ceil(1.2 * token))),
      });
    }
  }
}

function checkInterfaces({ document, dialect }: Subject, transport: string, report: Report): void {
  const used = new Set(
    sectionsAt(document, 'nodelist.node').flatMap((node) => node.entries.flatMap(({ name }) => linkOfKey(name) ?? [])),
  );
  for (const section of sectionsAt(document, 'totem.interface')) {
    const find = (name: string): Entry | undefined => section.entries.findLast((entry) => entry.name === name);
    const link = find('linknumber');
    const ring = dialect === 'ringmaster' ? (find('ringnumber')?.value ?? null) : null;
    const number = wholeNumber(link?.value ?? null) ?? wholeNumber(ring) ?? 0;
    if (number > 7 && link !== undefined && section.entries.some((entry) => entry !== link)) {
      report.error({
        rule: 'link-number',
        at: valueRange(link),
        message: 'There are links 0 to 7.',
        why: 'Corosync refuses the file.',
      });
    }
    const ringnumber = find('ringnumber');
    if (ringnumber !== undefined && dialect === 'corosync3' && ringnumber.value !== '0') {
      report.warn({
        rule: 'ringnumber-ignored',
        at: nameRange(ringnumber),
        message: 'ringnumber is not read by Corosync 3: this section configures link 0.',
        why: 'Corosync 3 calls it linknumber.',
        fix: replacing('Change to "linknumber"', nameRange(ringnumber), 'linknumber'),
      });
    }
    const ttl = find('ttl');
    if (ttl !== undefined && wholeNumber(ttl.value) !== 1 && wholeNumber(ttl.value) !== null && transport !== 'udp') {
      report.error({
        rule: 'ttl-needs-udp',
        at: valueRange(ttl),
        message: 'ttl is only for transport udp.',
        why: 'Corosync does not start with it, though a reload takes the file.',
        fix: removingLines('Remove the line', ttl.line, ttl.line),
      });
    }
    const priority = find('knet_link_priority');
    if (priority !== undefined && ![0, 1, null].includes(wholeNumber(priority.value)) && transport !== 'knet') {
      report.error({
        rule: 'priority-needs-knet',
        at: valueRange(priority),
        message: 'knet_link_priority is only for transport knet.',
        why: 'Corosync refuses the file.',
        fix: removingLines('Remove the line', priority.line, priority.line),
      });
    }
    if (
      number <= 7 &&
      used.size > 0 &&
      !used.has(number) &&
      // With transport udp the port alone does not make a link (seen).
      section.entries.some((entry) => entry !== link && !(transport === 'udp' && entry.name === 'mcastport'))
    ) {
      report.error({
        rule: 'interface-without-link',
        at: nameRange(section),
        message: `No node has an address on link ${number}.`,
        why: 'Corosync takes the link for configured, finds nobody on it, and refuses the file.',
        fix: section.closeLine === null ? null : removingLines('Remove the section', section.line, section.closeLine),
      });
    }
  }
}
