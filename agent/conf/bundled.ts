/** What the bundled engine makes of a file where Corosync would do something else: its defaults. */
import { model, type CorosyncConf } from './model.ts';
import { entryAt, type ConfDocument } from './syntax.ts';

export type BundledTransport = 'udp' | 'udpu' | 'knet';

/**
 * The transport. A file without one is Corosync 3's, whose default is knet, unless it speaks of rings: then it was
 * written for Corosync 2, whose default is multicast (corosync.conf(5) of each).
 */
export function bundledTransport(document: ConfDocument): BundledTransport | null {
  const given = entryAt(document, 'totem', 'transport')?.value ?? null;
  if (given === null) {
    const old =
      entryAt(document, 'totem', 'rrp_mode') !== null || entryAt(document, 'totem.interface', 'ringnumber') !== null;
    return old ? 'udp' : 'knet';
  }
  return given === 'udp' || given === 'udpu' || given === 'knet' ? given : null;
}

/** All in milliseconds; what they are for says RingTimeouts in agent/totem. */
export interface BundledTimers {
  readonly token: number;
  readonly retransmit: number;
  readonly hold: number;
  readonly join: number;
  readonly consensus: number;
  readonly merge: number;
}

/**
 * Corosync's defaults notice a dead node after 8 s with three nodes and 16.6 s with nine (measured). With these it
 * takes less than 1.5 s, token + consensus, and a process that stands still for 500 ms stays a member.
 */
const TOKEN = 800;
const TOKEN_COEFFICIENT = 5;
const CONSENSUS_PART = 0.4;
const HOLD_PART = 0.2;
/**
 * While a file with another token is loaded, nodes run with different ones for a moment. The longest that anybody
 * keeps an idle token must then not be too long for the least patient.
 */
const LONGEST_HOLD = TOKEN * HOLD_PART;
const JOIN = 50;
const MERGE = 200;
/** Parts of the token timeout in which the token is sent again. */
const RETRANSMITS = 12;
const LEAST_RETRANSMIT = 10;

/** The timers of the bundled engine. As with Corosync, 0 means the default, and the token grows with the nodelist. */
export function bundledTimers(conf: CorosyncConf): BundledTimers {
  const { totem, nodelist } = conf;
  const coefficient = totem.tokenCoefficient ?? TOKEN_COEFFICIENT;
  const token = (totem.token || TOKEN) + coefficient * Math.max(0, nodelist.length - 2);
  const parts = totem.retransmitsBeforeLoss ? totem.retransmitsBeforeLoss + 0.2 : RETRANSMITS;
  return {
    token,
    retransmit: totem.tokenRetransmit || Math.max(LEAST_RETRANSMIT, Math.round(token / parts)),
    hold: totem.hold || Math.round(Math.min(LONGEST_HOLD, token * HOLD_PART)),
    join: totem.join || JOIN,
    consensus: totem.consensus || Math.round(token * CONSENSUS_PART),
    merge: totem.merge || MERGE,
  };
}

export interface BundledLink {
  readonly link: number;
  /** UDP port. */
  readonly port: number;
  readonly priority: number;
  /** Milliseconds. */
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly pongCount: number;
  readonly bindnetaddr: string | null;
  /** As the file has it; with transport udp the group is computed from the cluster's name where it is null. */
  readonly mcastaddr: string | null;
  readonly ttl: number;
}

/**
 * corosync.conf(5), mcastport. With transport udp the port below, 5404, is bound too, to send multicast from, as
 * Corosync does (seen with ss on 3.1.7); that is why manuals tell to open both.
 */
const PORT = 5405;
const PONG_COUNT = 2;

/** Every link that a node has an address on, with what its interface section says. Later sections add to earlier ones. */
export function bundledLinks(conf: CorosyncConf, transport: BundledTransport): BundledLink[] {
  const { token } = bundledTimers(conf);
  const numbers = new Set(conf.nodelist.flatMap(({ addresses }) => addresses.map(({ link }) => link)));
  return [...numbers]
    .sort((a, b) => a - b)
    .map((link) => {
      const sections = conf.totem.interfaces.filter((one) => (one.givenLinkNumber ?? one.ringNumber ?? 0) === link);
      const last = <K extends keyof (typeof sections)[number]>(name: K) =>
        sections.findLast((section) => section[name] !== null)?.[name] ?? null;
      const pongCount = last('pongCount') || PONG_COUNT;
      return {
        link,
        // With knet each link has a port of its own; rings of Corosync 2 are told apart by their networks.
        port: last('mcastport') || (transport === 'knet' ? PORT + link : PORT),
        priority: last('priority') ?? 1,
        pingInterval: last('pingInterval') || Math.round(token / (pongCount * 2)),
        pingTimeout: last('pingTimeout') || Math.round(token / pongCount),
        pongCount,
        bindnetaddr: last('bindnetaddr'),
        mcastaddr: last('mcastaddr'),
        ttl: last('ttl') ?? 1,
      };
    });
}

/** The timers of a file's text, for whoever has not read it yet. */
export const timersOf = (document: ConfDocument): BundledTimers => bundledTimers(model(document));
