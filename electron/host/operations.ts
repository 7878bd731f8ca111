/** What the user has set going: its steps as they run, on whichever host, its end, and how to stop it. */
import { randomBytes } from 'node:crypto';
import type { Step } from '../../agent/rpc/api.ts';
import type { OperationKind, OperationView } from './api.ts';
import type { PlacedStep } from './procedures/join.ts';

export interface Running {
  /** Also its name on the agents. Letters and digits only. */
  readonly id: string;
  readonly signal: AbortSignal;
  /** Shows a step, or the new state of one already shown (same `where` and `id`). */
  step(step: PlacedStep): void;
}

export interface OperationPlan {
  readonly kind: OperationKind;
  readonly title: string;
  readonly cancellable: boolean;
  /** Two operations that share a word here never run at once. */
  readonly holds: readonly string[];
}

interface Entry {
  view: OperationView;
  readonly abort: AbortController;
  readonly holds: readonly string[];
}

/** Ended operations kept for reading, at most. */
const KEPT = 30;

export class Operations {
  readonly #entries = new Map<string, Entry>();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** In order of start. */
  views(): OperationView[] {
    return [...this.#entries.values()].map(({ view }) => view);
  }

  /** Starts the work and returns the operation's id. Throws when another holds what it needs. */
  start(plan: OperationPlan, work: (running: Running) => Promise<void>): string {
    for (const { view, holds } of this.#entries.values()) {
      if (view.state === 'running' && holds.some((word) => plan.holds.includes(word))) {
        throw new Error(`"${view.title}" is still running. Wait for its end, or cancel it.`);
      }
    }
    const id = `op${randomBytes(8).toString('hex')}`;
    const entry: Entry = {
      view: {
        id,
        kind: plan.kind,
        title: plan.title,
        state: 'running',
        error: null,
        cancellable: plan.cancellable,
        steps: [],
        startedMs: Date.now(),
        endedMs: null,
      },
      abort: new AbortController(),
      holds: plan.holds,
    };
    this.#entries.set(id, entry);
    this.#forgetOld();
    this.#changed();
    void work({ id, signal: entry.abort.signal, step: (step) => this.#step(entry, step) }).then(
      () => this.#end(entry, null),
      (error: unknown) => this.#end(entry, error instanceof Error ? error.message : String(error)),
    );
    return id;
  }

  /** A step that an agent reports for an operation of ours; of others it is dropped. */
  stepOfAgent(operation: string, where: string, step: Step): void {
    const [id = '', phase] = operation.split('.');
    const entry = this.#entries.get(id);
    if (entry?.view.state !== 'running') return;
    this.#step(entry, { ...step, id: phase === undefined ? step.id : `${phase}-${step.id}`, where });
  }

  cancel(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.view.state !== 'running') return;
    if (!entry.view.cancellable) throw new Error(`"${entry.view.title}" cannot be cancelled.`);
    entry.abort.abort();
    entry.view = { ...entry.view, cancellable: false };
    this.#changed();
  }

  dismiss(id: string): void {
    if (this.#entries.get(id)?.view.state === 'running') throw new Error('It is still running.');
    this.#entries.delete(id);
    this.#changed();
  }

  #step(entry: Entry, step: PlacedStep): void {
    const steps = [...entry.view.steps];
    const index = steps.findIndex((one) => one.id === step.id && one.where === step.where);
    if (index < 0) steps.push(step);
    else steps[index] = step;
    entry.view = { ...entry.view, steps };
    this.#changed();
  }

  #end(entry: Entry, error: string | null): void {
    const steps = entry.view.steps.map((step): PlacedStep => {
      if (step.state === 'running') return { ...step, state: error === null ? 'done' : 'failed' };
      return step.state === 'waiting' ? { ...step, state: 'skipped' } : step;
    });
    const cancelled = error !== null && entry.abort.signal.aborted;
    const state = error === null ? 'done' : cancelled ? 'cancelled' : 'failed';
    entry.view = { ...entry.view, state, error, steps, cancellable: false, endedMs: Date.now() };
    this.#changed();
  }

  #forgetOld(): void {
    const ended = [...this.#entries.values()].filter(({ view }) => view.state !== 'running');
    for (const { view } of ended.slice(0, Math.max(0, ended.length - KEPT))) this.#entries.delete(view.id);
  }
}
