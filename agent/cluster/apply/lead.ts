/** How the leader of an apply looks at the nodes, and whose turn it is. */
import type { EngineKind, EngineStatus } from '../../engine/engine.ts';
import type { NodePorts } from '../ports.ts';
import { sentence, throwIfCancelled, type Say } from '../procedure.ts';
import { whyNotWritable } from '../waiting.ts';
import type { Answer, Method, Outcome, Trial } from './trial.ts';
import { answersTo, changeTrial, lastTrial } from './trial-store.ts';

const POLL_MS = 150;
/**
 * How long it may take until a node runs the file and the ring is whole, in milliseconds. Corosync needs up to 8 s
 * for a ring of nine, and as long to notice a node that is gone (measured); the bundled engine a second.
 */
export const longestEffectMs = (engine: EngineKind, method: Method): number =>
  method === 'reload' ? 12_000 : engine === 'corosync' ? 45_000 : 15_000;
/** A restart that would cost the quorum waits so long for a better moment. */
const SPARE_MS = 30_000;

/** Later states include the earlier ones. */
const STATES: readonly Answer['state'][] = ['ready', 'installed', 'effective'];

/** The leader's looks at the others. A look that fails (the ring is being formed) is repeated. */
export class Lead {
  readonly #ports: NodePorts;
  readonly #names: ReadonlyMap<number, string>;
  readonly #signal: AbortSignal;

  constructor(ports: NodePorts, status: EngineStatus, signal: AbortSignal) {
    this.#ports = ports;
    this.#names = new Map(status.members.map(({ nodeId, name }) => [nodeId, name ?? `node ${nodeId}`]));
    this.#signal = signal;
  }

  /** Rejects when a node says that it failed, when the trial is ended by another, and after `withinMs`. */
  async waitForAll(trial: Trial, state: Answer['state'], withinMs: number, say: Say): Promise<void> {
    const told = new Set<number>();
    await this.#until(withinMs, async () => {
      const answers = new Map((await answersTo(this.#ports, trial.id)).map((one) => [one.nodeId, one]));
      const missing: string[] = [];
      for (const node of trial.nodes) {
        const answer = answers.get(node);
        if (answer?.state === 'failed') throw new Error(`${this.#name(node)}: ${answer.detail}`);
        if (answer === undefined || STATES.indexOf(answer.state) < STATES.indexOf(state))
          missing.push(this.#name(node));
        else if (!told.has(node)) {
          told.add(node);
          say(`${this.#name(node)}: ${answer.detail}`);
        }
      }
      await this.#stillOpen(trial);
      return missing.length === 0 ? null : `${missing.join(', ')} did not answer "${WORDS[state]}"`;
    });
  }

  /** The leader's own node comes last. */
  async oneByOne(trial: Trial, effectMs: number, say: Say): Promise<void> {
    const own = this.#ports.engine.status()?.localNode;
    const order = [...trial.nodes].sort((a, b) => Number(a === own) - Number(b === own) || a - b);
    for (const node of order) {
      throwIfCancelled(this.#signal);
      await this.#until(SPARE_MS, () => this.#spares(node));
      await changeTrial(this.#ports, trial.id, (one) => ({ ...one, phase: 'effect', turn: node }));
      await this.waitForAll({ ...trial, nodes: [node] }, 'effective', effectMs, say);
      await this.wholeRing(trial, effectMs);
    }
  }

  /** Every node that took part is in the ring, and the tree takes writes. */
  async wholeRing(trial: Trial, withinMs: number): Promise<void> {
    await this.#until(withinMs, async () => {
      const members = this.#ports.engine.status()?.members ?? [];
      const away = trial.nodes.filter((id) => members.find(({ nodeId }) => nodeId === id)?.state !== 'member');
      if (away.length > 0) return `${away.map((node) => this.#name(node)).join(', ')} did not come back into the ring`;
      return whyNotWritable(this.#ports);
    });
  }

  /** Null when the cluster keeps quorum without this node and nobody is missing. */
  #spares(node: number): string | null {
    const status = this.#ports.engine.status();
    if (status === null) return 'this node belongs to no cluster';
    const { quorum, members } = status;
    const votes = members.find(({ nodeId }) => nodeId === node)?.votes ?? 0;
    return quorum.quorate && quorum.totalVotes - votes >= quorum.quorum
      ? null
      : `a restart of ${this.#name(node)} would cost the quorum: ${quorum.totalVotes} votes are present, ${quorum.quorum} needed`;
  }

  async #stillOpen(trial: Trial): Promise<void> {
    const now = await lastTrial(this.#ports);
    if (now?.id !== trial.id) throw new Error('another apply has taken its place');
    if (now.outcome !== null) throw new Ended(now.outcome);
    if (now.phase === 'revert') throw new Error('it is taken back, as somebody asked');
  }

  async #until(withinMs: number, look: () => Promise<string | null> | string | null): Promise<void> {
    const { clock } = this.#ports;
    for (const end = clock.now() + withinMs; ; await clock.sleep(POLL_MS, this.#signal)) {
      throwIfCancelled(this.#signal);
      let missing: string | null;
      try {
        missing = await look();
      } catch (error) {
        // While the ring is formed the tree may refuse or not answer; what a node said is final.
        if (!/^(EACCES|EIO|EAGAIN)|pmxcfs does not run|the connection to/.test(sentence(error))) throw error;
        missing = sentence(error);
      }
      if (missing === null) return;
      if (clock.now() > end) throw new Error(`${missing} within ${Math.round(withinMs / 1000)} s`);
    }
  }

  #name(node: number): string {
    return this.#names.get(node) ?? `node ${node}`;
  }
}

const WORDS: Readonly<Record<Answer['state'], string>> = {
  ready: 'I would take it',
  installed: 'it is on disk',
  effective: 'it runs',
  failed: 'it failed',
  back: 'the old one runs',
};

/** Somebody else has ended the trial meanwhile. */
class Ended extends Error {
  constructor(outcome: Outcome) {
    super(outcome.kind === 'confirmed' ? `it was confirmed by ${outcome.by}` : `it was taken back: ${outcome.reason}`);
  }
}
