/** All invariants, each by a checker of its own. */
import { AgreementAndOrder } from './agreement-and-order.ts';
import type { Checker, Report } from './checker.ts';
import { Delivery } from './delivery.ts';
import { Liveness } from './liveness.ts';
import { QuorumUnique } from './quorum-unique.ts';
import { SafeDelivery } from './safe-delivery.ts';
import { Views } from './views.ts';
import { VirtualSynchrony } from './virtual-synchrony.ts';

export const checkers = (report: Report): readonly Checker[] => [
  new AgreementAndOrder(report),
  new VirtualSynchrony(report),
  new Delivery(report),
  new SafeDelivery(report),
  new Views(report),
  new QuorumUnique(report),
  new Liveness(report),
];
