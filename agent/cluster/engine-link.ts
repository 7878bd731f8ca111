/** The engine this node has chosen, opened while the node is in a cluster and closed while it is not. */
import { existsSync } from 'node:fs';
import { chooseEngine, engineChoice } from '../engine/choice.ts';
import type { Engine, EngineKind, EngineStatus, Unsubscribe } from '../engine/engine.ts';
import { openEngine } from '../engine/open.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { EnginePort } from './ports.ts';

export class EngineLink implements EnginePort {
  readonly #layout: NodeLayout;
  readonly #onChange: () => void;
  #open: { kind: EngineKind; engine: Engine; off: Unsubscribe } | null = null;

  /** `onChange` is called after every change of the engine's status. */
  constructor(layout: NodeLayout, onChange: () => void = () => undefined) {
    this.#layout = layout;
    this.#onChange = onChange;
  }

  status(): EngineStatus | null {
    return this.#engine()?.status() ?? null;
  }

  /** Waits a little for the first answer of the engine, for commands that ask once and end. */
  async settled(deadlineMs: number): Promise<EngineStatus | null> {
    const end = Date.now() + deadlineMs;
    for (;;) {
      const status = this.status();
      if (status === null || status.state.kind !== 'down' || Date.now() >= end) return status;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async setExpectedVotes(votes: number): Promise<void> {
    const engine = this.#engine();
    if (engine === null) throw new Error('this node belongs to no cluster');
    await engine.setExpectedVotes(votes);
  }

  choice(): EngineKind {
    return engineChoice(this.#layout);
  }

  choose(kind: EngineKind): void {
    chooseEngine(this.#layout, kind);
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    open?.off();
    await open?.engine.close();
  }

  #engine(): Engine | null {
    const wanted = existsSync(this.#layout.corosyncConf) ? this.choice() : null;
    if (this.#open !== null && this.#open.kind !== wanted) void this.close();
    if (wanted !== null && this.#open === null) {
      const engine = openEngine(wanted, this.#layout);
      this.#open = { kind: wanted, engine, off: engine.onStatus(this.#onChange) };
    }
    return this.#open?.engine ?? null;
  }
}
