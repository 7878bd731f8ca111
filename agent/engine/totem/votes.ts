/** The votes of this node: the quorum's state machine, joined to the ring's order, the clock, the disk and the log. */
import { decodeQuorumMessage, encodeQuorumMessage, WORD, type QuorumMessage } from '../../quorum/messages.ts';
import {
  quorumDeadline,
  quorumMemory,
  quorumStatus,
  quorumWord,
  startQuorum,
  stepQuorum,
  type QuorumInput,
  type QuorumSettings,
  type QuorumState,
  type QuorumStatus,
} from '../../quorum/quorum.ts';
import type { NodeId, RingId } from '../../totem/ids.ts';
import type { VotesState } from './ring-state.ts';

/** Messages about votes begin with this byte; those of the groups with smaller ones. */
const VOTES = 16;

export interface VotesPorts {
  /** Milliseconds of a clock that only rises. */
  now(): number;
  /** After each view, and whenever this node has won or lost quorum since. */
  quorate(quorate: boolean): void;
  log(severity: 'notice' | 'warning', message: string): void;
}

export interface RegularView {
  readonly ring: RingId;
  readonly members: readonly NodeId[];
  /** The transitional configuration. */
  readonly from: readonly NodeId[];
  readonly left: readonly NodeId[];
}

export class Votes {
  readonly #store: VotesState;
  readonly #ports: VotesPorts;
  #state: QuorumState;

  constructor(settings: QuorumSettings, store: VotesState, ports: VotesPorts) {
    this.#store = store;
    this.#ports = ports;
    this.#state = startQuorum(settings, store.memory);
  }

  get status(): QuorumStatus {
    return quorumStatus(this.#state);
  }
  deadline(): number {
    return quorumDeadline(this.#state);
  }
  timer(): void {
    if (this.deadline() <= this.#ports.now()) this.#step({ kind: 'timer', now: this.#ports.now() });
  }

  /** A regular view. Gives what is to be multicast in it at once. */
  view(view: RegularView): Uint8Array | null {
    this.#step({ kind: 'view', ...view, now: this.#ports.now() });
    this.#ports.quorate(this.status.quorate);
    const word = quorumWord(this.#state);
    return word === null ? null : message({ kind: 'word', word });
  }

  /** Takes a payload of the ring's order. False when it is not about votes. */
  deliver(sender: NodeId, payload: Uint8Array, nameOf: (node: NodeId) => string): boolean {
    if (payload[0] !== VOTES) return false;
    const decoded = decodeQuorumMessage(payload.subarray(1));
    if (!decoded.ok) {
      this.#ports.log(
        'warning',
        `${nameOf(sender)} says of its votes what this version does not know: ${decoded.error}`,
      );
      return true;
    }
    const said = decoded.value;
    switch (said.kind) {
      case 'word':
        this.#step({ kind: 'told', node: sender, word: said.word, now: this.#ports.now() });
        break;
      case 'expected':
        this.#ports.log('warning', `expected votes are set to ${said.votes} by hand on ${nameOf(said.by)}`);
        this.#step({ kind: 'expected', votes: said.votes });
        break;
      case 'cancelWait':
        this.#ports.log('warning', `waiting for all nodes is ended by hand on ${nameOf(said.by)}`);
        this.#step({ kind: 'cancelWait' });
    }
    return true;
  }

  /** Throws with the reason where the number cannot be. Gives what is to be multicast so that all count by it. */
  expected(votes: number, by: NodeId): Uint8Array {
    const tried = stepQuorum(this.#state, { kind: 'expected', votes });
    if (!tried.ok) throw new Error(tried.error);
    return message({ kind: 'expected', votes, by });
  }

  settings(settings: QuorumSettings): void {
    this.#step({ kind: 'settings', settings });
  }

  leave(): void {
    this.#step({ kind: 'leave' });
  }

  #step(input: QuorumInput): void {
    const before = this.status;
    const remembered = quorumMemory(this.#state);
    const next = stepQuorum(this.#state, input);
    // A number that was possible where it was asked for may not be any more: then all refuse it alike.
    if (!next.ok) return this.#ports.log('warning', next.error);
    const memory = quorumMemory(next.value);
    if (memory !== remembered) this.#store.persist(memory);
    this.#state = next.value;
    this.#tell(before, this.status);
  }

  #tell(before: QuorumStatus, after: QuorumStatus): void {
    if (before.quorate === after.quorate) return;
    const { totalVotes, expectedVotes, quorum } = after;
    if (after.quorate)
      this.#ports.log(
        'notice',
        `this node is within the part that has quorum: ${totalVotes} of ${expectedVotes} votes`,
      );
    else if (totalVotes >= quorum)
      this.#ports.log(
        'warning',
        'quorum is lost: the other of the two nodes may go on alone. If it is really off: pvecm expected 1',
      );
    else this.#ports.log('warning', `quorum is lost: ${totalVotes} votes, ${quorum} needed`);
    this.#ports.quorate(after.quorate);
  }
}

/** A node's word about its votes belongs to one view: the next one gets another. */
export const isVotesWord = (payload: Uint8Array): boolean => payload[0] === VOTES && payload[1] === WORD;

function message(said: QuorumMessage): Uint8Array {
  const bytes = encodeQuorumMessage(said);
  const payload = new Uint8Array(1 + bytes.length);
  payload[0] = VOTES;
  payload.set(bytes, 1);
  return payload;
}
