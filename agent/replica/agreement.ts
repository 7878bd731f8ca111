/**
 * How the members of one view come to one state. Every decision follows from messages in the total
 * order alone, so that all members take it at the same point:
 *   1. roll call: everyone says hello; the hellos together give the view a tag that never repeats
 *      (a ring id does not name a view: processes come and go within one ring);
 *   2. once quorate, everyone says where it stands; the most advanced one leads, and a new epoch is
 *      chosen that is higher than any that a member ever agreed to;
 *   3. everyone writes the new epoch down and says so. When all have, operations are applied. Two quorate
 *      views share a member, whose note keeps the second off the first's epoch;
 *   4. meanwhile those behind get the leader's state, and then apply what they have heard since. The others
 *      do not wait: an answer needs the word of those who have it on disk, and one without the state has not.
 * A member that was restored from a backup, or whose database is gone, says so with where it stands. It may have
 * acknowledged what none of the others has, so its vote does not count for knowing: 3 waits until the others are a
 * majority without it, or until all nodes there are take part, and nobody else could know more.
 * A member that loses quorum within the view ends the round, and 2 begins again.
 */
import type { NodeId, RingId } from '../totem/ids.ts';
import { ByteWriter } from '../tree/bytes.ts';
import type { Hash } from '../tree/snapshot.ts';
import { GENERATION, Parts, toHex, type HelloMessage, type PromiseMessage, type StateMessage } from './messages.ts';
import type { Quorum } from './types.ts';

/** What the members' states lead to. */
export interface Plan {
  readonly leader: NodeId;
  readonly epoch: number;
  /** The leader's, and so everyone's when the plan is carried out. */
  readonly state: StateMessage;
  readonly behind: ReadonlySet<NodeId>;
  /** Whose states may lack what they have acknowledged. */
  readonly forgetful: ReadonlySet<NodeId>;
}

const TAG_BYTES = 16;

const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, at) => byte === right[at]);

const isSameState = (left: StateMessage, right: StateMessage): boolean =>
  left.version.epoch === right.version.epoch &&
  left.version.index === right.version.index &&
  left.branch === right.branch &&
  sameBytes(left.digest, right.digest);

/**
 * Positive when `left` is more advanced. Within an epoch what is settled comes first: a longer history
 * that is not may end in operations that nobody else has (see replica.ts).
 */
const advance = (left: StateMessage, right: StateMessage): number =>
  left.version.epoch - right.version.epoch || left.settled - right.settled || left.version.index - right.version.index;

/** The plan for these states, one of every member. */
export function planOf(ring: RingId, states: ReadonlyMap<NodeId, StateMessage>): Plan | null {
  let best: { readonly leader: NodeId; readonly state: StateMessage } | null = null;
  let highest = ring.sequence - 1;
  for (const [leader, state] of [...states].sort(([left], [right]) => left - right)) {
    if (best === null || advance(state, best.state) > 0) best = { leader, state };
    highest = Math.max(highest, state.promised, state.version.epoch);
  }
  if (best === null) return null;
  const { leader, state } = best;
  const those = (which: (other: StateMessage) => boolean): ReadonlySet<NodeId> =>
    new Set([...states].filter(([, other]) => which(other)).map(([node]) => node));
  const behind = those((other) => !isSameState(other, state));
  return { leader, state, epoch: highest + 1, behind, forgetful: those(({ forgetful }) => forgetful) };
}

export class Agreement {
  readonly ring: RingId;
  readonly members: readonly NodeId[];
  /** Names the view; null during the roll call. */
  tag: string | null = null;
  round = 0;
  /** Set when all members' states are known. */
  plan: Plan | null = null;
  /** This node has promised the plan's epoch in this round. */
  promised = false;
  /** All members have written down the plan's epoch: operations are applied. */
  active = false;
  /** This node has said in this round where it stands. */
  announced = false;

  private readonly hellos = new Map<NodeId, HelloMessage>();
  private readonly states = new Map<NodeId, StateMessage>();
  private readonly promises = new Set<NodeId>();
  private readonly incoming = new Map<NodeId, Parts>();

  constructor(ring: RingId, members: readonly NodeId[]) {
    this.ring = ring;
    this.members = members;
  }

