/** Who shall form the next ring: the sets that nodes agree on in the gather state (Totem, section 5.1). */
import type { NodeId } from './ids.ts';
import type { JoinPacket } from './packet.ts';

export type JoinVerdict =
  /** Sets are equal: the sender agrees with us. */
  | 'agrees'
  /** The sender knows less than we do: it will learn from our join. */
  | 'behind'
  /** We learned something: our join must be sent anew. */
  | 'learned'
  /** The sender is one that we have given up on for this round. */
  | 'ignored';

export class Gathering {
  private readonly self: NodeId;
  private readonly proc = new Set<NodeId>();
  private readonly fail = new Set<NodeId>();
  private readonly agreed = new Set<NodeId>();
  /** When it began, in milliseconds. */
  readonly since: number;

  constructor(self: NodeId, proc: Iterable<NodeId>, fail: Iterable<NodeId>, since: number) {
    this.self = self;
    this.since = since;
    this.proc.add(self);
    for (const node of proc) this.proc.add(node);
    for (const node of fail) this.fail.add(node);
    this.fail.delete(self);
    this.agreed.add(self);
  }

  procs(): NodeId[] {
    return sorted(this.proc);
  }
  fails(): NodeId[] {
    return sorted(this.fail);
  }
  /** Who would be in the ring: all we have heard of but those given up. */
  candidates(): NodeId[] {
    return this.procs().filter((node) => !this.fail.has(node));
  }
  knows(node: NodeId): boolean {
    return this.proc.has(node);
  }

  add(node: NodeId): void {
    this.proc.add(node);
    this.disagree();
  }

  /** Not with this node in this round. False when that changes nothing. */
  exclude(node: NodeId): boolean {
    if (!this.proc.has(node) || this.fail.has(node)) return false;
    this.fail.add(node);
    this.disagree();
    return true;
  }

  /** `known` are the configured nodes: others cannot be brought in by hearsay. */
  hear(join: JoinPacket, known: ReadonlySet<NodeId>): JoinVerdict {
    if (this.fail.has(join.sender)) return 'ignored';
    const proc = join.proc.filter((node) => known.has(node) || node === this.self);
    const isSubset = proc.every((node) => this.proc.has(node)) && join.fail.every((node) => this.fail.has(node));
    if (isSubset && proc.length === this.proc.size && join.fail.length === this.fail.size) {
      this.agreed.add(join.sender);
      return 'agrees';
    }
    if (join.fail.includes(this.self)) {
      // It has given up on us: we cannot agree in this round, so each goes on without the other.
      this.proc.add(join.sender);
      this.fail.add(join.sender);
      this.disagree();
      return 'learned';
    }
    if (isSubset && this.proc.has(join.sender)) return 'behind';
    this.proc.add(join.sender);
    for (const node of proc) this.proc.add(node);
    for (const node of join.fail) this.fail.add(node);
    this.disagree();
    return 'learned';
  }

  consensus(): boolean {
    return this.candidates().every((node) => this.agreed.has(node));
  }

  /** The consensus timeout: gives up on whoever has not agreed. */
  giveUp(): void {
    for (const node of this.candidates()) if (!this.agreed.has(node)) this.fail.add(node);
    this.disagree();
  }

  /** Everyone must say again that it agrees. */
  disagree(): void {
    this.agreed.clear();
    this.agreed.add(this.self);
  }
}

const sorted = (nodes: Iterable<NodeId>): NodeId[] => [...nodes].sort((a, b) => a - b);
