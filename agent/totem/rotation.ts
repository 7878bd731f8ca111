/** One visit of the token: what to send, what to ask for, and the token that goes on (Totem, section 3). */
import type { NodeId } from './ids.ts';
import type { MessageLog } from './message-log.ts';
import { MISSING_BYTES, TOKEN_BYTES, type TokenPacket } from './packet.ts';

/** Messages in flight that nobody has confirmed, at most: bounds memory and the burst of a recovery. */
const MOST_UNCONFIRMED = 2000;
/** The same in bytes, where packets are large. */
const MOST_UNCONFIRMED_BYTES = 32 * 1024 * 1024;
/** Retransmissions asked for in one token, where it has the room. */
const MOST_MISSING = 60;
/** Messages in a rotation up to which the token may rest right after them. */
const FEW = 2;
const NOTHING: ReadonlySet<number> = new Set();

/**
 * Whether the token may rest with the representative. `briefly`: something was sent a moment ago, and what answers it
 * may be on its way. `long`: nothing was sent by anyone for two rotations.
 */
export type Rest = 'none' | 'briefly' | 'long';

/** May the token be resting, for a member that has seen a rotation of so many messages? */
export const mayRest = (flow: number): boolean => flow <= 2 * FEW;

export interface NextBody {
  /** MESSAGE_OVERHEAD free bytes, then the body. */
  readonly buffer: Uint8Array;
  readonly safe: boolean;
  /** A message of an old ring, resent in recovery. */
  readonly encapsulated: boolean;
}

/** What a visit may do. */
export interface Visitor {
  readonly self: NodeId;
  /** How many the ring has. */
  readonly members: number;
  /** Most messages in one rotation, by all. */
  readonly window: number;
  /** Largest packet in bytes. */
  readonly datagram: number;
  /** Messages of an old ring are being exchanged. */
  readonly recovering: boolean;
  /** Ask again only for what was missing at the last visit too. */
  readonly patient: boolean;
  /** How many messages wait here, about. */
  readonly waiting: () => number;
  readonly resend: (packet: Uint8Array) => void;
  readonly nextBody: () => NextBody | null;
  readonly originate: (seq: number, body: NextBody) => void;
}

/** What a node remembers from one visit of the token to the next. */
export class Rotation {
  private lastAru = 0;
  private aruBefore = 0;
  private sentLastVisit = 0;
  private waitedLastVisit = 0;
  private idleVisits = 0;
  private stirred = false;
  private lastFlow = 0;
  private lastSeq = 0;
  /** What this node has resent at its last visit. */
  private lastResent: ReadonlySet<number> = NOTHING;

  /** As of the last visit. */
  rest: Rest = 'none';
  /** The token is to go on moving: somebody has something to say. */
  stir(): void {
    this.idleVisits = 0;
    this.stirred = true;
  }

