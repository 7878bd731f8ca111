/** Rules of single values: types and ranges, unknown and repeated keys, sections in the wrong place. */
import { isOpenSection, keyFact, keysOf, SECTIONS, type KeyFact } from '../keys.ts';
import { linkOfKey, wholeNumber } from '../model.ts';
import { storedEntries, type StoredEntry } from '../stored.ts';
import { allSections, entryAt, lineRange, nameRange, valueRange, type Entry, type Section } from '../syntax.ts';
import { nearest, removingLines, replacing, type Report, type Subject } from './report.ts';

export function checkValues(subject: Subject, report: Report): void {
  for (const section of allSections(subject.document.root)) {
    checkPlace(section, report);
    if (!isOpenSection(section.path)) checkRepeats(subject, section, report);
  }
  for (const stored of storedEntries(subject.document)) {
    const { entry, section, path } = stored;
    const fact = keyFact(path, entry.name);
    if (fact !== null) checkType(stored, fact, subject, report);
    else if (Object.hasOwn(SECTIONS, section.path) && !isOpenSection(section.path)) unknownKey(section, entry, report);
  }
  for (const entry of subject.document.root.entries) {
    if (entry.name === 'compatibility' || entry.name.includes('.')) continue;
    report.warn({
      rule: 'key-outside-section',
      at: nameRange(entry),
      message: `"${entry.name}" stands outside of every section.`,
      why: 'Corosync stores it and pays no attention to it.',
    });
  }
}

function checkPlace(section: Section, report: Report): void {
  if (Object.hasOwn(SECTIONS, section.path) || isOpenSection(section.path) || section.name === '') return;
  const elsewhere = Object.keys(SECTIONS).find((path) => path.split('.').at(-1) === section.name);
  const near = nearest(section.path, Object.keys(SECTIONS));
  const name = near?.split('.').at(-1);
  report.warn({
    rule: 'unknown-section',
    at: nameRange(section),
    message:
      elsewhere === undefined
        ? `There is no section "${section.path}".${name === undefined ? '' : ` Did you mean "${name}"?`}`
        : `The section "${section.name}" counts only as ${elsewhere.replace('.', ' > ')}.`,
    why: 'Corosync reads it without a word and pays no attention to what is in it. Is a "}" missing or misplaced?',
    fix:
      elsewhere === undefined && name !== undefined ? replacing(`Change to "${name}"`, nameRange(section), name) : null,
  });
}

function unknownKey(section: Section, entry: Entry, report: Report): void {
  if (section.path === 'nodelist.node' && linkOfKey(entry.name) !== null) return;
  if (section.path === 'uidgid') {
    report.error({
      rule: 'uidgid-key',
      at: nameRange(entry),
      message: `"${entry.name}" may not stand in uidgid: only uid and gid may.`,
      why: 'Corosync refuses the file.',
    });
    return;
  }
  const near = nearest(
    entry.name,
    keysOf(section.path).map((fact) => fact.name),
  );
  report.warn({
    rule: 'unknown-key',
    at: nameRange(entry),
    message: `There is no key "${entry.name}" in ${section.path.replace('.', ' > ')}.${near === null ? '' : ` Did you mean "${near}"?`}`,
    why: 'Corosync reads it without a word and pays no attention to it.',
    fix: near === null ? null : replacing(`Change to "${near}"`, nameRange(entry), near),
  });
}

