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
  readonly givenLinkNumber: number | null;
  /** Corosync 2's name of the same; read by the bundled engine only. */
  readonly ringNumber: number | null;
  readonly bindnetaddr: string | null;
  readonly mcastaddr: string | null;
  readonly mcastport: number | null;
  readonly ttl: number | null;
  readonly broadcast: string | null;
  /** knet_link_priority, knet_ping_interval, knet_ping_timeout, knet_pong_count. */
  readonly priority: number | null;
  readonly pingInterval: number | null;
  readonly pingTimeout: number | null;
  readonly pongCount: number | null;
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
    readonly tokenRetransmit: number | null;
    /** token_retransmits_before_loss_const. */
    readonly retransmitsBeforeLoss: number | null;
    readonly hold: number | null;
    readonly merge: number | null;
    readonly netmtu: number | null;
    readonly windowSize: number | null;
    readonly maxMessages: number | null;
    readonly keyFile: string | null;
    readonly key: string | null;
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
      tokenRetransmit: number('totem', 'token_retransmit'),
      retransmitsBeforeLoss: number('totem', 'token_retransmits_before_loss_const'),
      hold: number('totem', 'hold'),
      merge: number('totem', 'merge'),
      netmtu: number('totem', 'netmtu'),
      windowSize: number('totem', 'window_size'),
      maxMessages: number('totem', 'max_messages'),
      keyFile: text('totem', 'keyfile'),
      key: text('totem', 'key'),
      ipVersion: text('totem', 'ip_version'),
      rrpMode: text('totem', 'rrp_mode'),
      linkMode: text('totem', 'link_mode'),
      interfaces: sectionsAt(document, 'totem.interface').map((section) => ({
        // `ringnumber` is not read by Corosync 3: such a section is link 0 (measured).
        linkNumber: wholeNumber(last(section, 'linknumber')) ?? 0,
        givenLinkNumber: wholeNumber(last(section, 'linknumber')),
        ringNumber: wholeNumber(last(section, 'ringnumber')),
        bindnetaddr: last(section, 'bindnetaddr'),
        mcastaddr: last(section, 'mcastaddr'),
        mcastport: wholeNumber(last(section, 'mcastport')),
        ttl: wholeNumber(last(section, 'ttl')),
        broadcast: last(section, 'broadcast'),
        priority: wholeNumber(last(section, 'knet_link_priority')),
        pingInterval: wholeNumber(last(section, 'knet_ping_interval')),
        pingTimeout: wholeNumber(last(section, 'knet_ping_timeout')),
        pongCount: wholeNumber(last(section, 'knet_pong_count')),
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
