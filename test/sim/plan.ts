/** What a seed decides before a run begins: the cluster's configuration, how bad the network is, how much is said. */
import { quorumSettingsOf, type QuorumSettings } from '../../agent/quorum/quorum.ts';
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';
import type { RingTimeouts } from '../../agent/totem/ring-types.ts';
import { seeded, type Chance } from './chance.ts';

export interface Faults {
  /** Probability that a packet is lost, doubled, damaged, or late by up to `latest`. */
  readonly loss: number;
  readonly duplication: number;
  readonly corruption: number;
  readonly late: number;
  /** Milliseconds. */
  readonly latest: number;
  /** Most milliseconds a packet takes; reordering follows from it. */
  readonly delay: number;
  /** Bytes that a node's link takes in a millisecond; as many as there are where it is not given. */
  readonly bandwidth?: number;
  /** Milliseconds between two incidents (partition, kill, pause, one-way cut, ...), on average. */
  readonly incidents: number;
}

export interface Workload {
  /** Milliseconds between two moments at which a node says something, on average. */
  readonly pause: number;
  /** Most messages said at once. */
  readonly burst: number;
  /** Most bytes of a usual message, and of one in a hundred. */
  readonly small: number;
  readonly large: number;
}

export interface Plan {
  readonly seed: number;
  readonly nodes: readonly NodeId[];
  readonly timeouts: RingTimeouts;
  readonly datagram: number;
  readonly window: number;
  readonly patient: boolean;
  readonly quorum: QuorumSettings;
  readonly faults: Faults;
  readonly workload: Workload;
  /** Milliseconds of virtual time with faults, before the network heals. */
  readonly storm: number;
}

/** The bundled engine's own defaults for a ring of so many nodes. */
export function defaultTimeouts(nodes: number): RingTimeouts {
  const token = 800 + 5 * Math.max(0, nodes - 2);
  const retransmit = Math.round(token / 12);
  const [hold, consensus] = [Math.round(token / 5), Math.round(token * 0.4)];
  return { token, retransmit, hold, join: 50, consensus, merge: 200 };
}

export const CALM: Faults = {
  loss: 0,
  duplication: 0,
  corruption: 0,
  late: 0,
  latest: 1,
  delay: 1,
  incidents: Infinity,
};

/** The plan of a seed. Everything is drawn: a defect that shows with one configuration only has its seeds too. */
export function planOf(seed: number, nodes: number): Plan {
  const chance = seeded(seed * 7919 + nodes);
  const ids = Array.from({ length: nodes }, (_, index) => nodeId(index + 1));
  const pick = <T>(...choices: readonly [T, ...T[]]): T => choices[chance.below(choices.length)] ?? choices[0];
  const datagram = pick(150, 300, 1400);
  const large = pick(0, 40, 300) * (datagram - 61);
  const timeouts = timeoutsOf(chance, nodes);
  return {
    seed,
    nodes: ids,
    timeouts,
    datagram,
    window: pick(1, 8, 20, 64),
    patient: chance.happens(0.3),
    quorum: quorumOf(chance, ids),
    faults: {
      loss: pick(0, 0.01, 0.05, 0.1),
      duplication: pick(0, 0.02, 0.1),
      corruption: pick(0, 0.01),
      late: pick(0, 0, 0.003, 0.03),
      // Late enough for the next ring's recovery.
      latest: 1.5 * (timeouts.token + timeouts.consensus),
      delay: pick(1, 5, 10),
      incidents: pick(250, 600, 1200),
    },
    workload: { pause: pick(20, 80, 300), burst: pick(1, 1, 5, 40), small: pick(20, 120, 900), large },
    storm: 2000 + chance.below(5000),
  };
}

function timeoutsOf(chance: Chance, nodes: number): RingTimeouts {
  const usual = defaultTimeouts(nodes);
  if (chance.happens(0.5)) return usual;
  const token = 200 + 20 * nodes + chance.below(800);
  const consensus = Math.round(token * (0.3 + chance.below(10) / 10));
  return {
    ...usual,
    token,
    consensus,
    retransmit: Math.round(token / (5 + chance.below(10))),
    hold: 10 + chance.below(token / 4),
  };
}

function quorumOf(chance: Chance, ids: readonly NodeId[]): QuorumSettings {
  const uneven = chance.happens(0.2);
  const votes = new Map(ids.map((id) => [id, uneven ? chance.below(3) : 1]));
  if ([...votes.values()].every((count) => count === 0)) votes.set(nodeId(1), 1);
  return quorumSettingsOf(votes, {
    twoNode: ids.length === 2 && !uneven && chance.happens(0.5),
    waitForAll: chance.happens(0.2),
    autoTieBreaker: chance.happens(0.3),
    lastManStanding: chance.happens(0.2),
    lastManStandingWindow: 500 + chance.below(1500),
    allowDownscale: chance.happens(0.2),
  });
}
