/** What a file says, as values. Tolerant: what is missing or no number is null. */
import { entryAt, sectionsAt, type ConfDocument, type Section } from './syntax.ts';

export interface ConfAddress {
  readonly link: number;
  readonly address: string;
}

export interface ConfNode {
  readonly nodeId: number | null;
  readonly name: string | null;
  readonly votes: number;
  readonly addresses: readonly ConfAddress[];
}

export interface ConfInterface {
  readonly linkNumber: number;
  readonly bindnetaddr: string | null;
  readonly mcastaddr: string | null;
  readonly mcastport: number | null;
}

export interface CorosyncConf {
  readonly totem: {
    readonly version: number | null;
    readonly clusterName: string | null;
    readonly configVersion: number | null;
    readonly transport: string | null;
    readonly secauth: string | null;
    readonly cryptoCipher: string | null;
    readonly cryptoHash: string | null;
    readonly token: number | null;
    readonly tokenCoefficient: number | null;
    readonly consensus: number | null;
    readonly join: number | null;
    readonly ipVersion: string | null;
    readonly rrpMode: string | null;
    readonly linkMode: string | null;
    readonly interfaces: readonly ConfInterface[];
  };
  readonly nodelist: readonly ConfNode[];
  readonly quorum: {
    readonly provider: string | null;
    readonly expectedVotes: number | null;
    readonly twoNode: boolean;
    readonly waitForAll: boolean;
    readonly autoTieBreaker: boolean;
    readonly autoTieBreakerNode: string | null;
    readonly lastManStanding: boolean;
    /** Milliseconds. */
    readonly lastManStandingWindow: number | null;
    readonly allowDownscale: boolean;
    readonly expectedVotesTracking: boolean;
  };
  readonly logging: { readonly debug: string | null; readonly toSyslog: string | null };
}

/** A whole number as Corosync reads one (strtoll(3)): blanks, a sign, digits, nothing after them. */
export function wholeNumber(text: string | null): number | null {
  if (text === null || !/^[ \t\v\f\r]*[+-]?[0-9]+$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}

const ADDRESS_KEY = /^ring([0-9]{1,2})_addr$/;

/** The link of a `ringX_addr` key, or null. */
export function linkOfKey(name: string): number | null {
  const found = ADDRESS_KEY.exec(name)?.[1];
  return found === undefined ? null : Number(found);
}

const last = (section: Section, name: string): string | null =>
  section.entries.findLast((entry) => entry.name === name)?.value ?? null;

export function nodeOf(section: Section): ConfNode {
  const addresses = new Map<number, string>();
  for (const entry of section.entries) {
    const link = linkOfKey(entry.name);
    if (link !== null) addresses.set(link, entry.value);
  }
  return {
    nodeId: wholeNumber(last(section, 'nodeid')),
    name: last(section, 'name'),
    votes: wholeNumber(last(section, 'quorum_votes')) ?? 1,
    addresses: [...addresses].sort(([a], [b]) => a - b).map(([link, address]) => ({ link, address })),
  };
}

export function model(document: ConfDocument): CorosyncConf {
  const text = (path: string, name: string): string | null => entryAt(document, path, name)?.value ?? null;
  const number = (path: string, name: string): number | null => wholeNumber(text(path, name));
  const flag = (name: string): boolean => (number('quorum', name) ?? 0) > 0;
  return {
    totem: {
      version: number('totem', 'version'),
      clusterName: text('totem', 'cluster_name'),
      configVersion: number('totem', 'config_version'),
      transport: text('totem', 'transport'),
      secauth: text('totem', 'secauth'),
      cryptoCipher: text('totem', 'crypto_cipher'),
      cryptoHash: text('totem', 'crypto_hash'),
      token: number('totem', 'token'),
      tokenCoefficient: number('totem', 'token_coefficient'),
      consensus: number('totem', 'consensus'),
      join: number('totem', 'join'),
      ipVersion: text('totem', 'ip_version'),
      rrpMode: text('totem', 'rrp_mode'),
      linkMode: text('totem', 'link_mode'),
      interfaces: sectionsAt(document, 'totem.interface').map((section) => ({
        // `ringnumber` is not read by Corosync 3: such a section is link 0 (measured).
        linkNumber: wholeNumber(last(section, 'linknumber')) ?? 0,
        bindnetaddr: last(section, 'bindnetaddr'),
        mcastaddr: last(section, 'mcastaddr'),
        mcastport: wholeNumber(last(section, 'mcastport')),
      })),
    },
    nodelist: sectionsAt(document, 'nodelist.node').map(nodeOf),
    quorum: {
      provider: text('quorum', 'provider'),
      expectedVotes: number('quorum', 'expected_votes') || null,
      twoNode: flag('two_node'),
      // two_node implies it unless the file says otherwise (votequorum(5)).
      waitForAll: number('quorum', 'wait_for_all') === null ? flag('two_node') : flag('wait_for_all'),
      autoTieBreaker: flag('auto_tie_breaker'),
      autoTieBreakerNode: text('quorum', 'auto_tie_breaker_node'),
      lastManStanding: flag('last_man_standing'),
      lastManStandingWindow: number('quorum', 'last_man_standing_window'),
      allowDownscale: flag('allow_downscale'),
      expectedVotesTracking: flag('expected_votes_tracking'),
    },
    logging: { debug: text('logging', 'debug'), toSyslog: text('logging', 'to_syslog') },
  };
}
