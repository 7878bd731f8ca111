/** One visit of the token: what to send, what to ask for, and the token that goes on (Totem, section 3). */
import type { NodeId } from './ids.ts';
import type { MessageLog } from './message-log.ts';
import type { TokenPacket } from './packet.ts';

/** Messages in flight that nobody has confirmed, at most: bounds memory and the burst of a recovery. */
const MOST_UNCONFIRMED = 2000;
/** Retransmissions asked for in one token. */
const MOST_MISSING = 60;

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
  /** In recovery: how many old messages this node still has to resend. */
  readonly recovery: { readonly left: () => number } | null;
  /** Ask again only for what was missing at the last visit too. */
  readonly patient: boolean;
  readonly resend: (packet: Uint8Array) => void;
  readonly nextBody: () => NextBody | null;
  readonly originate: (seq: number, body: NextBody) => void;
}

/** What a node remembers from one visit of the token to the next. */
export class Rotation {
  private lastAru = 0;
  private sentLastVisit = 0;
  private idleVisits = 0;
  private lastSeq = 0;

  /** Nothing was sent by anyone for two rotations: the token may rest. */
  rests(): boolean {
    return this.idleVisits > 1;
  }
  /** The token is to move again. */
  rest(): void {
    this.idleVisits = 0;
    this.sentLastVisit = 0;
  }

  /** `stable`: every member has everything up to here. */
  visit(
    token: TokenPacket,
    log: MessageLog,
    visitor: Visitor,
  ): { readonly next: TokenPacket; readonly stable: number } {
    log.high = Math.max(log.high, token.seq);
    const stillMissing = token.missing.filter((seq) => {
      const message = log.get(seq);
      if (message !== undefined) visitor.resend(message.packet);
      return message === undefined;
    });
    const others = Math.max(0, token.flow - this.sentLastVisit);
    const sent = this.sendNew(token, others, visitor);
    const seq = token.seq + sent;
    let { aru, aruSetter } = token;
    if (log.aru < aru || aruSetter === visitor.self || aruSetter === 0) {
      aru = log.aru;
      aruSetter = aru === seq ? 0 : visitor.self;
    }
    const overdue = visitor.patient && visitor.recovery === null ? Math.min(seq, this.lastSeq) : seq;
    this.lastSeq = seq;
    const lacking = log.missing(overdue, MOST_MISSING).filter((number) => !stillMissing.includes(number));
    const stable = Math.min(aru, this.lastAru);
    this.lastAru = aru;
    this.sentLastVisit = sent;
    const missing = [...stillMissing, ...lacking].slice(0, MOST_MISSING);
    const quiet = this.countQuiet(token.quiet, sent === 0 && log.aru >= seq, visitor);
    const flow = others + sent;
    this.idleVisits = flow === 0 && missing.length === 0 && stable === seq ? this.idleVisits + 1 : 0;
    const next = { ...token, sender: visitor.self, hop: token.hop + 1, seq, aru, aruSetter, flow, quiet, missing };
    return { next, stable };
  }

  private sendNew(token: TokenPacket, others: number, visitor: Visitor): number {
    const allowed = Math.min(visitor.window - others, MOST_UNCONFIRMED - (token.seq - token.aru));
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
  private countQuiet(quiet: number, lacksNothing: boolean, visitor: Visitor): number {
    if (visitor.recovery === null || quiet >= visitor.members) return quiet;
    return lacksNothing && visitor.recovery.left() === 0 ? quiet + 1 : 0;
  }
}