  /** Is a message of this view and round? */
  isHere(message: { readonly tag: string; readonly round: number }): boolean {
    return message.tag === this.tag && message.round === this.round;
  }

  /**
   * True when this hello was the last one missing, and all speak one generation. The first of each member counts. Where
   * a member speaks another generation the view never gets a tag, and nothing is written in it.
   */
  hello(sender: NodeId, message: HelloMessage, hash: Hash): boolean {
    if (this.tag !== null || !this.members.includes(sender) || this.hellos.has(sender)) return false;
    this.hellos.set(sender, message);
    if (this.hellos.size < this.members.length || this.strangers().length > 0) return false;
    const out = new ByteWriter();
    for (const node of [...this.hellos.keys()].sort((left, right) => left - right)) {
      const each = this.hellos.get(node);
      out.u32(node);
      out.integer(each?.session ?? 0);
      out.integer(each?.count ?? 0);
    }
    this.tag = toHex(hash(out.done()).subarray(0, TAG_BYTES));
    return true;
  }

  /** Members whose agents speak no generation that this one speaks. */
  strangers(): NodeId[] {
    return [...this.hellos]
      .filter(([, { oldest, newest }]) => newest < GENERATION.oldest || oldest > GENERATION.newest)
      .map(([node]) => node)
      .sort((left, right) => left - right);
  }

  /** The plan when this state was the last one missing, otherwise null. */
  state(sender: NodeId, message: StateMessage): Plan | null {
    if (this.plan !== null || !this.members.includes(sender) || this.states.has(sender)) return null;
    this.states.set(sender, message);
    if (this.states.size < this.members.length) return null;
    this.plan = planOf(this.ring, this.states);
    return this.plan;
  }

  /** True when this promise was the last one missing: from here on operations are applied. */
  promise(sender: NodeId, message: PromiseMessage): boolean {
    if (this.active || this.plan?.epoch !== message.epoch || !this.members.includes(sender)) return false;
    this.promises.add(sender);
    this.active = this.promises.size === this.members.length;
    return this.active;
  }

  /** There is a plan, and too few of its members know what was acknowledged. */
  lacksMemory({ needed, expected, votes }: Quorum): boolean {
    const { plan } = this;
    if (plan === null || this.active || plan.forgetful.size === 0) return false;
    const votesOf = (nodes: readonly NodeId[]): number => nodes.reduce((sum, node) => sum + (votes.get(node) ?? 0), 0);
    if (votesOf(this.members) >= expected) return false;
    return votesOf(this.members.filter((node) => !plan.forgetful.has(node))) < needed;
  }

  /** A sender's operation that comes in parts. */
  partsOf(sender: NodeId): Parts {
    let parts = this.incoming.get(sender);
    if (parts === undefined) this.incoming.set(sender, (parts = new Parts()));
    return parts;
  }

  /** Ends the round: all begin again with where they stand. */
  reset(): void {
    this.round += 1;
    this.plan = null;
    this.promised = false;
    this.active = false;
    this.announced = false;
    this.states.clear();
    this.promises.clear();
    this.incoming.clear();
  }
}

/** One sentence for a person. */
export function whyReadOnly(view: Agreement, quorum: Quorum, accepting: boolean, self: NodeId): string {
  if (!quorum.quorate) return 'There is no quorum.';
  if (!accepting && !view.lacksMemory(quorum)) return 'There is quorum, but pmxcfs runs on too few of the nodes.';
  const strangers = view.strangers();
  if (strangers.length > 0) {
    const nodes = `${strangers.length === 1 ? 'node' : 'nodes'} ${strangers.join(', ')}`;
    return `The agent here and the one on ${nodes} are of different generations: install the same version on all nodes.`;
  }
  const { plan } = view;
  if (plan !== null && view.lacksMemory(quorum)) {
    const nodes = [...plan.forgetful].sort((left, right) => left - right);
    const who = `${nodes.length === 1 ? 'Node' : 'Nodes'} ${nodes.join(', ')}`;
    return `${who} may have forgotten what was written: the database was restored or is new. It goes on when more of the nodes that were not restored are here, or all nodes.`;
  }
  if (plan?.behind.has(self) === true) return `This node is receiving the state of node ${plan.leader}.`;
  return 'The members are agreeing on the state.';
}
