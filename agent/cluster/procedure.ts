/**
 * A procedure is a fixed list of steps, shown whole before the first one runs. Each step reports its
 * state and what it says; the first failure ends the procedure and the rest are marked as skipped.
 */
import type { Step } from '../rpc/api.ts';

export interface PlannedStep {
  readonly id: string;
  readonly title: string;
  /** The shell command that does the same by hand; null where there is none. */
  readonly command: string | null;
}

/** Adds a line to the output of the running step. */
export type Say = (line: string) => void;

/** What every procedure gets from its caller. */
export interface Watcher {
  onStep(step: Step): void;
  /** Aborted by the user: the procedure stops at its next safe point. */
  readonly signal: AbortSignal;
}

/** The user cancelled the procedure. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled';
  constructor() {
    super('cancelled');
  }
}

export const throwIfCancelled = (signal: AbortSignal): void => {
  if (signal.aborted) throw new Cancelled();
};

export class Procedure {
  readonly #steps = new Map<string, Step>();
  readonly #watcher: Watcher;

  constructor(plan: readonly PlannedStep[], watcher: Watcher) {
    this.#watcher = watcher;
    for (const { id, title, command } of plan) this.#put({ id, title, command, state: 'waiting', output: [] });
  }

  /** Runs one planned step. A cancelled procedure starts no further step. Rethrows what `work` throws. */
  async step<T>(id: string, work: (say: Say) => Promise<T> | T): Promise<T> {
    throwIfCancelled(this.#watcher.signal);
    return this.#run(id, work);
  }

  /** Adds and runs a step of the way back: it runs although the procedure failed or was cancelled. */
  async undo<T>(planned: PlannedStep, work: (say: Say) => Promise<T> | T): Promise<T> {
    this.#put({ ...planned, state: 'waiting', output: [] });
    return this.#run(planned.id, work);
  }

  /** Marks what has not run as skipped. */
  end(): void {
    for (const step of this.#steps.values()) if (step.state === 'waiting') this.#put({ ...step, state: 'skipped' });
  }

  async #run<T>(id: string, work: (say: Say) => Promise<T> | T): Promise<T> {
    this.#change(id, { state: 'running' });
    try {
      const value = await work((line) => this.#change(id, { output: [...this.#step(id).output, line] }));
      this.#change(id, { state: 'done' });
      return value;
    } catch (error) {
      this.#change(id, { state: 'failed', output: [...this.#step(id).output, sentence(error)] });
      throw error;
    }
  }

  #step(id: string): Step {
    const step = this.#steps.get(id);
    if (step === undefined) throw new Error(`no step ${id} was planned`);
    return step;
  }

  #change(id: string, change: Partial<Step>): void {
    this.#put({ ...this.#step(id), ...change });
  }

  #put(step: Step): void {
    this.#steps.set(step.id, step);
    this.#watcher.onStep(step);
  }
}

export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));