function checkType({ entry, wins }: StoredEntry, fact: KeyFact, { dialect }: Subject, report: Report): void {
  const at = valueRange(entry);
  const { type } = fact;
  if (fact.section === 'totem' && fact.name === 'config_version') {
    // As far as an unsigned number of 64 bits goes (measured).
    if (!/^[ \t\v\f\r]*[+-]?[0-9]+$/.test(entry.value) || BigInt(entry.value.trim().replace('+', '')) >= 2n ** 64n) {
      const digits = /^[0-9]{1,15}(?![0-9])/.exec(entry.value)?.[0];
      report.error({
        rule: 'config-version-number',
        at,
        message: `config_version must be a whole number, not "${entry.value}".`,
        why: 'Corosync before 3.1.10 crashes on it: every node that reads this file would go down, at a reload too.',
        fix: digits === undefined ? null : replacing(`Change to ${digits}`, at, digits),
      });
    } else if (Number(entry.value) < 1) {
      report.warn({
        rule: 'config-version-positive',
        at,
        message: 'config_version should be 1 or higher.',
        why: 'The configuration tree takes a new file over only when its config_version is higher than the old one.',
      });
    }
    return;
  }
  if (type.kind === 'number') {
    const value = wholeNumber(entry.value);
    if (
      value !== null &&
      value >= (fact.name === 'linknumber' || fact.name === 'nodeid' ? 0 : type.min) &&
      value <= largest(fact, type.max)
    )
      return;
    const digits = /^[0-9]+/.exec(entry.value)?.[0];
    const words =
      type.max === 255 && fact.section === 'quorum' && /^(yes|on|true)$/i.test(entry.value)
        ? '1'
        : /^(no|off|false)$/i.test(entry.value)
          ? '0'
          : digits;
    const say = isForgiven(fact) && !fact.section.endsWith('device') ? report.warn : report.error;
    say({
      rule: 'number',
      at,
      message: `${fact.name} must be a whole number from ${type.min} to ${type.max}, not "${entry.value}".`,
      why: 'Corosync refuses the file.',
      fix: words === undefined || words === entry.value ? null : replacing(`Change to ${words}`, at, words),
    });
  } else if (type.kind === 'choice' && !type.values.includes(normal(fact, entry.value))) {
    if (wins || CHECKED_WHEN_READ.has(`${fact.section}.${fact.name}`)) {
      checkChoice(entry, fact, type.values, dialect, report);
    }
  }
}

/** Priorities in capitals are taken, and so is another word for one of them (tried). */
const normal = ({ name }: KeyFact, value: string): string => {
  if (!/_priority$|^syslog_level$/.test(name)) return value;
  const word = value.toLowerCase();
  return word === 'error' ? 'err' : word;
};

/** Looked at line by line; of all others only the value that is in effect (each tried with corosync -t). */
const CHECKED_WHEN_READ = new Set([
  ...['totem.crypto_cipher', 'totem.crypto_hash', 'totem.crypto_model', 'totem.ip_version'],
  ...['totem.knet_compression_model', 'system.qb_ipc_type', 'system.sched_rr', 'system.move_to_root_cgroup'],
  'system.allow_knet_handle_fallback',
]);

const largest = (fact: KeyFact, max: number): number => (fact.name === 'linknumber' ? 255 : max);

/** Words that Corosync does not look at, or that mean their opposite without a word (each tried with corosync -t). */
const FORGIVING = new Set([
  ...['totem.rrp_mode', 'totem.clear_node_high_bit', 'totem.interface.broadcast', 'totem.block_unlisted_ips'],
  ...['totem.cancel_token_hold_on_retransmit', 'quorum.device.model'],
  ...['timestamp', 'fileline', 'function_name', 'blackbox'].map((name) => `logging.logger_subsys.${name}`),
]);
const isForgiven = ({ section, name }: KeyFact): boolean =>
  FORGIVING.has(`${section}.${name}`) ||
  section === 'logging.logging_daemon' ||
  section.startsWith('resources.') ||
  section.startsWith('quorum.device.');

/** Some keys say on and off, others yes and no. */
function sameMeaning(word: string, values: readonly string[]): string | null {
  const meant = /^(yes|true|1|on|enabled?)$/i.test(word)
    ? ['on', 'yes']
    : /^(no|false|0|off|disabled?)$/i.test(word)
      ? ['off', 'no']
      : [];
  return meant.find((value) => values.includes(value)) ?? null;
}

