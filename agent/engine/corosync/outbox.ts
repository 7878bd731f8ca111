/**
 * What waits to be taken by Corosync, in the order in which it was given. CS_ERR_TRY_AGAIN is all there is of flow
 * control: cpg_flow_control_state_get has answered "disabled" to everybody since Corosync 2.
 */
import { EngineDown } from '../engine.ts';
import { CS, csError } from './corosync-calls.ts';
import { piecesOf, type Piece } from './fragments.ts';

/** Corosync does not tell when it takes more: it is asked this often, and at every own message that comes back. Milliseconds. */
const AGAIN_MS = 2;

interface Waiting {
  readonly payload: Uint8Array;
  readonly pieces: readonly Piece[];
  /** How many pieces were taken. */
  taken: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Outbox {
  readonly #send: (piece: Piece) => number;
  readonly #largest: () => number;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `send` gives a code (CS); `largest` is asked anew for every message. */
  constructor(send: (piece: Piece) => number, largest: () => number) {
    this.#send = send;
    this.#largest = largest;
  }

  /** Resolves when Corosync has taken it; rejects with EngineDown when Corosync is gone by then. */
  put(payload: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, pieces: piecesOf(payload, this.#largest()), taken: 0, resolve, reject });
      if (this.#waiting.length === 1) this.pump();
    });
  }

  /** Offers what waits until Corosync takes no more. */
  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const piece = head.pieces[head.taken];
      // All taken, and not come back yet: a view may still have it sent again, so nothing may overtake it.
      if (piece === undefined) return;
      const code = this.#send(piece);
      if (code === CS.tryAgain) {
        this.#timer = setTimeout(() => this.pump(), AGAIN_MS);
        return;
      }
      if (code !== CS.ok) return this.fail(csError(code));
      head.taken += 1;
      if (head.taken < head.pieces.length) continue;
      head.resolve();
      if (head.pieces.length === 1) this.#waiting.shift();
    }
  }

  /** An own message has come back. */
  returned(payload: Uint8Array): void {
    const head = this.#waiting[0];
    if (head !== undefined && isAllTaken(head) && head.payload.length === payload.length) this.#waiting.shift();
    if (this.#waiting.length > 0) this.pump();
  }

  /** A view: what had begun and not come back is sent again from its beginning. */
  view(): void {
    const head = this.#waiting[0];
    if (head === undefined || head.pieces.length === 1 || head.taken === 0) return;
    head.taken = 0;
    this.pump();
  }

  /** Corosync is gone: what waits is not sent. */
  fail(reason: string): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const { reject } of this.#waiting.splice(0)) reject(new EngineDown(reason));
  }
}

const isAllTaken = ({ pieces, taken }: Waiting): boolean => pieces.length > 1 && taken === pieces.length;