  /** `rested`: the token has not gone round since the last visit. `stable`: every member has everything up to here. */
  visit(
    token: TokenPacket,
    log: MessageLog,
    visitor: Visitor,
    rested = false,
  ): { readonly next: TokenPacket; readonly stable: number } {
    log.high = Math.max(log.high, token.seq);
    const others = Math.max(0, token.flow - this.sentLastVisit);
    const waiting = visitor.waiting();
    const backlog = Math.max(0, token.backlog - this.waitedLastVisit) + waiting;
    const { resent, stillMissing } = resend(token.missing, log, this.lastResent, visitor);
    this.lastResent = resent;
    const sent = sendNew(token, visitor, allowance(token, visitor, others + resent.size, waiting, backlog));
    const seq = token.seq + sent;
    let { aru, aruSetter } = token;
    if (log.aru < aru || aruSetter === visitor.self || aruSetter === 0) {
      aru = log.aru;
      aruSetter = aru === seq ? 0 : visitor.self;
    }
    const overdue = visitor.patient && !visitor.recovering ? Math.min(seq, this.lastSeq) : seq;
    this.lastSeq = seq;
    const room = Math.floor((visitor.datagram - TOKEN_BYTES) / MISSING_BYTES);
    const missing = withOwn(stillMissing, log, overdue, Math.min(MOST_MISSING, room));
    // What the token said at two visits in a row, everybody in between has seen and not contradicted.
    if (!rested) this.aruBefore = this.lastAru;
    const stable = Math.min(aru, this.aruBefore);
    this.lastAru = aru;
    this.sentLastVisit = sent + resent.size;
    this.waitedLastVisit = waiting;
    const quiet = countQuiet(token.quiet, sent === 0 && log.aru >= seq, visitor);
    const flow = others + sent + resent.size;
    const isQuiet = sent + resent.size === 0 && missing.length === 0;
    this.idleVisits = isQuiet && others === 0 && stable === seq ? this.idleVisits + 1 : 0;
    // Most of a small cluster's time the disks are waited for, and a token that goes round meanwhile costs each node
    // two packets and a wakeup. Who has something to say wakes it: as they all see a flow of no more than twice FEW.
    const isCalm = isQuiet && aru === seq && token.flow <= FEW && this.lastFlow <= FEW;
    this.rest = this.idleVisits > 1 ? 'long' : isCalm && !this.stirred ? 'briefly' : 'none';
    this.stirred = false;
    this.lastFlow = flow;
    const { kind, ring } = token;
    const hop = token.hop + 1;
    const next = { kind, sender: visitor.self, ring, hop, seq, aru, aruSetter, flow, backlog, quiet, missing };
    return { next, stable };
  }
}

/**
 * What somebody asks for and this node has. It is struck off the list, unless this node has resent it at its last
 * visit too: the one that asks may not hear this node, so the next one shall resend it as well.
 */
function resend(
  asked: readonly number[],
  log: MessageLog,
  lastResent: ReadonlySet<number>,
  visitor: Visitor,
): { readonly resent: ReadonlySet<number>; readonly stillMissing: readonly number[] } {
  if (asked.length === 0) return { resent: NOTHING, stillMissing: asked };
  const resent = new Set<number>();
  const stillMissing: number[] = [];
  for (const seq of asked) {
    const message = log.get(seq);
    if (message !== undefined) {
      resent.add(seq);
      visitor.resend(message.packet);
    }
    if (message === undefined || lastResent.has(seq)) stillMissing.push(seq);
  }
  return { resent, stillMissing };
}

function withOwn(stillMissing: readonly number[], log: MessageLog, overdue: number, most: number): readonly number[] {
  const own = log.missing(overdue, most);
  if (own.length === 0) return stillMissing;
  if (stillMissing.length === 0) return own;
  return [...stillMissing, ...own.filter((seq) => !stillMissing.includes(seq))].slice(0, most);
}

/**
 * How many new messages this visit may send (Totem, section 3.3): what the window leaves, shared by what waits at
 * each node. Half of an equal share is everybody's at any time: one greedy sender delays nobody by more than that.
 */
function allowance(token: TokenPacket, visitor: Visitor, used: number, waiting: number, backlog: number): number {
  if (waiting === 0) return 0;
  const { window, members, datagram } = visitor;
  const own = Math.floor((window * waiting) / backlog);
  const sure = Math.max(1, Math.floor(window / (2 * members)));
  const unconfirmed = Math.min(MOST_UNCONFIRMED, Math.max(2 * window, Math.floor(MOST_UNCONFIRMED_BYTES / datagram)));
  return Math.min(Math.max(sure, Math.min(own, window - used)), unconfirmed - (token.seq - token.aru));
}

function sendNew(token: TokenPacket, visitor: Visitor, allowed: number): number {
  let sent = 0;
  while (sent < allowed) {
    const body = visitor.nextBody();
    if (body === null) break;
    sent += 1;
    visitor.originate(token.seq + sent, body);
  }
  return sent;
}

/** Once every member in a row lacked nothing and had nothing to resend, recovery is over for all. */
function countQuiet(quiet: number, lacksNothing: boolean, visitor: Visitor): number {
  if (!visitor.recovering || quiet >= visitor.members) return quiet;
  return lacksNothing && visitor.waiting() === 0 ? quiet + 1 : 0;
}