function checkChoice(
  entry: Entry,
  fact: KeyFact,
  values: readonly string[],
  dialect: Subject['dialect'],
  report: Report,
): void {
  const at = valueRange(entry);
  const near =
    values.find((value) => value.toLowerCase() === entry.value.toLowerCase()) ??
    sameMeaning(entry.value, values) ??
    nearest(entry.value, values);
  const fix = near === null ? null : replacing(`Change to "${near}"`, at, near);
  const list = values.map((value) => `"${value}"`).join(', ');
  const message = `${fact.name} is ${values.length === 1 ? '' : 'one of '}${list}, not "${entry.value}".`;
  if (fact.name === 'secauth') {
    const on = replacing('Change to "on"', at, 'on');
    const why = 'Any word but exactly "on" means off, without a message: packets travel in the clear.';
    report.warn({ rule: 'secauth-word', at, message, why, fix: /^(yes|true|1|on)$/i.test(entry.value) ? on : fix });
  } else if (isForgiven(fact) || (fact.name === 'knet_compression_model' && dialect !== 'corosync3')) {
    report.warn({
      rule: 'choice-ignored',
      at,
      message,
      why: 'Corosync does not look at it and says nothing: it means the default.',
      fix,
    });
  } else {
    const start = fact.name === 'provider' ? 'Corosync does not start with it.' : 'Corosync refuses the file.';
    // Their values are looked at when Corosync starts only (seen).
    const timeBomb = fact.name === 'link_mode' || fact.name === 'provider' || fact.section.startsWith('logging');
    report.error({
      rule: fact.name === 'provider' ? 'quorum-provider' : 'choice',
      at,
      message,
      why: start,
      fix,
      timeBomb,
    });
  }
}

function checkRepeats({ document }: Subject, section: Section, report: Report): void {
  const seen = new Map<string, Entry>();
  const firstCounts = ['logging.logger_subsys', 'logging.logging_daemon'].includes(section.path);
  for (const entry of section.entries) {
    const before = seen.get(entry.name);
    seen.set(entry.name, entry);
    if (before === undefined) continue;
    const [idle, counts] = firstCounts ? [entry, before] : [before, entry];
    report.warn({
      rule: 'repeated-key',
      at: lineRange(document, idle.line),
      message: `"${entry.name}" stands here and on line ${counts.line}.`,
      why: `The ${firstCounts ? 'first' : 'last'} one counts.`,
      fix: removingLines('Remove this line', idle.line, idle.line),
    });
  }
}

/** What must be there. */
export function checkRequired({ document, dialect }: Subject, report: Report): void {
  const totem = document.root.sections.find((section) => section.name === 'totem');
  const at = totem === undefined ? lineRange(document, 1) : nameRange(totem);
  const version = entryAt(document, 'totem', 'version');
  const insert = (text: string) =>
    totem === undefined
      ? null
      : {
          title: `Add "${text}"`,
          edits: [{ line: totem.line + 1, column: 1, endLine: totem.line + 1, endColumn: 1, text: `  ${text}\n` }],
        };
  if (totem === undefined) {
    report.error({
      rule: 'totem-missing',
      at,
      message: 'There is no totem section.',
      why: 'Corosync refuses a file without totem.version.',
    });
    return;
  }
  if (version === null || Number(version.value) !== 2) {
    report.error({
      rule: 'totem-version',
      at: version === null ? at : valueRange(version),
      message: version === null ? 'totem needs "version: 2".' : `totem.version must be 2, not "${version.value}".`,
      why: 'Corosync does not start without it, though a reload takes the file.',
      fix: version === null ? insert('version: 2') : replacing('Change to 2', valueRange(version), '2'),
    });
  }
  if (entryAt(document, 'totem', 'config_version') === null) {
    report.warn({
      rule: 'config-version-missing',
      at,
      message: 'config_version is missing.',
      why: 'Nodes cannot tell an old file from a new one, and the configuration tree does not take the file over.',
      fix: insert('config_version: 1'),
    });
  }
  if (entryAt(document, 'totem', 'cluster_name') === null) {
    const finding = {
      rule: 'cluster-name-missing',
      at,
      message: 'cluster_name is missing.',
      why: 'It keeps apart the packets of clusters on one network.',
    };
    if (dialect === 'ringmaster') report.error(finding);
    else report.warn(finding);
  }
}
