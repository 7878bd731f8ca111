/**
 * What it takes until a change is in effect: nothing, a reload, a restart of one engine after the other, or of all
 * together. Measured edit by edit on running clusters of Corosync 3.1.7; a reload says "Done" to most of those that
 * it does not carry out.
 */
import { bundledTransport } from './bundled.ts';
import { changesBetween, sentenceOf, type Change } from './difference.ts';
import { keyFact } from './keys.ts';
import { wholeNumber } from './model.ts';
import type { Diagnostic, Dialect } from './rules/report.ts';
import { entryAt, parse, sectionsAt, type ConfDocument, type Range } from './syntax.ts';

export type Effect = 'none' | 'live' | 'rolling-restart' | 'whole-restart';

/**
 * What a reload does with the change. `ignores`: says "Done" and changes nothing that runs. `refuses`: refuses the
 * whole file. `destroys`: carries it out and cuts the node off.
 */
export type Reload = 'takes' | 'ignores' | 'refuses' | 'destroys';

export interface PlannedChange {
  readonly sentence: string;
  readonly effect: Effect;
  readonly reload: Reload;
  /** How to have the same without a restart, or what has to be done beside it; null when there is nothing to say. */
  readonly advice: string | null;
  /** The nodes the change is about; empty: all. */
  readonly nodeIds: readonly number[];
  /** Where it stands in the new file. */
  readonly at: Range;
}

interface Outcome {
  readonly effect: Effect;
  readonly reload: Reload;
  readonly advice?: string;
}

const NONE: Outcome = { effect: 'none', reload: 'takes' };
const LIVE: Outcome = { effect: 'live', reload: 'takes' };
const ROLLING: Outcome = { effect: 'rolling-restart', reload: 'ignores' };
const WHOLE: Outcome = { effect: 'whole-restart', reload: 'ignores' };

/** The changes from what runs to a new file, each with what it takes. */
export function plannedChanges(before: string, after: string, dialect: Dialect = 'corosync3'): PlannedChange[] {
  const documents = { before: parse(before), after: parse(after) };
  return changesBetween(documents.before, documents.after).map((change) => {
    const outcome = dialect === 'ringmaster' ? bundledOutcome(change, documents) : outcomeOf(change, documents);
    return {
      sentence: sentenceOf(change),
      effect: outcome.effect,
      reload: outcome.reload,
      advice: outcome.advice ?? null,
      nodeIds: 'node' in change && change.node.nodeId !== null ? [change.node.nodeId] : [],
      at: change.at,
    };
  });
}

/** Does a reload say "Done" to it and leave what runs as it is? */
export const isSilent = ({ reload }: PlannedChange): boolean => reload === 'ignores';

interface Documents {
  readonly before: ConfDocument;
  readonly after: ConfDocument;
}

const TWO_STEPS =
  'Without a restart in two steps: give every node an address on a free link, apply, then take the old link out.';

function outcomeOf(change: Change, documents: Documents): Outcome {
  switch (change.kind) {
    case 'node-added':
      return { ...LIVE, advice: 'Start it after the others have loaded the file.' };
    case 'node-removed':
      return { ...LIVE, advice: 'Stop it first: one that runs stays up alone, without quorum.' };
    case 'node-renamed':
      return { ...LIVE, advice: 'Its host name has to follow, or it may not find itself at its next start.' };
    case 'votes':
      return LIVE;
    case 'node-renumbered':
      return {
        effect: 'whole-restart',
        reload: 'destroys',
        advice: 'A reload cuts the node off at once. Remove the node and add it again under its new number.',
      };
    case 'address':
      return addressOutcome(change, documents);
    case 'value':
      return change.section === 'totem.interface' ? interfaceOutcome(change, documents) : valueOutcome(change);
  }
}

function addressOutcome(
  { node, link, before, after }: Extract<Change, { kind: 'address' }>,
  documents: Documents,
): Outcome {
  if (before !== null && after !== null) {
    const others = linksOf(documents.before).filter((one) => one !== link);
    const advice =
      others.length === 0
        ? TWO_STEPS
        : `Without a restart in two steps: take link ${link} out, apply, then put it in with the new addresses.`;
    return { effect: 'whole-restart', reload: 'refuses', advice };
  }
  // Corosync takes a node without any address for one that is not there (measured: "missing-addr").
  if (after === null && node.addresses.length === 0) return { effect: 'live', reload: 'destroys' };
  return LIVE;
}

