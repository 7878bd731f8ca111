import { AcknowledgedKept } from './acknowledged-kept.ts';
import type { ReplicaChecker, ReplicaReport } from './checker.ts';
import { EverybodyAnswered } from './everybody-answered.ts';
import { OneOrder } from './one-order.ts';
import { OneWinner } from './one-winner.ts';
import { QueuesBounded } from './queues-bounded.ts';
import { QuorumOnly } from './quorum-only.ts';
import { RefusedNotDone } from './refused-not-done.ts';
import { ReplicasIdentical } from './replicas-identical.ts';
import { StoredByMajority } from './stored-by-majority.ts';

export const replicaCheckers = (report: ReplicaReport): readonly ReplicaChecker[] => [
  new AcknowledgedKept(report),
  new RefusedNotDone(report),
  new QuorumOnly(report),
  new StoredByMajority(report),
  new OneWinner(report),
  new OneOrder(report),
  new ReplicasIdentical(report),
  new QueuesBounded(report),
  new EverybodyAnswered(report),
];
