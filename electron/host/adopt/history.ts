/**
 * The record of applies on adopted clusters, kept by this app: their nodes have no tree to keep it in. One file, one
 * JSON document a line; a line that cannot be read is passed over.
 */
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { TrialRecord } from '../../../agent/cluster/apply/trial.ts';
import type { EndedApply } from '../api.ts';

const record = z.object({
  cluster: z.string(),
  ended: z.object({
    id: z.string(),
    author: z.string(),
    leader: z.string(),
    startedMs: z.number(),
    endedMs: z.number(),
    fromVersion: z.number(),
    version: z.number(),
    method: z.enum(['reload', 'rolling-restart', 'whole-restart']),
    changes: z.array(z.string()),
    outcome: z.enum(['confirmed', 'reverted', 'refused']),
    reason: z.string(),
    by: z.string(),
    before: z.string(),
    after: z.string(),
  }),
});

export interface Begun {
  readonly cluster: string;
  readonly before: string;
  readonly after: string;
}

const FILE = 'adopted-applies.jsonl';
const KEPT = 50;

export class AdoptedHistory {
  readonly #directory: string;
  readonly #begun = new Map<string, Begun>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Remembers the texts of a trial that this app began: the nodes keep only that they are on trial. */
  begin(id: string, begun: Begun): void {
    this.#begun.set(id, begun);
  }

  begun(id: string): Begun | null {
    return this.#begun.get(id) ?? null;
  }

  /** Of one cluster, by its name; the newest first. */
  of(cluster: string): EndedApply[] {
    let text: string;
    try {
      text = readFileSync(join(this.#directory, FILE), 'utf8');
    } catch {
      return [];
    }
    const found = text.split('\n').flatMap((line) => {
      try {
        return record.parse(JSON.parse(line));
      } catch {
        return [];
      }
    });
    return found
      .filter((one) => one.cluster === cluster)
      .map(({ ended }) => ended)
      .slice(-KEPT)
      .reverse();
  }

  /** Of one apply the first end counts: a confirmation that comes after a node went back is none. */
  add(cluster: string, ended: EndedApply): void {
    if (this.of(cluster).some(({ id }) => id === ended.id)) return;
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    appendFileSync(join(this.#directory, FILE), `${JSON.stringify({ cluster, ended })}\n`, { mode: 0o600 });
  }
}

/** As the planner wants it: it looks for the file that a text was made from. */
export function asRecords(ended: readonly EndedApply[]): TrialRecord[] {
  return ended.map(({ outcome, reason, by, endedMs, ...one }) => ({
    trial: {
      ...one,
      changes: [...one.changes],
      leaderNode: 0,
      leaderPid: 0,
      nodes: [],
      absent: [],
      confirmWithinMs: 0,
      rolloutMs: 0,
      phase: 'ended',
      asked: null,
      turn: null,
      outcome: { kind: outcome, reason, by, atMs: endedMs },
    },
    answers: [],
  }));
}