/** Links that any node has an address on. */
function linksOf(document: ConfDocument): number[] {
  const names = sectionsAt(document, 'nodelist.node').flatMap(({ entries }) => entries.map(({ name }) => name));
  const links = names.flatMap((name) => /^ring([0-7])_addr$/.exec(name)?.[1] ?? []);
  return [...new Set(links.map(Number))].sort((a, b) => a - b);
}

const transportOf = (document: ConfDocument): string => entryAt(document, 'totem', 'transport')?.value ?? 'knet';

type ValueChange = Extract<Change, { kind: 'value' }>;

function interfaceOutcome(change: ValueChange, { before, after }: Documents): Outcome {
  const link = change.link ?? 0;
  // A link that comes or goes with this change is set up, or torn down, with all it has.
  if (!linksOf(before).includes(link) || !linksOf(after).includes(link)) return LIVE;
  switch (change.name) {
    case 'knet_transport':
      if (!differs(change, 'udp') || transportOf(after) !== 'knet') return NONE;
      return {
        effect: 'whole-restart',
        reload: 'refuses',
        advice: `Without a restart in two steps: take link ${link} out, apply, then put it in with the new protocol.`,
      };
    case 'mcastport':
      // The log and cmap show the new port, the socket stays on the old one (seen with ss).
      return differs(change, String(5405 + link)) ? WHOLE : NONE;
    case 'bindnetaddr':
      // The nodelist overwrites it for a link with addresses (measured).
      return transportOf(after) === 'udp' ? WHOLE : NONE;
    case 'mcastaddr':
    case 'broadcast':
    case 'ttl':
      return transportOf(after) === 'udp' ? WHOLE : NONE;
    default:
      return generalOutcome(change);
  }
}

/** All nodes must change together: those that have and those that have not do not understand each other. */
const WHOLE_KEYS = new Set([
  ...['totem.transport', 'totem.cluster_name', 'totem.ip_version', 'totem.version', 'totem.clear_node_high_bit'],
  ...['quorum.provider'],
]);

function valueOutcome(change: ValueChange): Outcome {
  if (change.section === 'totem' && change.name === 'config_version') return NONE;
  const standard = keyFact(change.section, change.name)?.standard ?? null;
  const outcome = generalOutcome(change);
  if (outcome.effect === 'live' || differs(change, standard)) return outcome;
  return NONE;
}

function generalOutcome({ section, name }: ValueChange): Outcome {
  const fact = keyFact(section, name);
  if (section.startsWith('quorum.device')) {
    return { ...LIVE, advice: 'corosync-qdevice reads it: start or restart that service on every node.' };
  }
  if (fact === null || fact.effect === 'none') return NONE;
  if (fact.effect === 'live') return LIVE;
  return WHOLE_KEYS.has(`${section}.${name}`) ? WHOLE : ROLLING;
}

/** Is it another value, a missing one counting as the default? */
function differs({ before, after }: ValueChange, standard: string | null): boolean {
  const [one, other] = [before ?? standard, after ?? standard];
  const [a, b] = [wholeNumber(one), wholeNumber(other)];
  return a !== null && b !== null ? a !== b : one !== other;
}

/** The bundled engine compares the files itself and says what it cannot take at a reload; the rest of it is in effect. */
function bundledOutcome(change: Change, documents: Documents): Outcome {
  switch (change.kind) {
    case 'node-added':
    case 'node-removed':
    case 'node-renamed':
    case 'votes':
      return LIVE;
    case 'node-renumbered':
      return { effect: 'whole-restart', reload: 'refuses' };
    case 'address':
      return bundledAddress(change, documents);
    case 'value':
      return change.section === 'totem.interface' ? bundledInterface(change, documents) : bundledValue(change);
  }
}

/** The others look for the node at its new address at once, and it listens there when its engine restarts. */
function bundledAddress({ link, before, after }: Extract<Change, { kind: 'address' }>, documents: Documents): Outcome {
  if (before === null || after === null) return LIVE;
  const others = linksOf(documents.before).filter((one) => one !== link);
  return others.length > 0
    ? {
        ...ROLLING,
        advice: `Only this node has to restart its engine. Link ${others.join(', ')} carries it until then.`,
      }
    : { ...ROLLING, advice: 'Only this node has to restart its engine; until then the others do not find it.' };
}

