/** Where the serving thread's answers and operations go, and the answers themselves. */
import type { Operation } from '../../tree/types.ts';
import type { LateAnswer } from './messages.ts';
import * as fuse from './protocol.ts';
import type { ErrnoName, Request } from './protocol.ts';

export interface Outlet {
  /** To the kernel, at once. */
  reply(bytes: Uint8Array): void;
  /** To the replicating thread, which replies when it is done. `unique` 0: nobody waits. */
  submit(unique: bigint, operation: Operation, answer: LateAnswer): void;
  /** The caller of this request got a signal. */
  interrupt(unique: bigint): void;
  /** Somebody wrote to `.debug`. */
  debug(on: boolean): void;
}

export class Answers {
  readonly #out: Outlet;

  constructor(out: Outlet) {
    this.#out = out;
  }
  ok(request: Request, ...parts: readonly Uint8Array[]): void {
    this.#out.reply(fuse.answer(request.unique, ...parts));
  }
  fail(request: Request, errno: ErrnoName): void {
    this.#out.reply(fuse.failure(request.unique, errno));
  }
  submit(request: Request, operation: Operation, answer: LateAnswer): void {
    this.#out.submit(request.unique, operation, answer);
  }
  /** Nobody waits for the outcome. */
  submitUnasked(operation: Operation): void {
    this.#out.submit(0n, operation, { kind: 'empty' });
  }
}