function bundledInterface(change: ValueChange, { before, after }: Documents): Outcome {
  const link = change.link ?? 0;
  if (!linksOf(before).includes(link) || !linksOf(after).includes(link)) return LIVE;
  switch (change.name) {
    case 'mcastport':
      return differs(change, String(bundledTransport(after) === 'knet' ? 5405 + link : 5405)) ? WHOLE : NONE;
    case 'mcastaddr':
      return bundledTransport(after) === 'udp' ? WHOLE : NONE;
    case 'ttl':
      return bundledTransport(after) === 'udp' && differs(change, '1') ? ROLLING : NONE;
    case 'knet_link_priority':
    case 'knet_ping_interval':
    case 'knet_ping_timeout':
    case 'knet_pong_count':
      return LIVE;
    default:
      return NONE;
  }
}

function bundledValue(change: ValueChange): Outcome {
  const name = `${change.section}.${change.name}`;
  const standard = BUNDLED_DEFAULTS[name] ?? null;
  if (BUNDLED_LIVE.has(name)) return LIVE;
  if (BUNDLED_WHOLE.has(name)) return standard === null || differs(change, standard) ? WHOLE : NONE;
  if (BUNDLED_ROLLING.has(name)) return standard === null || differs(change, standard) ? ROLLING : NONE;
  return NONE;
}

const BUNDLED_LIVE = new Set([
  ...['totem.token', 'totem.token_coefficient', 'totem.token_retransmit', 'totem.token_retransmits_before_loss_const'],
  ...['totem.consensus', 'totem.join', 'totem.hold', 'totem.merge', 'totem.netmtu', 'totem.keyfile', 'totem.key'],
  ...['quorum.expected_votes', 'quorum.two_node', 'quorum.wait_for_all', 'quorum.auto_tie_breaker'],
  ...['quorum.auto_tie_breaker_node', 'quorum.last_man_standing', 'quorum.last_man_standing_window'],
  ...['quorum.allow_downscale', 'quorum.expected_votes_tracking'],
]);
const BUNDLED_WHOLE = new Set([
  ...['totem.cluster_name', 'totem.transport', 'totem.rrp_mode', 'totem.secauth', 'totem.crypto_cipher'],
  'totem.crypto_hash',
]);
const BUNDLED_ROLLING = new Set([
  ...['totem.link_mode', 'totem.ip_version', 'totem.window_size', 'totem.max_messages'],
]);
const BUNDLED_DEFAULTS: Readonly<Record<string, string>> = {
  'totem.rrp_mode': 'none',
  'totem.secauth': 'off',
  'totem.crypto_cipher': 'none',
  'totem.crypto_hash': 'none',
  'totem.link_mode': 'passive',
  'totem.ip_version': 'ipv6-4',
};

const WHO_RESTARTS: Readonly<Record<Effect, string>> = {
  none: '',
  live: '',
  'rolling-restart': 'every node has restarted its engine, one after the other',
  'whole-restart': 'all nodes have restarted their engine together',
};

/**
 * What a reload of this file would not bring into effect, seen from the file that runs. `corosync-cfgtool -R` says
 * "Done" to most of it.
 */
export function reloadFindings(running: string, text: string, dialect: Dialect = 'corosync3'): Diagnostic[] {
  return plannedChanges(running, text, dialect).flatMap((change): Diagnostic[] => {
    const { sentence, effect, reload, advice, at } = change;
    const rest = advice === null ? '' : ` ${advice}`;
    const made = (rule: string, message: string, why: string): Diagnostic => ({
      ...{ rule, severity: 'warning', ...at, message, why: why + rest, fix: null, timeBomb: false },
    });
    switch (reload) {
      case 'takes':
        return [];
      case 'ignores':
        return [
          made(
            'needs-restart',
            `${sentence} A reload does not bring it into effect.`,
            `A reload accepts it without a word; what runs stays as it is until ${WHO_RESTARTS[effect]}.`,
          ),
        ];
      case 'refuses':
        return [
          made(
            'reload-refused',
            `${sentence} A running cluster refuses it.`,
            `The reload fails, and with it every other change in this file, until ${WHO_RESTARTS[effect]}.`,
          ),
        ];
      case 'destroys':
        return [made('reload-destroys', sentence, 'A reload accepts it and cuts the node off.')];
    }
  });
}
